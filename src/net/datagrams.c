/* datagrams.c - see datagrams.h. */
#include "net/datagrams.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/lines.h"
#include "mdfh/error.h"

enum {
	TRAIN_BYTES = 65536, /* no train is longer */
	TRAIN_SHIFT = 256,   /* keeps frames from competing for the same lines of a cache */
	TRAIN_FRAMES = 256,  /* where nobody says how many packets are to be held */
};

/* Setup ----------------------------------------------------------------- */

int mdfh_datagrams_read_gro(const char *options, const char *name)
{
	char text[16];

	if (!mdfh_option_get(options, "gro", text, sizeof(text)) || !strcmp(text, "off"))
		return 0;
	return !strcmp(text, "on")
		   ? 1
		   : mdfh_error(-EINVAL, "%s: gro is '%s'; it must be on or off", name, text);
}

static int make_messages(struct mdfh_datagrams *d, const char *name, uint32_t n)
{
	d->rx = mdfh_lines_alloc(n, sizeof(*d->rx));
	d->control = mdfh_lines_alloc(n, sizeof(*d->control));
	if (!d->rx || !d->control)
		return mdfh_error(-ENOMEM, "%s: %u messages", name, n);
	for (uint32_t i = 0; i < n; i++)
		d->rx[i].msg_hdr = (struct msghdr){
		    .msg_iov = &d->frames.iov[i],
		    .msg_iovlen = 1,
		    .msg_control = &d->control[i],
		    .msg_controllen = sizeof(d->control[i].room),
		};
	return 0;
}

/* Frames for trains are large, so there are no more than are asked for. */
static struct mdfh_bypass_config with_trains(const struct mdfh_bypass_config *config)
{
	struct mdfh_bypass_config larger = *config;
	uint32_t count = (config->hold_max ? config->hold_max : TRAIN_FRAMES) + config->batch_size;

	larger.frame_size = TRAIN_BYTES + TRAIN_SHIFT;
	if (count < config->rx_ring_size)
		larger.rx_ring_size = count;
	return larger;
}

static int make_trains(struct mdfh_datagrams *d, const char *name)
{
	d->held = mdfh_lines_alloc(d->frames.pool.count, sizeof(*d->held));
	if (!d->held)
		return mdfh_error(-ENOMEM, "%s: bookkeeping of trains", name);
	d->left_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return d->left_fd < 0 ? mdfh_socket_error(-errno, "%s: eventfd", name) : 0;
}

int mdfh_datagrams_open(struct mdfh_datagrams *d, struct mdfh_sockets *sockets, const char *name,
    const struct mdfh_bypass_config *config, int is_gro)
{
	struct mdfh_bypass_config own = is_gro ? with_trains(config) : *config;
	int rc;

	d->sockets = sockets;
	d->is_gro = sockets->is_gro = is_gro;
	d->left_fd = -1;
	d->per_train = 1;
	d->frame_size = config->frame_size;
	rc = mdfh_frames_map(&d->frames, name, &own, &sockets->base.capabilities);
	if (!rc)
		rc = make_messages(d, name, config->batch_size);
	if (!rc && is_gro)
		rc = make_trains(d, name);
	return rc;
}

void mdfh_datagrams_close(struct mdfh_datagrams *d)
{
	free(d->rx);
	free(d->control);
	free(d->held);
	if (d->is_gro && d->left_fd >= 0)
		close(d->left_fd);
	mdfh_frames_unmap(&d->frames);
}

/* Data path: one system call a batch ------------------------------------------------------------ */

/* Messages that came, or -EIO. */
static int read_messages(struct mdfh_datagrams *d, uint32_t flow, unsigned n)
{
	int got = recvmmsg(d->sockets->flows[flow].fd, d->rx, n, MSG_DONTWAIT, NULL);

	if (got >= 0)
		return got;
	return errno == EAGAIN || errno == EINTR
		   ? 0
		   : mdfh_error_errno(-EIO, "%s: recvmmsg of flows[%u]", d->sockets->name, flow);
}

