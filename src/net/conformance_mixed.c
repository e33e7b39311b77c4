/* conformance_mixed.c - checks of a mixed stream of frames: exactly those of a flow are handed out, with
 * the flow's number, whoever matches them: the NIC, the kernel or the backend. */
#include <errno.h>
#include <string.h>

#include "mdfh/error.h"
#include "mdfh/frame.h"
#include "net/conformance_frames.h"
#include "net/conformance_trial.h"

enum { ROUNDS = 3, PAYLOAD = 24, NOBODY = MDFH_CONFORMANCE_FLOWS };

/* What must be counted where the backend sees every frame. */
struct counted {
	uint64_t filtered; /* sound, of no flow */
	uint64_t foreign;  /* of filtered: they differ in nothing but their source */
	uint64_t malformed[MDFH_FRAME_ERRORS];
	uint64_t igmp; /* of malformed: what a backend that speaks IGMP itself takes */
};

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

/* A sound frame of no flow. */
static void add_stray(struct trial *t, struct conformance_frame frame, struct counted *counted)
{
	add_frame(t, NOBODY, frame);
	counted->filtered++;
}

/* A frame of every oddity: those that are sound in spite of it are the flow's. How many those are. */
static int add_oddities(
    struct trial *t, int flow, struct conformance_frame frame, struct counted *counted)
{
	const int is_v6 = strchr(frame.destination, ':') != NULL;
	const enum mdfh_frame_error errors[ODDITIES] = {
	    [ODD_FRAGMENT] = MDFH_FRAME_FRAGMENT,
	    [ODD_IP_HEADER] = is_v6 ? MDFH_FRAME_IP_VERSION : MDFH_FRAME_IP_HEADER,
	    [ODD_UDP_LENGTH] = MDFH_FRAME_UDP_LENGTH,
	    [ODD_TCP] = MDFH_FRAME_NOT_UDP,
	    [ODD_IGMP] = MDFH_FRAME_NOT_UDP,
	    [ODD_SHORT] = MDFH_FRAME_IP_LENGTH,
	    [ODD_ARP] = MDFH_FRAME_NOT_IP,
	};
	int sound = 0;

	for (int odd = 0; odd < ODDITIES; odd++) {
		frame.oddity = (enum conformance_oddity)odd;
		add_frame(t, errors[odd] ? NOBODY : flow, frame);
		sound += !errors[odd];
		counted->malformed[errors[odd]] += errors[odd] != MDFH_FRAME_OK;
		counted->igmp += odd == ODD_IGMP;
	}
	return sound;
}

/* Each reason by itself. A capture holds nothing else; on a wire others may add to what is sound, and the kernel
 * or the NIC keeps away what it likes: a count is never higher than what was sent, and where the backend itself
 * looks at everything the sum is not lower. Where the kernel does, it counts the sources that a socket turned
 * away, or nothing. */
static int judge_counts(
    struct trial *t, const struct mdfh_bypass_stats *stats, const struct counted *counted)
{
	const int is_all = can(t)->is_finite, is_software = can(t)->filters == MDFH_PLACE_SOFTWARE;
	const int is_kernel = can(t)->filters == MDFH_PLACE_KERNEL;
	uint64_t sum = counted->filtered, malformed = 0;

	for (int e = 1; e < MDFH_FRAME_ERRORS; e++) {
		const uint64_t sent = counted->malformed[e], got = stats->malformed[e];
		const int is_usual = e == MDFH_FRAME_NOT_UDP || e == MDFH_FRAME_NOT_IP;

		sum += sent;
		malformed += got;
		if (is_all ? got != sent : got > sent && !(is_software && is_usual))
			FAIL("%llu frames are counted as \"%s\"; %llu were sent",
			    (unsigned long long)got,
			    mdfh_frame_error_name((enum mdfh_frame_error)e),
			    (unsigned long long)sent);
	}
	REQUIRE(stats->rx_malformed == malformed,
	    "%llu frames are counted as malformed, and %llu with a reason",
	    (unsigned long long)stats->rx_malformed, (unsigned long long)malformed);
	REQUIRE(is_all        ? stats->rx_filtered == counted->filtered
		: is_software ? 1
		: is_kernel   ? !stats->rx_filtered || stats->rx_filtered == counted->foreign
			      : stats->rx_filtered <= counted->filtered,
	    "%llu frames are counted as filtered; %llu were of no flow, %llu of these for their "
	    "source",
	    (unsigned long long)stats->rx_filtered, (unsigned long long)counted->filtered,
	    (unsigned long long)counted->foreign);
	REQUIRE(!is_software || stats->rx_filtered + malformed >= sum - counted->igmp,
	    "%llu frames were of no flow; %llu are counted as filtered and %llu as malformed",
	    (unsigned long long)sum, (unsigned long long)stats->rx_filtered,
	    (unsigned long long)malformed);
	return 0;
}

