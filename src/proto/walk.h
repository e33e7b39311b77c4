/* walk.h - one walk over the fields of any message of any schema.
 *
 * Dumpers, checkers and fuzzers are callbacks of this walk: no protocol has code of its own for
 * any of that. A message is untrusted: its length, block lengths and counts are checked before
 * the first field is handed out, so a callback sees a whole message or nothing.
 *
 * Shorter than the schema says for the sender's version: refused. Longer: the known fields are
 * visited and the rest is left alone, in the root block and in group entries. A field or group
 * newer than the sender's version is not visited.
 *
 * Threads: any. Cost: one pass over descriptors; no allocation. For tools, not the hot path. */
#ifndef MDFH_PROTO_WALK_H
#define MDFH_PROTO_WALK_H

#include "mdfh/schema.h"

enum mdfh_walk_error {
	MDFH_WALK_OK = 0,
	MDFH_WALK_SHORT,   /* shorter than its type and version need */
	MDFH_WALK_UNKNOWN, /* no such type in this schema, or another schema's number */
	MDFH_WALK_BLOCK,   /* a block length that is too small, or runs past the message */
	MDFH_WALK_GROUP,   /* a group that runs past the message */
	MDFH_WALK_ERRORS,
};

/* A field of this message. */
struct mdfh_value {
	const struct mdfh_field *field;
	const uint8_t *bytes;           /* NULL: a constant that is not on the wire */
	const struct mdfh_group *group; /* NULL: header or root block */
	uint64_t raw;    /* integers: as transmitted, sign-extended where signed; char: its code */
	uint32_t offset; /* from the start of the message */
	uint32_t index;  /* group: entry, from 0; MDFH_WALK_DIMENSION: the group's own header */
	int exponent;    /* DECIMAL */
	int is_null;
};

#define MDFH_WALK_DIMENSION UINT32_MAX

/* Return other than 0 to end the walk. */
typedef int (*mdfh_visit)(void *context, const struct mdfh_value *value);

/* Check the message. *found: its descriptor, NULL if the type is unknown or did not fit. */
enum mdfh_walk_error mdfh_walk_check(const struct mdfh_schema *schema, const uint8_t *message,
    uint32_t length, const struct mdfh_message **found);

/* Check, then visit every field in wire order. */
enum mdfh_walk_error mdfh_walk(const struct mdfh_schema *schema, const uint8_t *message,
    uint32_t length, mdfh_visit visit, void *context);

const char *mdfh_walk_error_name(unsigned error);

/* An integer field of up to 8 bytes as the walk hands it out. */
uint64_t mdfh_field_load(
    const struct mdfh_schema *schema, const struct mdfh_field *field, const uint8_t *at);

/* The name of an enum's value, or NULL. */
const char *mdfh_names_find(const struct mdfh_names *names, int64_t value);

#endif