/* What its control messages say of a packet; how long each datagram of a train is, else 0. */
static uint32_t read_control(struct mdfh_datagrams *d, unsigned place, struct mdfh_packet *packet)
{
	struct msghdr *header = &d->rx[place].msg_hdr;
	uint32_t size =
	    mdfh_sockets_read_control(d->sockets, &d->sockets->flows[packet->flow], header, packet);

	header->msg_controllen = sizeof(d->control[place].room);
	return size;
}

/* From a flow, a datagram a message. */
static int receive_singles(struct mdfh_datagrams *d, uint32_t flow, struct mdfh_packet *packets,
    unsigned n, uint64_t *empty)
{
	struct mdfh_bypass_stats *stats = &d->sockets->base.stats;
	unsigned armed = mdfh_frames_arm(&d->frames, n);
	uint64_t bytes = 0;
	int got;

	if (!armed) {
		stats->rx_starved++;
		return 0;
	}
	got = read_messages(d, flow, armed);
	if (got < 0)
		return got;
	if ((unsigned)got < armed)
		*empty |= UINT64_C(1) << flow;
	for (int i = 0; i < got; i++) {
		struct mdfh_packet *packet = &packets[i];

		*packet = (struct mdfh_packet){
		    .data = d->frames.iov[i].iov_base,
		    .cookie = mdfh_frames_take(&d->frames, (unsigned)i),
		    .length = d->rx[i].msg_len,
		    .time_error_ns = d->sockets->time_error_ns,
		    .flow = (uint16_t)flow,
		};
		/* A cut datagram is reported only here. */
		if (d->rx[i].msg_hdr.msg_flags & MSG_TRUNC) {
			packet->flags = MDFH_PACKET_TRUNCATED;
			stats->rx_truncated++;
		}
		read_control(d, (unsigned)i, packet);
		bytes += packet->length;
	}
	stats->rx_bytes += bytes;
	return got;
}

/* Trains ------------------------------------------------------------------------------------------ */

static void begin_train(struct mdfh_datagrams *d, unsigned place)
{
	struct mdfh_train *t = &d->train;
	uint32_t size;

	t->is_open = 1;
	t->is_cut = d->rx[place].msg_hdr.msg_flags & MSG_TRUNC;
	t->data = d->frames.iov[place].iov_base;
	t->frame = (uint32_t)mdfh_frames_take(&d->frames, place);
	t->length = d->rx[place].msg_len;
	t->at = t->count = 0;
	t->packet.receive_ns = 0;
	t->packet.flags = 0;
	t->packet.time_error_ns = d->sockets->time_error_ns;
	size = read_control(d, place, &t->packet);
	t->size = size && size < t->length ? size : t->length;
}

/* Hand out up to n packets of the train. Fewer, while it is open: packet 0, 1 ... of the window is
 * still out. */
static int cut_train(struct mdfh_datagrams *d, struct mdfh_packet *packets, int n)
{
	struct mdfh_bypass_stats *stats = &d->sockets->base.stats;
	struct mdfh_train *t = &d->train;
	struct mdfh_train_held *held = &d->held[t->frame];
	int got = 0;

	while (got < n && t->is_open) {
		struct mdfh_packet *packet = &packets[got];
		uint32_t index = t->count % MDFH_TRAIN_WINDOW;
		uint64_t bit = UINT64_C(1) << index % 64;
		uint32_t left = t->length - t->at;
		uint32_t bytes = left < t->size ? left : t->size;

		if (held->bits[index / 64] & bit)
			break;
		held->bits[index / 64] |= bit;
		*packet = t->packet;
		packet->data = t->data + t->at;
		packet->length = bytes < d->frame_size ? bytes : d->frame_size;
		packet->cookie = (uint64_t)t->frame * MDFH_TRAIN_WINDOW + index;
		t->at += bytes;
		t->count++;
		t->is_open = t->at < t->length;
		if (packet->length < bytes || (t->is_cut && !t->is_open)) {
			packet->flags |= MDFH_PACKET_TRUNCATED;
			stats->rx_truncated++;
		}
		stats->rx_bytes += packet->length;
		got++;
	}
	d->per_train = t->count;
	return got;
}

