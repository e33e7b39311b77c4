/* fuzz_gro.c - what the kernel may deliver to sockets, trains or single datagrams, and whatever
 * stands in its control messages; cut into packets that are held, and released in any order.
 *
 * The input begins with the shape of the port. Then come messages of the kernel, 8 bytes each, and
 * between them what the caller does. Packet by packet the bytes are those of the messages, in
 * order, each as long as its datagram; what is held stays as it is; in the end every frame is
 * free. */
#include "fuzz.h"

#include <errno.h>

#include "core/bytes.h"
#include "net/datagrams.h"

/* More is held than packets of one train can be out. */
enum { MESSAGES_MAX = 64, HELD_MAX = 2 * MDFH_TRAIN_WINDOW, BATCH = 4, FLOWS = 2 };

/* A message of the kernel, as far as it has been handed out. */
struct message {
	uint32_t length, size, at;
	uint16_t flow;
	int is_cut;
};

static struct {
	const uint8_t *next, *end;             /* of the input */
	struct message messages[MESSAGES_MAX]; /* that were delivered, in order */
	unsigned delivered, taken;
	uint32_t room; /* of a frame */
	int is_gro, is_broken;
} kernel;

static uint8_t byte_of(unsigned message, uint32_t at)
{
	return (uint8_t)(message * 37 + at * 11 + (at >> 8));
}

static void put(struct msghdr *header, int level, int type, const void *value, size_t size)
{
	struct cmsghdr *at = (void *)((uint8_t *)header->msg_control + header->msg_controllen);

	at->cmsg_level = level;
	at->cmsg_type = type;
	at->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(at), value, size);
	header->msg_controllen += CMSG_SPACE(size);
}

/* Of 8 bytes: length (2), size of a train's datagrams (2), which control messages there are, what
 * drops and time say, whether it is long, and whose it is. */
static void deliver(struct mmsghdr *to, const uint8_t *from, uint16_t flow)
{
	static const int odd_sizes[4] = {0, -1, INT32_MAX, 1};
	struct message *message = &kernel.messages[kernel.delivered];
	struct msghdr *header = &to->msg_hdr;
	uint8_t *bytes = header->msg_iov->iov_base;
	size_t room = header->msg_controllen;
	uint32_t drops = from[5];
	struct timespec time = {.tv_sec = 1700000000, .tv_nsec = from[5]};
	int size = from[4] & 1 ? odd_sizes[from[4] >> 1 & 3] : mdfh_load_be16(from + 2) % 2000;
	uint32_t length = mdfh_load_be16(from) % (from[6] & 1 && size != 1 ? 65536 : 3000);

	*message = (struct message){.flow = flow, .is_cut = length > kernel.room};
	message->length = message->size = message->is_cut ? kernel.room : length;
	header->msg_controllen = 0;
	if (from[4] & 8)
		put(header, SOL_SOCKET, SO_RXQ_OVFL, &drops, sizeof(drops));
	if (from[4] & 16)
		put(header, SOL_SOCKET, SCM_TIMESTAMPNS, &time, sizeof(time));
	if (kernel.is_gro && from[4] & 32) {
		put(header, SOL_UDP, UDP_GRO, &size, sizeof(size));
		if (size > 0 && (uint32_t)size < message->length)
			message->size = (uint32_t)size;
	}
	REQUIRE(header->msg_controllen <= room);
	header->msg_flags = message->is_cut ? MSG_TRUNC : 0;
	to->msg_len = message->length;
	for (uint32_t i = 0; i < message->length; i++)
		bytes[i] = byte_of(kernel.delivered, i);
	kernel.delivered++;
}

/* In place of libc's: the port's descriptors are 1000 and more. */
int recvmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags, struct timespec *timeout)
{
	unsigned got = 0;

	(void)flags;
	(void)timeout;
	REQUIRE(fd >= 1000 && fd < 1000 + FLOWS && n > 0);
	while (got < n && kernel.end - kernel.next >= 8 && kernel.delivered < MESSAGES_MAX &&
	       kernel.next[7] % FLOWS == fd - 1000) {
		REQUIRE(messages[got].msg_hdr.msg_iovlen == 1);
		REQUIRE(messages[got].msg_hdr.msg_iov->iov_len == kernel.room);
		deliver(&messages[got], kernel.next, (uint16_t)(fd - 1000));
		kernel.next += 8;
		got++;
	}
	if (got)
		return (int)got;
	errno = kernel.is_broken ? EIO : EAGAIN;
	return -1;
}

/* The caller ----------------------------------------------------------------------------- */

struct held {
	struct mdfh_packet packet;
	unsigned message;
	uint32_t at;
};

static struct held held[HELD_MAX];
static unsigned held_count;
static uint8_t is_out[64 * MDFH_TRAIN_WINDOW]; /* by cookie */

static void check_bytes(const struct held *h)
{
	for (uint32_t i = 0; i < h->packet.length; i++)
		REQUIRE(h->packet.data[i] == byte_of(h->message, h->at + i));
}

