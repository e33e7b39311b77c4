/* shard_key.c - a protocol's schema to the place of the instrument in each of its messages. */
#include "handler/shard_key.h"

#include <errno.h>
#include <stdlib.h>

#include "mdfh/error.h"

/* A number that is the instrument's; texts of any length are nobody's key. */
static int is_key(const struct mdfh_field *field)
{
	return field->role == MDFH_ROLE_INSTRUMENT && !(field->flags & MDFH_FIELD_CONSTANT) &&
	       !field->since &&
	       (field->size == 1 || field->size == 2 || field->size == 4 || field->size == 8);
}

static int place_of(const struct mdfh_schema *schema, const struct mdfh_message *message,
    struct mdfh_shard_place *place)
{
	for (unsigned g = 0; g < message->group_count; g++)
		for (unsigned f = 0; f < message->groups[g].field_count; f++)
			if (message->groups[g].fields[f].role == MDFH_ROLE_INSTRUMENT)
				return mdfh_error(-EINVAL,
				    "shard: a %s message of %s names several instruments; shard by "
				    "channel",
				    message->name, schema->name);
	for (unsigned f = 0; f < message->field_count; f++) {
		const struct mdfh_field *field = &message->fields[f];

		if (!is_key(field))
			continue;
		place->offset = field->offset;
		place->size = (uint8_t)field->size;
		place->least = (uint16_t)(field->offset + field->size);
		return 0;
	}
	return 0;
}

int mdfh_shard_key_create(const char *protocol, struct mdfh_shard_key *key)
{
	const struct mdfh_schema *schema = mdfh_schema_find(protocol);
	const struct mdfh_field *type = schema ? schema->type_field : NULL;
	unsigned found = 0;
	int err = 0;

	*key = (struct mdfh_shard_key){.places = NULL};
	if (!type || (type->size != 1 && type->size != 2))
		return mdfh_error(-EINVAL,
		    "shard: what is known of %s does not say where its messages name an "
		    "instrument; shard by channel",
		    protocol);
	key->type_offset = type->offset;
	key->type_size = (uint8_t)type->size;
	key->big_endian = schema->big_endian;
	key->type_count = schema->by_type_size;
	key->places = calloc(key->type_count, sizeof(*key->places));
	if (!key->places)
		return mdfh_error(-ENOMEM, "shard: out of memory");
	for (uint32_t t = 0; t < key->type_count && !err; t++) {
		const struct mdfh_message *message = mdfh_schema_message(schema, t);

		if (!message)
			continue;
		err = place_of(schema, message, &key->places[t]);
		found += key->places[t].least != 0;
	}
	if (!err && !found)
		err = mdfh_error(-EINVAL,
		    "shard: no message of %s names its instrument; shard by channel", protocol);
	if (err)
		mdfh_shard_key_destroy(key);
	return err;
}

void mdfh_shard_key_destroy(struct mdfh_shard_key *key)
{
	free(key->places);
	key->places = NULL;
}
