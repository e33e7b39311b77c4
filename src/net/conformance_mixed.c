/* conformance_mixed.c - checks of a mixed stream of frames: exactly those of a flow are handed out, with
 * the flow's number, whoever matches them: the NIC, the kernel or the backend. */
#include <errno.h>
#include <string.h>

#include "mdfh/error.h"
#include "net/conformance_frames.h"
#include "net/conformance_trial.h"

enum { ROUNDS = 3, PAYLOAD = 24, NOBODY = MDFH_CONFORMANCE_FLOWS };

/* One more frame, of a flow or of NOBODY. */
static void add_frame(struct trial *t, int flow, struct conformance_frame frame)
{
	struct mdfh_conformance_datagram *d = &t->datagrams[t->sent];
	uint8_t *bytes = t->data[t->sent] + PAYLOAD;

	mdfh_trial_fill(t->data[t->sent], (uint32_t)t->sent, PAYLOAD);
	frame.payload = t->data[t->sent];
	frame.length = PAYLOAD;
	*d = (struct mdfh_conformance_datagram){
	    .data = t->data[t->sent],
	    .length = PAYLOAD,
	    .flow = flow == NOBODY ? 0 : (uint16_t)flow,
	    .flags = flow == NOBODY ? MDFH_CONFORMANCE_STRAY : 0,
	    .frame = bytes,
	    .frame_length = mdfh_conformance_frame_put(bytes, &frame),
	};
	t->sent++;
}

static struct conformance_frame frame_of(const struct mdfh_flow *flow)
{
	return (struct conformance_frame){
	    .source = flow->source, .destination = flow->group, .port = flow->port};
}

/* Everything that is no flow's, counted where the counting can be seen. */
static int judge(struct trial *t, int wanted, int counted)
{
	struct mdfh_bypass_stats stats;

	TRY(mdfh_trial_collect(t, wanted));
	TRY(mdfh_trial_expect_none(t));
	TRY(mdfh_trial_stats(t, &stats));
	REQUIRE(stats.rx_packets == (uint64_t)wanted, "rx_packets is %llu; %d were of a flow",
	    (unsigned long long)stats.rx_packets, wanted);
	REQUIRE(!stats.rx_dropped_nic && !stats.rx_dropped_kernel && !stats.rx_dropped_socket,
	    "what was filtered was counted as dropped");
	if (can(t)->filters == MDFH_PLACE_SOFTWARE)
		REQUIRE(stats.rx_filtered + stats.rx_malformed >= (uint64_t)counted,
		    "%d frames were of no flow; %llu are counted as filtered and %llu as malformed",
		    counted, (unsigned long long)stats.rx_filtered,
		    (unsigned long long)stats.rx_malformed);
	return 0;
}

int mdfh_check_mixed(struct trial *t)
{
	const struct mdfh_flow *flows = t->feed->flows;
	int wanted = 0;

	if (!flows)
		NOT_APPLICABLE("the feed carries no frames");
	for (int round = 0; round < ROUNDS; round++)
		for (int f = 0; f < MDFH_CONFORMANCE_FLOWS; f++) {
			struct conformance_frame frame;

			for (int odd = 0; odd < ODDITIES; odd++) {
				int is_sound = odd <= ODD_PADDED;

				frame = frame_of(&flows[f]);
				frame.oddity = (enum conformance_oddity)odd;
				add_frame(t, is_sound ? f : NOBODY, frame);
				wanted += is_sound;
			}
			frame = frame_of(&flows[f]);
			frame.port = (uint16_t)(frame.port + 100);
			add_frame(t, NOBODY, frame);
			frame = frame_of(&flows[f]);
			frame.source = t->feed->foreign;
			add_frame(t, NOBODY, frame);
			/* Of another group with the same hardware address. */
			frame = frame_of(&flows[f]);
			frame.destination = t->feed->alias;
			add_frame(t, NOBODY, frame);
		}
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, MDFH_CONFORMANCE_WITH_SOURCES));
	/* A backend that speaks IGMP itself takes what is meant for it. */
	return judge(t, wanted, t->sent - wanted - ROUNDS * MDFH_CONFORMANCE_FLOWS);
}

int mdfh_check_vlans(struct trial *t)
{
	static const struct {
		uint16_t vlan[2];
		int is_of[MDFH_CONFORMANCE_FLOWS];
	} tags[] = {
	    {{0, 0}, {0, 1, 0}},
	    {{MDFH_CONFORMANCE_VLAN, 0}, {1, 1, 0}},
	    {{MDFH_CONFORMANCE_VLAN + 1, 0}, {0, 1, 0}},
	    {{7, MDFH_CONFORMANCE_VLAN}, {1, 1, 0}},
	    {{MDFH_CONFORMANCE_VLAN + 2, 9}, {0, 1, 1}},
	    {{9, 7}, {0, 1, 0}},
	};
	const struct mdfh_bypass_config config = {
	    .size = sizeof(config), .poll_timeout_us = WAIT_US};
	const struct mdfh_flow *flows = t->feed->flows;
	int wanted = 0, rc;

	if (!flows)
		NOT_APPLICABLE("the feed carries no frames");
	for (int i = 0; i < MDFH_CONFORMANCE_FLOWS; i++)
		t->last_serial[i] = -1;
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		for (int f = 0; f < MDFH_CONFORMANCE_FLOWS; f++) {
			struct conformance_frame frame = frame_of(&flows[f]);

			memcpy(frame.vlan, tags[i].vlan, sizeof(frame.vlan));
			add_frame(t, tags[i].is_of[f] ? f : NOBODY, frame);
			wanted += tags[i].is_of[f];
		}
	rc = t->feed->open(t->feed->context, &config, MDFH_CONFORMANCE_WITH_VLANS, t->datagrams,
	    t->sent, &t->port);
	if (rc == -ENOTSUP)
		NOT_APPLICABLE("%.200s", mdfh_error_text());
	REQUIRE(!rc, "open: %s", mdfh_error_text());
	return judge(t, wanted, t->sent - wanted);
}
