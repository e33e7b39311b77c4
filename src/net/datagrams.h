/* datagrams.h - what has come to the sockets of a port, read by recvmmsg(2), one call for a batch of a
 * flow. Which flows have something, the backend finds out in its own way.
 *
 * A datagram lies in a frame of its own, which is the packet's until it is released. With gro=on the
 * kernel may deliver a train: datagrams of one sender and one size (the last may be shorter), put
 * together by the device's GRO or by a sender with UDP_SEGMENT, at the price of one. A frame then has
 * room for the longest train, which is cut into packets where it lies, and is free when all of them
 * have been released. Trains that were read and are still to be handed out make left_fd readable. */
#ifndef MDFH_NET_DATAGRAMS_H
#define MDFH_NET_DATAGRAMS_H

#include "net/frames.h"
#include "net/socket.h"

/* Packets of one train that can be out at a time; more than Linux puts into one. */
enum { MDFH_TRAIN_WINDOW = 128 };

struct mdfh_train {
	int is_open; /* there are packets to be handed out */
	int is_cut;  /* its end is missing */
	uint32_t frame;
	uint32_t length, at; /* bytes, and of these handed out */
	uint32_t size;       /* of each packet but the last */
	uint32_t count;      /* packets handed out */
	const uint8_t *data;
	struct mdfh_packet packet; /* what all of them have in common */
};

/* Bit i: packet i, modulo the window, of the train in this frame is out. */
struct mdfh_train_held {
	uint64_t bits[MDFH_TRAIN_WINDOW / 64];
};

struct mdfh_datagrams {
	struct mdfh_sockets *sockets;
	uint64_t turn;          /* bit f: flow f has not had its turn in this round */
	uint32_t next;          /* flow whose turn it is */
	struct mmsghdr *rx;     /* batch_size messages, one for each place of frames ... */
	union control *control; /* ... and their control messages */
	struct mdfh_frames frames;

	/* gro=on */
	int is_gro;
	int left_fd;         /* an eventfd; -1 = off */
	int is_left;         /* it is readable */
	uint32_t frame_size; /* as configured: a packet is cut at it */
	uint32_t at, count;  /* messages that were read, and of these taken up */
	uint32_t per_train;  /* packets in the newest train */
	struct mdfh_train train;
	struct mdfh_train_held *held; /* by frame */
};

/* The option gro of backend_options: 1, 0, or -EINVAL. */
int mdfh_datagrams_read_gro(const char *options, const char *name);

/* Memory for what arrives; call it before mdfh_sockets_open, whose sockets is_gro sets up, too. On
 * failure what was made so far stays for mdfh_datagrams_close. */
int mdfh_datagrams_open(struct mdfh_datagrams *d, struct mdfh_sockets *sockets, const char *name,
    const struct mdfh_bypass_config *config, int is_gro);
void mdfh_datagrams_close(struct mdfh_datagrams *d); /* in any state; zeroed, too */

/* Receive up to n packets: what is left of trains, then from the flows of d->turn, one after the other,
 * so that a busy one cannot starve the rest; who has had his turn is taken out of it. *empty gets a
 * bit for each flow in which nothing was left. The count, or -EIO. */
int mdfh_datagrams_recv(
    struct mdfh_datagrams *d, struct mdfh_packet *packets, int n, uint64_t *empty);
void mdfh_datagrams_release(struct mdfh_datagrams *d, const struct mdfh_packet *packets, int n);

/* 1 if trains are left to be handed out. */
static inline int mdfh_datagrams_are_left(const struct mdfh_datagrams *d)
{
	return d->train.is_open || d->at < d->count;
}

#endif
