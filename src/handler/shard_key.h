/* shard_key.h - where a message names its instrument, by the protocol's schema. */
#ifndef MDFH_HANDLER_SHARD_KEY_H
#define MDFH_HANDLER_SHARD_KEY_H

#include <stdint.h>

#include "core/bytes.h"
#include "mdfh/schema.h"

/* Of one type of message. */
struct mdfh_shard_place {
	uint16_t offset;
	uint16_t
	    least; /* bytes that a message must have for its key to be there; 0 = it has none */
	uint8_t size;
};

struct mdfh_shard_key {
	uint16_t type_offset;
	uint8_t type_size; /* 1 or 2 */
	uint8_t big_endian;
	uint32_t type_count;
	struct mdfh_shard_place *places; /* by type */
};

/* -EINVAL (with a sentence): there is a message of this protocol that names several instruments, or
 * none that names any. */
int mdfh_shard_key_create(const char *protocol, struct mdfh_shard_key *key);
void mdfh_shard_key_destroy(struct mdfh_shard_key *key);

static inline uint64_t mdfh_shard_load(const uint8_t *at, unsigned size, unsigned big_endian)
{
	switch (size) {
	case 1:
		return at[0];
	case 2:
		return big_endian ? mdfh_load_be16(at) : mdfh_load_le16(at);
	case 4:
		return big_endian ? mdfh_load_be32(at) : mdfh_load_le32(at);
	default:
		return big_endian ? mdfh_load_be64(at) : mdfh_load_le64(at);
	}
}

/* The instrument's key; 0 = the message names none, or is too short to. */
static inline uint64_t mdfh_shard_key_of(
    const struct mdfh_shard_key *key, const uint8_t *message, uint32_t length)
{
	const struct mdfh_shard_place *place;
	uint64_t type;

	if (length < (uint32_t)key->type_offset + key->type_size)
		return 0;
	type = mdfh_shard_load(message + key->type_offset, key->type_size, key->big_endian);
	if (type >= key->type_count)
		return 0;
	place = &key->places[type];
	if (length < place->least || !place->least)
		return 0;
	return mdfh_shard_load(message + place->offset, place->size, key->big_endian);
}

/* Of so many shards the one that a key belongs to. Keys are mostly dense, so they are mixed. */
static inline uint32_t mdfh_shard_of(uint64_t key, uint32_t shards)
{
	return (uint32_t)(((key * 0x9E3779B97F4A7C15u) >> 32) * shards >> 32);
}

#endif
