/* binaryfile.c - BinaryFILE 1.00, the format of day files: a run of records, each a big-endian
 * u16 length and one message, ended by a record of length zero.
 *
 * There is no header, session or sequence number: the first record is number 1 and every record
 * counts. Day files are larger than 4 GB, slices of them lack the end marker, so a reader walks
 * with 64-bit offsets and says how the file ended. */
#include <errno.h>

#include "core/bytes.h"
#include "mdfh/error.h"
#include "session/protocols.h"

/* A whole small file, or a chunk that begins at a record, as one packet. ----------------- */

static int binaryfile_parse(const uint8_t *data, uint32_t length, struct mdfh_unit *unit)
{
	struct mdfh_binaryfile file;
	struct mdfh_span span;

	*unit = (struct mdfh_unit){.body = data, .first = 1};
	mdfh_binaryfile_open(&file, 0);
	mdfh_binaryfile_feed(&file, data, length);
	if (mdfh_binaryfile_next(&file, UINT32_MAX, &span)) {
		unit->body_length = span.length;
		unit->messages = (uint32_t)span.messages;
	}
	unit->claimed = unit->messages;
	switch (mdfh_binaryfile_end(&file)) {
	case MDFH_BINARYFILE_CUT:
		unit->claimed++;
		unit->error = MDFH_SESSION_OVERRUN;
		break;
	case MDFH_BINARYFILE_TRAILING:
		unit->error = MDFH_SESSION_TRAILING;
		break;
	default:
		break;
	}
	return 0;
}

static void binaryfile_session_text(const struct mdfh_unit *unit, char text[MDFH_SESSION_TEXT])
{
	(void)unit;
	text[0] = '\0';
}

const struct mdfh_session_ops mdfh_session_binaryfile = {
    .name = "binaryfile",
    .framing = MDFH_FRAMING_LENGTH_BE16,
    .parse = binaryfile_parse,
    .session_text = binaryfile_session_text,
    .header_size = 0,
};

/* Reader ----------------------------------------------------------------- */

void mdfh_binaryfile_open(struct mdfh_binaryfile *file, uint16_t channel)
{
	*file = (struct mdfh_binaryfile){.sequence = 1, .channel = channel};
}

void mdfh_binaryfile_feed(struct mdfh_binaryfile *file, const uint8_t *data, uint64_t size)
{
	file->data = data;
	file->size = size;
	file->at = 0;
}

int mdfh_binaryfile_next(struct mdfh_binaryfile *file, uint32_t max, struct mdfh_span *span)
{
	const uint8_t *at = file->data + file->at;
	const uint8_t *end = file->data + file->size;
	const uint8_t *start = at;
	uint32_t n = 0;

	if (file->marked)
		return 0;
	/* A span's length is 32 bits: stop short of it. */
	if (end - at > (ptrdiff_t)MDFH_BINARYFILE_SPAN_MAX)
		end = at + MDFH_BINARYFILE_SPAN_MAX;
	while (n < max && end - at >= 2) {
		uint32_t length = mdfh_load_be16(at);

		if (length == 0) {
			file->marked = 1;
			break;
		}
		if ((ptrdiff_t)length > end - at - 2)
			break;
		at += length + 2;
		n++;
	}
	file->at += (uint64_t)(at - start) + (file->marked ? 2 : 0);
	file->offset += (uint64_t)(at - start) + (file->marked ? 2 : 0);
	if (n == 0)
		return 0;
	*span = (struct mdfh_span){
	    .data = start,
	    .length = (uint32_t)(at - start),
	    .first = file->sequence,
	    .messages = n,
	    .channel = file->channel,
	    .kind = MDFH_SPAN_DATA,
	};
	file->sequence += n;
	return 1;
}

int mdfh_binaryfile_rest(struct mdfh_binaryfile *file, struct mdfh_span *span)
{
	uint64_t left = file->size - file->at;
	uint32_t length;

	if (file->marked || left < 2)
		return 0;
	length = mdfh_load_be16(file->data + file->at);
	if (length == 0) {
		file->marked = 1;
		mdfh_binaryfile_took(file, 0, 2);
		return 0;
	}
	if (length > left - 2)
		return 0;
	*span = (struct mdfh_span){
	    .data = file->data + file->at,
	    .length = left < MDFH_BINARYFILE_SPAN_MAX ? (uint32_t)left : MDFH_BINARYFILE_SPAN_MAX,
	    .first = file->sequence,
	    .messages = MDFH_SPAN_UNCOUNTED,
	    .channel = file->channel,
	    .kind = MDFH_SPAN_DATA,
	};
	return 1;
}

void mdfh_binaryfile_took(struct mdfh_binaryfile *file, uint64_t messages, uint64_t bytes)
{
	file->at += bytes;
	file->offset += bytes;
	file->sequence += messages;
}

uint64_t mdfh_binaryfile_left(const struct mdfh_binaryfile *file)
{
	return file->size - file->at;
}

enum mdfh_binaryfile_end mdfh_binaryfile_end(const struct mdfh_binaryfile *file)
{
	if (file->marked)
		return file->at < file->size ? MDFH_BINARYFILE_TRAILING : MDFH_BINARYFILE_MARKED;
	return file->at < file->size ? MDFH_BINARYFILE_CUT : MDFH_BINARYFILE_UNMARKED;
}

const char *mdfh_binaryfile_end_text(enum mdfh_binaryfile_end end)
{
	switch (end) {
	case MDFH_BINARYFILE_MARKED:
		return "the end marker was found";
	case MDFH_BINARYFILE_UNMARKED:
		return "no end marker: the file was cut between records, or still grows";
	case MDFH_BINARYFILE_CUT:
		return "the file ends inside a record: the partial message was not delivered";
	case MDFH_BINARYFILE_TRAILING:
		return "bytes follow the end marker: they were not read";
	}
	return "?";
}