/* Of what has been read. */
static int hand_out(struct mdfh_datagrams *d, struct mdfh_packet *packets, int n)
{
	int got = 0;

	while (got < n && mdfh_datagrams_are_left(d)) {
		int cut;

		if (!d->train.is_open)
			begin_train(d, d->at++);
		cut = cut_train(d, packets + got, n - got);
		if (!cut) {
			d->sockets->base.stats.rx_starved++;
			break;
		}
		got += cut;
	}
	return got;
}

/* From a flow. No more messages are read than are likely to be needed: what they bring past n waits
 * here, ahead of other flows. */
static int receive_trains(
    struct mdfh_datagrams *d, uint32_t flow, struct mdfh_packet *packets, int n, uint64_t *empty)
{
	int got = 0;

	while (got < n && !mdfh_datagrams_are_left(d)) {
		unsigned want = ((unsigned)(n - got) + d->per_train - 1) / d->per_train;
		unsigned armed = mdfh_frames_arm(&d->frames, want);
		int count;

		if (!armed) {
			d->sockets->base.stats.rx_starved++;
			break;
		}
		count = read_messages(d, flow, armed);
		if (count < 0)
			return got ? got : count; /* the next call meets it again */
		d->at = 0;
		d->count = (uint32_t)count;
		d->train.packet.flow = (uint16_t)flow;
		got += hand_out(d, packets + got, n - got);
		if ((unsigned)count < armed) {
			*empty |= UINT64_C(1) << flow;
			break;
		}
	}
	return got;
}

static void tell_left(struct mdfh_datagrams *d)
{
	uint64_t value = 1;

	if (d->is_left == mdfh_datagrams_are_left(d))
		return;
	d->is_left = !d->is_left;
	if (d->is_left)
		(void)!write(d->left_fd, &value, sizeof(value));
	else
		(void)!read(d->left_fd, &value, sizeof(value));
}

/* The whole --------------------------------------------------------------------------------------- */

int mdfh_datagrams_recv(
    struct mdfh_datagrams *d, struct mdfh_packet *packets, int n, uint64_t *empty)
{
	int got = d->is_gro ? hand_out(d, packets, n) : 0;
	int rc = 0;

	*empty = 0;
	while (d->turn && got < n && !mdfh_datagrams_are_left(d)) {
		uint64_t ahead = d->turn & UINT64_MAX << d->next;
		uint32_t flow = (uint32_t)__builtin_ctzll(ahead ? ahead : d->turn);

		rc = d->is_gro
			 ? receive_trains(d, flow, packets + got, n - got, empty)
			 : receive_singles(d, flow, packets + got, (unsigned)(n - got), empty);
		if (rc < 0) /* with packets, the next call meets it again */
			break;
		got += rc;
		d->turn &= ~(UINT64_C(1) << flow);
		d->next = (flow + 1) & 63;
	}
	if (d->is_gro)
		tell_left(d);
	return got ? got : rc;
}

static void release_of_trains(struct mdfh_datagrams *d, const struct mdfh_packet *packets, int n)
{
	for (int i = 0; i < n; i++) {
		uint64_t frame = packets[i].cookie / MDFH_TRAIN_WINDOW;
		uint32_t index = (uint32_t)(packets[i].cookie % MDFH_TRAIN_WINDOW);
		uint64_t bit = UINT64_C(1) << index % 64, left = 0;
		struct mdfh_train_held *held;

		if (frame >= d->frames.pool.count)
			continue;
		held = &d->held[frame];
		if (!(held->bits[index / 64] & bit)) /* it is not held: ignored */
			continue;
		held->bits[index / 64] &= ~bit;
		for (int k = 0; k < MDFH_TRAIN_WINDOW / 64; k++)
			left |= held->bits[k];
		if (!left && !(d->train.is_open && d->train.frame == frame))
			(void)mdfh_pool_release(&d->frames.pool, frame);
	}
}

void mdfh_datagrams_release(struct mdfh_datagrams *d, const struct mdfh_packet *packets, int n)
{
	if (d->is_gro)
		release_of_trains(d, packets, n);
	else
		mdfh_frames_release(&d->frames, packets, n);
}
