/* codec.h - every generated encoder and decoder in one table, for tests and tools that go over
 * all messages. Code that knows its message calls the generated functions themselves. */
#ifndef MDFH_PROTO_CODEC_H
#define MDFH_PROTO_CODEC_H

#include "mdfh/schema.h"

/* One block: header and root block of a message, or one entry of a group. */
struct mdfh_codec {
	const struct mdfh_message *message;
	const struct mdfh_group *group; /* NULL = header and root block */
	uint32_t length;                /* bytes on the wire */
	uint32_t struct_size;
	uint32_t (*encode)(uint8_t *to, const void *from);
	void (*decode)(const uint8_t *from, void *to);
};

struct mdfh_codecs {
	const struct mdfh_codec *entries;
	size_t count;
};

/* NULL if there is no such schema. */
const struct mdfh_codecs *mdfh_codecs_find(const struct mdfh_schema *schema);

#endif
