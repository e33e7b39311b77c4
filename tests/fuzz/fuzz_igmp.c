/* fuzz_igmp.c - any frames heard by a member of groups: whatever they hold, what is sent is sound and
 * bounded, and what is due lies ahead.
 *
 * The input is a row of frames, each led by two bytes of length and one of the time that passes. */
#include "fuzz.h"

#include "wire/igmp.h"

static const struct mdfh_flow flows[] = {
    {.group = "239.1.2.3"},
    {.group = "232.1.1.1", .source = "10.9.8.7"},
    {.group = "232.1.1.1", .source = "10.9.8.8"},
    {.group = "239.1.2.3", .vlan = 142},
    {.group = "ff15::1"},
    {.group = "ff3e::8", .source = "2001:db8::1"},
};

static const struct mdfh_igmp_config config = {
    .seed = 1, .mac = {2, 0, 0, 0, 0, 9}, .address = {10, 0, 0, 9}};

static int count_frame(void *context, const uint8_t *frame, uint32_t length)
{
	int *frames = context;
	struct mdfh_frame parsed;
	uint8_t *copy;

	REQUIRE(length >= 60 && length <= MDFH_IGMP_FRAME_MAX);
	copy = exact_copy(frame, length);
	REQUIRE(mdfh_frame_parse(MDFH_LINK_ETHERNET, copy, length, length, &parsed) ==
		MDFH_FRAME_NOT_UDP);
	REQUIRE(parsed.protocol == 2 || parsed.protocol == 58);
	REQUIRE(parsed.ip_version != 4 || mdfh_frame_checksums(copy, &parsed) == MDFH_FRAME_OK);
	free(copy);
	++*frames;
	return 0;
}

static void hear(struct mdfh_igmp *igmp, const uint8_t *bytes, uint32_t length, uint64_t now_ns)
{
	uint8_t *copy = exact_copy(bytes, length);
	struct mdfh_frame parsed;

	if (mdfh_frame_parse(MDFH_LINK_ETHERNET, copy, length, length, &parsed) ==
	    MDFH_FRAME_NOT_UDP)
		mdfh_igmp_input(igmp, copy, length, &parsed, now_ns);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct mdfh_igmp igmp;
	uint64_t now_ns = 1000000000;
	uint32_t heard = 0;
	int frames = 0;

	REQUIRE(!mdfh_igmp_init(&igmp, &config, flows, sizeof(flows) / sizeof(flows[0]), now_ns));
	mdfh_igmp_poll(&igmp, now_ns, count_frame, &frames);
	while (size >= 3 && heard < 64) {
		uint32_t length = (uint32_t)data[0] << 8 | data[1];

		if (length > size - 3)
			length = (uint32_t)size - 3;
		now_ns += data[2] * 100000000ULL;
		hear(&igmp, data + 3, length, now_ns);
		mdfh_igmp_poll(&igmp, now_ns, count_frame, &frames);
		REQUIRE(mdfh_igmp_next_ns(&igmp) > now_ns);
		data += 3 + length;
		size -= 3 + length;
		heard++;
	}
	mdfh_igmp_leave(&igmp, now_ns);
	for (int i = 0; i < 16 && mdfh_igmp_next_ns(&igmp) != UINT64_MAX; i++) {
		now_ns = mdfh_igmp_next_ns(&igmp);
		mdfh_igmp_poll(&igmp, now_ns, count_frame, &frames);
	}
	REQUIRE(mdfh_igmp_next_ns(&igmp) == UINT64_MAX);
	/* A frame heard is answered by a few at most. */
	REQUIRE(frames <= 100 + (int)heard * 20);
	return 0;
}