/* The next packet that a message is to make. */
static void take(const struct mdfh_packet *packet, uint32_t frame_size)
{
	struct message *message = &kernel.messages[kernel.taken];
	uint32_t left, bytes, length;
	int is_cut;

	REQUIRE(kernel.taken < kernel.delivered);
	left = message->length - message->at;
	bytes = left < message->size ? left : message->size;
	length = bytes < frame_size ? bytes : frame_size;
	is_cut = length < bytes || (message->is_cut && bytes == left);
	REQUIRE(packet->length == length && packet->flow == message->flow);
	REQUIRE(!(packet->flags & MDFH_PACKET_TRUNCATED) == !is_cut);
	REQUIRE(held_count < HELD_MAX && packet->cookie < sizeof(is_out));
	REQUIRE(!is_out[packet->cookie]);
	is_out[packet->cookie] = 1;
	held[held_count] =
	    (struct held){.packet = *packet, .message = kernel.taken, .at = message->at};
	check_bytes(&held[held_count++]);
	message->at += bytes;
	if (message->at >= message->length)
		kernel.taken++;
}

static int receive(struct mdfh_datagrams *d, int n, uint32_t frame_size)
{
	struct mdfh_packet packets[BATCH];
	uint64_t empty;
	int got;

	if (n > BATCH)
		n = BATCH;
	if (held_count + (unsigned)n > HELD_MAX)
		n = (int)(HELD_MAX - held_count);
	if (!n)
		return 0;
	d->turn = (1u << FLOWS) - 1;
	got = mdfh_datagrams_recv(d, packets, n, &empty);
	REQUIRE(got <= n && (got >= 0 || kernel.is_broken));
	for (int i = 0; i < got; i++)
		take(&packets[i], frame_size);
	return got;
}

static void give_back(struct mdfh_datagrams *d, unsigned i)
{
	struct mdfh_packet twice[2] = {held[i].packet, held[i].packet};

	check_bytes(&held[i]);
	is_out[held[i].packet.cookie] = 0;
	held[i] = held[--held_count];
	mdfh_datagrams_release(d, twice, 2); /* the second time it is ignored */
}

static void give_back_all(struct mdfh_datagrams *d)
{
	while (held_count)
		give_back(d, held_count - 1);
}

/* Every frame is free, or waits in its place for a message. */
static void check_frames(const struct mdfh_datagrams *d)
{
	uint32_t placed = 0;

	for (unsigned i = 0; i < BATCH; i++)
		placed += d->frames.placed[i] != MDFH_FRAME_NONE;
	REQUIRE(d->frames.pool.free_count + placed == d->frames.pool.count);
}

static void play(struct mdfh_datagrams *d, struct mdfh_sockets *sockets, uint32_t frame_size)
{
	uint64_t bytes = 0;

	/* The byte that comes next in the input chooses; it may be a message's as well. */
	while (kernel.next < kernel.end) {
		const uint8_t *before = kernel.next;

		if (*before & 1 || !held_count)
			receive(d, 1 + (*before >> 2 & 3), frame_size);
		else
			give_back(d, *before / 2 % held_count);
		if (kernel.next == before)
			kernel.next++;
	}
	do
		give_back_all(d);
	while (receive(d, BATCH, frame_size) > 0);
	REQUIRE(kernel.taken == kernel.delivered && !mdfh_datagrams_are_left(d));
	check_frames(d);
	for (unsigned i = 0; i < kernel.delivered; i++)
		bytes += kernel.messages[i].length;
	REQUIRE(sockets->base.stats.rx_bytes <= bytes);
	REQUIRE(sockets->base.stats.rx_truncated || sockets->base.stats.rx_bytes == bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct mdfh_datagrams d;
	static struct mdfh_sockets sockets;
	struct mdfh_bypass_config config = {
	    .rx_ring_size = 64, .batch_size = BATCH, .hold_max = 4, .hugepages = MDFH_OFF};

	if (size < 2 || size > 1024)
		return 0;
	config.frame_size = data[0] & 2 ? 256 : 2048;
	memset(&kernel, 0, sizeof(kernel));
	memset(&d, 0, sizeof(d));
	memset(&sockets, 0, sizeof(sockets));
	held_count = 0;
	sockets.name = "fuzz";
	sockets.flow_count = FLOWS;
	sockets.cmsg_type = SCM_TIMESTAMPNS;
	for (int i = 0; i < FLOWS; i++)
		sockets.flows[i].fd = 1000 + i;
	kernel.is_gro = data[0] & 1;
	kernel.is_broken = data[0] >> 2 & 1;
	kernel.next = data + 1;
	kernel.end = data + size;
	REQUIRE(!mdfh_datagrams_open(&d, &sockets, "fuzz", &config, kernel.is_gro));
	kernel.room = (uint32_t)d.frames.iov[0].iov_len;
	play(&d, &sockets, config.frame_size);
	mdfh_datagrams_close(&d);
	return 0;
}
