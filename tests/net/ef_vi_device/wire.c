/* wire.c - frames off a network interface of the kernel's: a packet socket whose ring is shared with the
 * kernel, so that looking makes no system call. The kernel takes VLAN tags off; they are put back. */
#include "device.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/if_ether.h>
#include <linux/if_packet.h>

enum { RING_FRAMES = 4096, RING_FRAME_BYTES = 4096, BLOCK_BYTES = 1 << 16, AT_ONCE = 256 };

int efdev_wire_open(struct efdev_wire *wire, int interface)
{
	const struct tpacket_req ring = {.tp_block_size = BLOCK_BYTES,
	    .tp_block_nr = RING_FRAMES / (BLOCK_BYTES / RING_FRAME_BYTES),
	    .tp_frame_size = RING_FRAME_BYTES,
	    .tp_frame_nr = RING_FRAMES};
	const struct sockaddr_ll address = {
	    .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = interface};
	const int version = TPACKET_V2, one = 1;
	int rc;

	wire->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (wire->fd < 0)
		return -errno;
	/* What goes out on a loopback is seen to go before it comes: nothing to wake up for. */
	if (setsockopt(wire->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)) ||
	    setsockopt(wire->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof(version)) ||
	    setsockopt(wire->fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring)))
		goto fail;
	wire->ring = mmap(NULL, (size_t)RING_FRAMES * RING_FRAME_BYTES, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_POPULATE, wire->fd, 0);
	if (wire->ring == MAP_FAILED) {
		wire->ring = NULL;
		goto fail;
	}
	if (bind(wire->fd, (const struct sockaddr *)&address, sizeof(address)))
		goto fail;
	return 0;

fail:
	rc = -errno;
	efdev_wire_close(wire);
	return rc;
}

void efdev_wire_close(struct efdev_wire *wire)
{
	if (wire->ring)
		munmap(wire->ring, (size_t)RING_FRAMES * RING_FRAME_BYTES);
	if (wire->fd >= 0)
		close(wire->fd);
	wire->ring = NULL;
	wire->fd = -1;
}

static void take(struct efdev_queue *q, const struct tpacket2_hdr *header)
{
	const uint8_t *bytes = (const uint8_t *)header + header->tp_mac;
	uint8_t tagged[RING_FRAME_BYTES + 4];
	struct efdev_frame frame = {
	    .bytes = bytes,
	    .length = header->tp_snaplen,
	    .time_ns = header->tp_sec * UINT64_C(1000000000) + header->tp_nsec,
	};

	if (frame.length < 14)
		return;
	if (header->tp_status & TP_STATUS_VLAN_VALID) {
		uint16_t type =
		    htons(header->tp_status & TP_STATUS_VLAN_TPID_VALID ? header->tp_vlan_tpid
									: ETH_P_8021Q);
		uint16_t tag = htons(header->tp_vlan_tci);

		memcpy(tagged, bytes, 12);
		memcpy(tagged + 12, &type, 2);
		memcpy(tagged + 14, &tag, 2);
		memcpy(tagged + 16, bytes + 12, frame.length - 12);
		frame.bytes = tagged;
		frame.length += 4;
	}
	if (efdev_filters_match(q, frame.bytes, frame.length))
		(void)efdev_queue_take(q, &frame);
}

void efdev_wire_poll(struct efdev_queue *q)
{
	for (int i = 0; i < AT_ONCE; i++) {
		struct tpacket2_hdr *header =
		    (void *)(q->wire.ring + (size_t)q->wire.at * RING_FRAME_BYTES);
		_Atomic uint32_t *status = (void *)&header->tp_status;

		/* Pairs with the kernel's store when the frame is whole. */
		if (!(atomic_load_explicit(status, memory_order_acquire) & TP_STATUS_USER))
			return;
		take(q, header);
		atomic_store_explicit(status, TP_STATUS_KERNEL, memory_order_release);
		q->wire.at = (q->wire.at + 1) % RING_FRAMES;
	}
}
