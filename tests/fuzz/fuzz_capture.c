/* fuzz_capture.c - any bytes as a capture file, plain or compressed: frames that lie in memory and
 * in the rules of the header, and an end that stays. Then the same bytes as a file: the stream in
 * it is the same, whoever has looked at its beginning; and of a port of backend pcap each frame
 * becomes the packet that it is, or is counted as why not. */
#include "fuzz.h"

#include <errno.h>
#include <sanitizer/asan_interface.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mdfh/bypass.h"
#include "mdfh/capture.h"
#include "wire/inflate.h"

/* Of a small file of compressed zeros there are many frames. */
enum { FRAMES_MAX = 512, FRAME_SIZE = 256, BATCH = 16, STREAM_MAX = 65536 };

static int next_frame(struct mdfh_capture *capture, struct mdfh_capture_frame *got, uint64_t number)
{
	int status = mdfh_capture_next(capture, got);

	if (status != 1)
		return status;
	REQUIRE(got->number == number);
	REQUIRE(got->captured <= got->wire_length);
	/* Each byte is there. */
	REQUIRE(!got->captured ||
		!__asan_region_is_poisoned((void *)(uintptr_t)got->data, got->captured));
	return 1;
}

static void check_packet(const struct mdfh_packet *packet, const struct mdfh_capture_frame *got,
    const struct mdfh_frame *frame)
{
	uint32_t length = frame->payload_length < FRAME_SIZE ? frame->payload_length : FRAME_SIZE;
	int is_cut = frame->truncated || length < frame->payload_length;

	REQUIRE(packet->length == length && packet->receive_ns == got->time_ns);
	REQUIRE(!(packet->flags & MDFH_PACKET_TRUNCATED) == !is_cut);
	REQUIRE(!packet->header_length || packet->header_length == frame->payload_offset);
	REQUIRE(!memcmp(packet->data - packet->header_length,
	    got->data + frame->payload_offset - packet->header_length,
	    packet->header_length + length));
}

/* The next frame that is a packet; the others are counted. 1, or as mdfh_capture_next. */
static int next_packet(struct mdfh_capture *capture, struct mdfh_capture_frame *got,
    struct mdfh_frame *frame, uint64_t *frames, uint64_t *others)
{
	int status;

	while ((status = next_frame(capture, got, *frames + 1)) == 1) {
		++*frames;
		if (!mdfh_frame_parse(
			got->link_type, got->data, got->captured, got->wire_length, frame) &&
		    frame->protocol == MDFH_PROTOCOL_UDP)
			return 1;
		++*others;
	}
	return status;
}

/* The path of a file with these bytes. */
static const char *make_file(const uint8_t *data, size_t size)
{
	static int file = -1;
	static char path[64];

	if (file < 0)
		file = memfd_create("capture", MFD_CLOEXEC);
	REQUIRE(file >= 0 && !ftruncate(file, 0));
	REQUIRE(pwrite(file, data, size, 0) == (ssize_t)size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	return path;
}

static size_t read_stream(struct mdfh_inflate *inflate, uint8_t *to, const char **problem)
{
	size_t got = fread(to, 1, STREAM_MAX, mdfh_inflate_file(inflate));

	*problem = mdfh_inflate_problem(inflate);
	mdfh_inflate_close(inflate);
	return got;
}

static void check_stream(const char *path, const uint8_t *data, size_t size)
{
	static uint8_t streams[2][STREAM_MAX];
	struct mdfh_inflate *inflate;
	const char *problems[2];
	size_t lengths[2];

	if (mdfh_inflate_open(-1, data, size, "in memory", &inflate))
		return;
	(void)mdfh_inflate_is_capture(inflate);
	lengths[0] = read_stream(inflate, streams[0], &problems[0]);
	REQUIRE(!mdfh_inflate_open_path(path, &inflate));
	lengths[1] = read_stream(inflate, streams[1], &problems[1]);
	/* How much is had of what is damaged depends on how much is asked for at once. */
	REQUIRE(problems[0] || problems[1] || lengths[0] == lengths[1]);
	REQUIRE(!memcmp(streams[0], streams[1], lengths[lengths[1] < lengths[0]]));
}

static void open_port(const char *path, struct mdfh_bypass **port)
{
	struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = "pcap",
	    .file = path,
	    .rx_ring_size = 64,
	    .batch_size = BATCH,
	    .frame_size = FRAME_SIZE,
	    .hugepages = MDFH_OFF};

	REQUIRE(!mdfh_bypass_open(&config, port));
}

static void through_port(struct mdfh_capture *capture, const char *path)
{
	struct mdfh_bypass_stats stats;
	struct mdfh_packet packets[BATCH];
	struct mdfh_capture_frame got;
	struct mdfh_frame frame;
	struct mdfh_bypass *port;
	uint64_t frames = 0, others = 0, bytes = 0, cut = 0;
	int n;

	open_port(path, &port);
	while ((n = mdfh_bypass_recv(port, packets, BATCH)) >= 0 && frames < FRAMES_MAX) {
		for (int i = 0; i < n; i++) {
			REQUIRE(next_packet(capture, &got, &frame, &frames, &others) == 1);
			check_packet(&packets[i], &got, &frame);
			bytes += packets[i].length;
			cut += (packets[i].flags & MDFH_PACKET_TRUNCATED) != 0;
		}
		mdfh_bypass_release(port, packets, n);
	}
	if (n < 0) {
		int status = next_packet(capture, &got, &frame, &frames, &others);

		REQUIRE(n == -ENODATA && status != 1);
		REQUIRE(!mdfh_bypass_stats(port, &stats));
		REQUIRE(stats.rx_packets == frames - others);
		REQUIRE(stats.rx_malformed == others + (status != 0));
		REQUIRE(stats.rx_bytes == bytes && stats.rx_truncated == cut);
	}
	mdfh_bypass_close(port);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mdfh_capture *capture;
	struct mdfh_capture_frame got;
	struct mdfh_frame frame;
	const char *path = make_file(data, size);
	uint64_t frames = 0;
	int status = mdfh_capture_open_memory(data, size, &capture);

	check_stream(path, data, size);
	if (status) {
		REQUIRE(status == -EINVAL && !capture);
		return 0;
	}
	while (frames < FRAMES_MAX && (status = next_frame(capture, &got, frames + 1)) == 1) {
		mdfh_frame_parse(got.link_type, got.data, got.captured, got.wire_length, &frame);
		frames++;
	}
	if (frames < FRAMES_MAX) {
		REQUIRE(status == 0 || status == -EBADMSG);
		REQUIRE(mdfh_capture_next(capture, &got) == status);
	}
	mdfh_capture_close(capture);
	REQUIRE(!mdfh_capture_open_memory(data, size, &capture));
	through_port(capture, path);
	mdfh_capture_close(capture);
	return 0;
}
