/* mdfh/schema.h - what a protocol's messages look like, as data.
 *
 * A schema is a const table made at build time from protocols/NAME.schema (docs/schemas.md).
 * It says where each field of each message stands and what it means, for dumpers, checkers and
 * consumers of raw messages, who get a schema id with the bytes. Decoders that know their
 * protocol use the generated accessors (protocols/NAME.h) instead.
 *
 * Threads: everything here is constant. */
#ifndef MDFH_SCHEMA_H
#define MDFH_SCHEMA_H

#include "mdfh/base.h"

MDFH_BEGIN_DECLS

/* What the bytes of a field are. */
enum mdfh_field_kind {
	MDFH_FIELD_UINT = 0,
	MDFH_FIELD_INT,
	MDFH_FIELD_CHAR,        /* one byte of text */
	MDFH_FIELD_ASCII,       /* text, padded on the right with spaces or NULs */
	MDFH_FIELD_BYTES,       /* opaque */
	MDFH_FIELD_DECIMAL,     /* integer times 10^exponent */
	MDFH_FIELD_FLAGS,       /* bit set; names give bit numbers */
	MDFH_FIELD_NS_MIDNIGHT, /* ns since midnight, venue time */
	MDFH_FIELD_S_MIDNIGHT,  /* s since midnight, venue time */
	MDFH_FIELD_NS_EPOCH,    /* ns since the Unix epoch */
	MDFH_FIELD_S_EPOCH,     /* s since the Unix epoch */
	MDFH_FIELD_DAYS_EPOCH,  /* days since 1970-01-01 */
	MDFH_FIELD_KINDS,
};

/* What a field is for, where a tool must know. */
enum mdfh_field_role {
	MDFH_ROLE_NONE = 0,
	MDFH_ROLE_TYPE,         /* selects the message */
	MDFH_ROLE_SIZE,         /* whole size of the message */
	MDFH_ROLE_BLOCK_LENGTH, /* size of the root block, or of one group entry */
	MDFH_ROLE_VERSION,      /* schema version that the sender used */
	MDFH_ROLE_COUNT,        /* entries of a group */
	MDFH_ROLE_TIME,         /* when the venue made the message */
	MDFH_ROLE_SYMBOL,       /* the instrument's symbol */
	MDFH_ROLE_INSTRUMENT,   /* the venue's number of the instrument */
	MDFH_ROLE_SEQUENCE,     /* sequence number of the (first) message */
};

/* What else is known of a field. */
enum mdfh_field_flag {
	MDFH_FIELD_SIGNED = 1 << 0,
	MDFH_FIELD_NULLABLE = 1 << 1, /* null means "no value" */
	MDFH_FIELD_CONSTANT = 1 << 2, /* always has the value constant; size 0: not on the wire */
};

struct mdfh_name { /* of an enum's value or of a bit */
	int64_t value;
	const char *name;
};

/* The names of an enumeration or of a bit set. */
struct mdfh_names {
	const char *name;
	const struct mdfh_name *entries;
	uint32_t count;
};

/* One field of a message or of a group entry. */
struct mdfh_field {
	const char *name;
	const struct mdfh_names *names; /* NULL = none */
	uint64_t null;                  /* raw value, extended to 64 bits */
	uint64_t constant;
	uint16_t offset;         /* from the start of the message, or of the group entry */
	uint16_t size;           /* bytes */
	uint16_t since;          /* there only if the message's version is at least this */
	int16_t exponent_offset; /* DECIMAL: where, from this field, its i8 exponent stands; 0 =
	                          * the exponent is constant */
	uint8_t kind;            /* enum mdfh_field_kind */
	uint8_t flags;           /* enum mdfh_field_flag */
	uint8_t role;            /* enum mdfh_field_role */
	int8_t exponent;         /* DECIMAL: -4 = four decimals */
};

/* The header before the entries of a repeating group. */
struct mdfh_dimension {
	const char *name;
	const struct mdfh_field *fields; /* with roles BLOCK_LENGTH and COUNT */
	uint32_t field_count;
	uint16_t size;
	uint16_t block_index; /* of the field with that role */
	uint16_t count_index;
	uint16_t reserved;
};

/* A repeating group. */
struct mdfh_group {
	const char *name;
	const struct mdfh_dimension *dimension;
	const struct mdfh_field *fields;
	uint32_t field_count;
	uint16_t block_length; /* of one entry in the schema's version */
	uint16_t since;
};

/* One message. */
struct mdfh_message {
	uint32_t type;
	const char *name;                /* "add_order" */
	const char *title;               /* "Add Order (no attribution)" */
	const char *section;             /* of the specification */
	const struct mdfh_field *fields; /* the schema's header first */
	const struct mdfh_group *groups;
	uint16_t field_count;
	uint16_t group_count;
	uint16_t length;     /* header and root block in the schema's version */
	uint16_t min_length; /* the same in the oldest version: shorter ones are refused */
};

/* One version of one protocol. */
struct mdfh_schema {
	uint16_t id; /* stable: raw-tap consumers store it */
	uint16_t version;
	uint16_t header_length;
	uint8_t big_endian;
	uint8_t type_is_text; /* message types are characters */
	const char *name;     /* "itch50" */
	const char *title;
	const char *session;  /* its usual session protocol on UDP; NULL: this is a packet header */
	const char *timezone; /* of the venue; NULL where times need none */
	/* The packet header's field that names this protocol, and its values; NULL: none does. */
	const char *session_field;
	const uint64_t *session_values;
	uint32_t session_value_count;
	uint32_t message_count;
	const struct mdfh_message *messages;
	const uint8_t *by_type; /* type -> index in messages + 1, 0 = none */
	uint32_t by_type_size;
	/* Header fields with these roles, NULL where there is none. */
	const struct mdfh_field *type_field;
	const struct mdfh_field *block_length_field;
	const struct mdfh_field *version_field;
};

/* NULL = there is none. */
MDFH_API const struct mdfh_schema *mdfh_schema_find(const char *name);
MDFH_API const struct mdfh_schema *mdfh_schema_by_id(unsigned id);

/* Schemas in a fixed order; NULL past the last. */
MDFH_API const struct mdfh_schema *mdfh_schema_at(unsigned index);

/* The message of a type; NULL = the schema has none. */
static inline const struct mdfh_message *mdfh_schema_message(
    const struct mdfh_schema *schema, uint32_t type)
{
	if (type >= schema->by_type_size || !schema->by_type[type])
		return NULL;
	return &schema->messages[schema->by_type[type] - 1];
}

MDFH_END_DECLS
#endif
