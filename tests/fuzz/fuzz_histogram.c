/* fuzz_histogram.c - any bytes as the counts of an encoded histogram, and any text as one.
 *
 * The fuzzer would not find a stream that inflates by itself: the first byte says whether the rest
 * is compressed and put into base64 for it. What is accepted is encoded and decoded to the same. */
#include "fuzz.h"

#include <zlib.h>

#include "mdfh/histogram_log.h"

static char *pack(const uint8_t *data, size_t size)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uLongf length = compressBound((uLong)size);
	uint8_t *packed = calloc(1, 8 + length + 3);
	char *text;
	char *at;

	REQUIRE(packed && compress(packed + 8, &length, data, (uLong)size) == Z_OK);
	memcpy(packed, "\x1c\x84\x93\x14", 4);
	packed[4] = (uint8_t)(length >> 24);
	packed[5] = (uint8_t)(length >> 16);
	packed[6] = (uint8_t)(length >> 8);
	packed[7] = (uint8_t)length;
	/* In whole groups of three: what is behind the announced length does not count. */
	text = malloc((8 + length + 2) / 3 * 4 + 1);
	REQUIRE(text);
	at = text;
	for (size_t i = 0; i < 8 + length; i += 3) {
		uint32_t word =
		    (uint32_t)packed[i] << 16 | (uint32_t)packed[i + 1] << 8 | packed[i + 2];

		for (int shift = 18; shift >= 0; shift -= 6)
			*at++ = alphabet[(word >> shift) & 63];
	}
	*at = '\0';
	free(packed);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mdfh_histogram *first;
	struct mdfh_histogram *second;
	char *text;
	char *again;

	if (!size || size > 65536)
		return 0;
	if (data[0] & 1) {
		text = pack(data + 1, size - 1);
		size = strlen(text);
	} else {
		size--;
		text = (char *)exact_copy(data + 1, size);
	}
	if (mdfh_histogram_decode(text, size, &first)) {
		REQUIRE(!first);
		free(text);
		return 0;
	}
	REQUIRE(mdfh_histogram_min(first) <= mdfh_histogram_max(first));
	REQUIRE(mdfh_histogram_percentile(first, 50) <= mdfh_histogram_max(first));
	REQUIRE(mdfh_histogram_encode(first, &again) == 0);
	REQUIRE(mdfh_histogram_decode(again, strlen(again), &second) == 0);
	REQUIRE(mdfh_histogram_count(first) == mdfh_histogram_count(second));
	REQUIRE(mdfh_histogram_max(first) == mdfh_histogram_max(second));
	REQUIRE(mdfh_histogram_percentile(first, 99) == mdfh_histogram_percentile(second, 99));
	mdfh_histogram_destroy(second);
	mdfh_histogram_destroy(first);
	free(again);
	free(text);
	return 0;
}