/* Everything that is no flow's, counted where the counting can be seen. */
static int judge(struct trial *t, int wanted, const struct counted *counted)
{
	struct mdfh_bypass_stats stats;

	TRY(mdfh_trial_collect(t, wanted));
	TRY(mdfh_trial_expect_none(t));
	TRY(mdfh_trial_stats(t, &stats));
	REQUIRE(stats.rx_packets == (uint64_t)wanted, "rx_packets is %llu; %d were of a flow",
	    (unsigned long long)stats.rx_packets, wanted);
	REQUIRE(!stats.rx_dropped_nic && !stats.rx_dropped_kernel && !stats.rx_dropped_socket,
	    "what was filtered was counted as dropped");
	return judge_counts(t, &stats, counted);
}

static const uint8_t other_mac[6] = {0x02, 0, 0, 0, 0, 0x55};

int mdfh_check_mixed(struct trial *t)
{
	const struct mdfh_flow *flows = t->feed->flows;
	struct counted counted = {0};
	int wanted = 0;

	if (!flows)
		NOT_APPLICABLE("the feed carries no frames");
	for (int round = 0; round < ROUNDS; round++)
		for (int f = 0; f < MDFH_CONFORMANCE_FLOWS; f++) {
			const struct conformance_frame sound = frame_of(&flows[f]);
			struct conformance_frame frame;

			wanted += add_oddities(t, f, sound, &counted);
			frame = sound;
			frame.port = (uint16_t)(frame.port + 100);
			add_stray(t, frame, &counted);
			frame = sound;
			frame.source = t->feed->foreign;
			add_stray(t, frame, &counted);
			counted.foreign++;
			/* Of another group with the same hardware address. */
			frame = sound;
			frame.destination = t->feed->alias;
			add_stray(t, frame, &counted);
			/* To a host: another one, which a switch floods, and this one. */
			frame.destination = t->feed->foreign;
			frame.mac = other_mac;
			add_stray(t, frame, &counted);
			if (!t->feed->host)
				continue;
			frame.destination = t->feed->host;
			frame.mac = t->feed->host_mac;
			add_stray(t, frame, &counted);
		}
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, MDFH_CONFORMANCE_WITH_SOURCES));
	return judge(t, wanted, &counted);
}

int mdfh_check_unicast(struct trial *t)
{
	const int with = MDFH_CONFORMANCE_WITH_SOURCES | MDFH_CONFORMANCE_WITH_HOST;
	struct counted counted = {0};
	int wanted = 0;

	if (!t->feed->flows)
		NOT_APPLICABLE("the feed carries no frames");
	if (!t->feed->host)
		NOT_APPLICABLE("the interface has no address of this family");
	for (int round = 0; round < ROUNDS; round++)
		for (int f = 0; f < MDFH_CONFORMANCE_FLOWS; f++) {
			const struct conformance_frame sound = {
			    .source = t->feed->flows[0].source,
			    .destination = t->feed->host,
			    .mac = t->feed->host_mac,
			    .port = (uint16_t)(t->feed->flows[0].port + f),
			};
			struct conformance_frame frame;

			wanted += add_oddities(t, f, sound, &counted);
			frame = sound;
			frame.port = (uint16_t)(frame.port + 100);
			add_stray(t, frame, &counted);
			frame = sound;
			frame.source = t->feed->foreign;
			add_stray(t, frame, &counted);
			counted.foreign++;
			frame = sound;
			frame.destination = t->feed->foreign;
			frame.mac = other_mac;
			add_stray(t, frame, &counted);
			frame = sound;
			frame.destination = t->feed->flows[0].group;
			frame.mac = NULL;
			add_stray(t, frame, &counted);
		}
	TRY(mdfh_trial_open(t, (struct mdfh_bypass_config){0}, with));
	return judge(t, wanted, &counted);
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
	struct counted counted = {0};
	int wanted = 0, rc;

	if (!flows)
		NOT_APPLICABLE("the feed carries no frames");
	for (int i = 0; i < MDFH_CONFORMANCE_FLOWS; i++)
		t->last_serial[i] = -1;
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++)
		for (int f = 0; f < MDFH_CONFORMANCE_FLOWS; f++) {
			struct conformance_frame frame = frame_of(&flows[f]);

			memcpy(frame.vlan, tags[i].vlan, sizeof(frame.vlan));
			if (!tags[i].is_of[f]) {
				add_stray(t, frame, &counted);
				continue;
			}
			add_frame(t, f, frame);
			wanted++;
		}
	rc = t->feed->open(t->feed->context, &config, MDFH_CONFORMANCE_WITH_VLANS, t->datagrams,
	    t->sent, &t->port);
	if (rc == -ENOTSUP)
		NOT_APPLICABLE("%.200s", mdfh_error_text());
	REQUIRE(!rc, "open: %s", mdfh_error_text());
	return judge(t, wanted, &counted);
}
