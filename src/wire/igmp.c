/* igmp.c - when a host speaks: RFC 3376 sections 5 and 7.2, RFC 2236 section 6, RFC 3810 sections 6
 * and 8.2, RFC 2710 section 5. */
#include "wire/igmp.h"

#include <errno.h>
#include <string.h>

#include "core/random.h"
#include "mdfh/error.h"
#include "wire/igmp_message.h"

#define SECOND_NS 1000000000ULL
#define NEVER     UINT64_MAX

enum {
	NEWEST = 3,
	ROBUSTNESS = 2,         /* section 8.1 */
	QUERY_INTERVAL = 125,   /* s, section 8.2 */
	UNSOLICITED_S = 1,      /* sections 8.11 and 9.11 */
	UNSOLICITED_OLD_S = 10, /* RFC 2236 section 8.10; MLDv1 has the same */
};

/* In (0, most]. */
static uint64_t delay(struct mdfh_igmp *igmp, uint64_t most)
{
	return most ? 1 + mdfh_random_next(&igmp->random) % most : 1;
}

static struct mdfh_igmp_link *link_of(struct mdfh_igmp *igmp, const struct mdfh_igmp_group *group)
{
	return &igmp->links[group->link];
}

static void set_next(struct mdfh_igmp *igmp)
{
	uint64_t next = NEVER;

	for (uint32_t i = 0; i < igmp->link_count; i++) {
		const struct mdfh_igmp_link *link = &igmp->links[i];

		if (link->change_ns < next)
			next = link->change_ns;
		if (link->answer_ns < next)
			next = link->answer_ns;
		for (int version = 1; version < NEWEST; version++)
			if (link->older_ns[version] && link->older_ns[version] < next)
				next = link->older_ns[version];
	}
	for (uint32_t i = 0; i < igmp->group_count; i++)
		if (igmp->groups[i].answer_ns < next)
			next = igmp->groups[i].answer_ns;
	igmp->next_ns = next;
}

/* A due time after the clock was set back. */
static void shift(uint64_t *due_ns, uint64_t back_ns)
{
	if (*due_ns && *due_ns != NEVER)
		*due_ns = *due_ns > back_ns ? *due_ns - back_ns : 1;
}

static void follow_clock(struct mdfh_igmp *igmp, uint64_t now_ns)
{
	uint64_t back_ns = igmp->now_ns - now_ns;

	if (now_ns >= igmp->now_ns) {
		igmp->now_ns = now_ns;
		return;
	}
	igmp->now_ns = now_ns;
	for (uint32_t i = 0; i < igmp->link_count; i++) {
		shift(&igmp->links[i].change_ns, back_ns);
		shift(&igmp->links[i].answer_ns, back_ns);
		for (int version = 1; version < NEWEST; version++)
			shift(&igmp->links[i].older_ns[version], back_ns);
	}
	for (uint32_t i = 0; i < igmp->group_count; i++)
		shift(&igmp->groups[i].answer_ns, back_ns);
	set_next(igmp);
}

/* Setup ----------------------------------------------------------------- */

/* Groups that no host speaks of: all systems (RFC 2236 section 6), and for MLD also those that do
 * not leave the node (RFC 3810 section 6). */
static int is_silent(const uint8_t group[16])
{
	if (mdfh_frame_is_ipv4(group))
		return memcmp(group + 12, (uint8_t[]){224, 0, 0, 1}, 4) == 0;
	if ((group[1] & 0x0f) < 2)
		return 1;
	return memcmp(group, (uint8_t[16]){0xff, 2, [15] = 1}, 16) == 0;
}

static uint8_t newest(const struct mdfh_igmp *igmp, int is_ipv6)
{
	uint8_t version = igmp->config.version;

	return is_ipv6 && version < 2 ? 2 : version;
}

static uint8_t find_link(struct mdfh_igmp *igmp, uint16_t vlan, int is_ipv6)
{
	uint32_t i = 0;

	while (i < igmp->link_count &&
	       (igmp->links[i].vlan != vlan || igmp->links[i].is_ipv6 != is_ipv6))
		i++;
	if (i == igmp->link_count) {
		igmp->link_count++;
		igmp->links[i] = (struct mdfh_igmp_link){
		    .vlan = vlan,
		    .is_ipv6 = (uint8_t)is_ipv6,
		    .version = newest(igmp, is_ipv6),
		    .robustness = igmp->config.robustness,
		    .interval_s = QUERY_INTERVAL,
		    .change_ns = NEVER,
		    .answer_ns = NEVER,
		};
	}
	return (uint8_t)i;
}

static struct mdfh_igmp_group *find_group(
    struct mdfh_igmp *igmp, uint8_t link, const uint8_t address[16])
{
	for (uint32_t i = 0; i < igmp->group_count; i++)
		if (igmp->groups[i].link == link && !memcmp(igmp->groups[i].address, address, 16))
			return &igmp->groups[i];
	return NULL;
}

static void add_source(struct mdfh_igmp *igmp, uint8_t group, const uint8_t address[16])
{
	for (uint32_t i = 0; i < igmp->source_count; i++)
		if (igmp->sources[i].group == group &&
		    !memcmp(igmp->sources[i].address, address, 16))
			return;
	igmp->sources[igmp->source_count].group = group;
	memcpy(igmp->sources[igmp->source_count++].address, address, 16);
}

static int add_flow(struct mdfh_igmp *igmp, const struct mdfh_flow *flow, uint32_t index)
{
	struct mdfh_igmp_group *group;
	uint8_t address[16], source[16];
	uint8_t link;

	if (!flow->group)
		return 0;
	if (mdfh_frame_address(flow->group, address))
		return mdfh_error(-EINVAL,
		    "igmp: flows[%u].group is '%.64s'; it must be a numeric address", index,
		    flow->group);
	if (!mdfh_frame_is_multicast(address) || is_silent(address))
		return 0;
	if (flow->source && (mdfh_frame_address(flow->source, source) ||
				mdfh_frame_is_ipv4(source) != mdfh_frame_is_ipv4(address)))
		return mdfh_error(-EINVAL,
		    "igmp: flows[%u].source is '%.64s'; it must be a numeric address of the "
		    "group's family",
		    index, flow->source);
	link = find_link(igmp, flow->vlan, !mdfh_frame_is_ipv4(address));
	group = find_group(igmp, link, address);
	if (!group) {
		group = &igmp->groups[igmp->group_count++];
		memcpy(group->address, address, 16);
		group->link = link;
		group->answer_ns = NEVER;
	}
	if (flow->source)
		add_source(igmp, (uint8_t)(group - igmp->groups), source);
	else
		group->any_source = 1;
	return 0;
}

int mdfh_igmp_init(struct mdfh_igmp *igmp, const struct mdfh_igmp_config *config,
    const struct mdfh_flow *flows, uint32_t count, uint64_t now_ns)
{
	memset(igmp, 0, sizeof(*igmp));
	igmp->config = *config;
	igmp->random = config->seed;
	igmp->now_ns = now_ns;
	if (!config->version)
		igmp->config.version = NEWEST;
	if (!config->robustness)
		igmp->config.robustness = ROBUSTNESS;
	if (igmp->config.version > NEWEST || igmp->config.robustness > 7)
		return mdfh_error(-EINVAL,
		    "igmp: version is %u and robustness %u; they must be at most %d and 7",
		    config->version, config->robustness, NEWEST);
	if (count > MDFH_IGMP_GROUPS_MAX)
		return mdfh_error(-EINVAL, "igmp: %u flows; there can be at most %d", count,
		    MDFH_IGMP_GROUPS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		int error = add_flow(igmp, &flows[i], i);

		if (error)
			return error;
	}
	mdfh_igmp_renew(igmp, now_ns);
	return 0;
}

/* Versions -------------------------------------------------------------- */

/* The oldest querier that counts as present decides. Whoever changes the version forgets what was
 * to be said in the old one (section 7.2.1): the querier that made it change asks anyway. */
static void set_version(struct mdfh_igmp *igmp, struct mdfh_igmp_link *link)
{
	uint8_t version = newest(igmp, link->is_ipv6);

	for (uint8_t older = version; older-- > 1;)
		if (link->older_ns[older])
			version = older;
	if (version == link->version || igmp->leaving)
		return;
	link->version = version;
	link->answer_ns = NEVER;
	link->change_ns = NEVER;
	link->changes = 0;
	for (uint32_t i = 0; i < igmp->group_count; i++) {
		struct mdfh_igmp_group *group = &igmp->groups[i];

		if (link_of(igmp, group) != link)
			continue;
		group->answer_ns = NEVER;
		group->asked_count = 0;
		group->repeats = 0;
	}
	igmp->stats.version_changes++;
}

/* Section 8.12: an older querier is believed gone after this. */
static void hear_older(
    struct mdfh_igmp_link *link, const struct mdfh_igmp_message *query, uint64_t now_ns)
{
	uint64_t quiet_ns =
	    (uint64_t)link->robustness * link->interval_s * SECOND_NS + query->answer_ns;

	link->older_ns[query->version] = now_ns + quiet_ns;
}

/* Queries and others' reports -------------------------------------------- */

/* Older versions: a timer of every group that runs is only brought forward (RFC 2236 section 6). */
static void ask_old(
    struct mdfh_igmp *igmp, struct mdfh_igmp_group *group, uint64_t most_ns, uint64_t now_ns)
{
	if (group->answer_ns == NEVER || group->answer_ns > now_ns + most_ns)
		group->answer_ns = now_ns + delay(igmp, most_ns);
}

/* Add the query's sources to what is to be answered of the group, or give up telling them apart. */
static void ask_sources(struct mdfh_igmp_group *group, const struct mdfh_igmp_message *query)
{
	uint32_t size = query->is_ipv6 ? 16 : 4;

	for (uint32_t i = 0; i < query->source_count; i++) {
		uint8_t source[16] = {[10] = 0xff, [11] = 0xff};
		uint32_t known = 0;

		memcpy(source + 16 - size, query->sources + (size_t)i * size, size);
		while (known < group->asked_count && memcmp(group->asked[known], source, 16) != 0)
			known++;
		if (known < group->asked_count)
			continue;
		if (group->asked_count == MDFH_IGMP_ASKED_MAX) {
			group->asked_count = 0;
			return;
		}
		memcpy(group->asked[group->asked_count++], source, 16);
	}
}

/* Section 5.2, rules 1 and 3 to 5. */
static void ask_group(struct mdfh_igmp *igmp, struct mdfh_igmp_group *group,
    const struct mdfh_igmp_message *query, uint64_t now_ns)
{
	uint64_t at = now_ns + delay(igmp, query->answer_ns);
	int pending = group->answer_ns != NEVER;

	if (link_of(igmp, group)->answer_ns <= at)
		return;
	if (!query->source_count || (pending && !group->asked_count))
		group->asked_count = 0;
	else
		ask_sources(group, query);
	if (!pending || at < group->answer_ns)
		group->answer_ns = at;
}

static void ask_general(
    struct mdfh_igmp *igmp, uint8_t index, const struct mdfh_igmp_message *query, uint64_t now_ns)
{
	struct mdfh_igmp_link *link = &igmp->links[index];
	uint64_t at;

	if (link->version == NEWEST) {
		at = now_ns + delay(igmp, query->answer_ns);
		if (at < link->answer_ns)
			link->answer_ns = at;
		return;
	}
	for (uint32_t i = 0; i < igmp->group_count; i++)
		if (igmp->groups[i].link == index)
			ask_old(igmp, &igmp->groups[i], query->answer_ns, now_ns);
}

static void hear_query(
    struct mdfh_igmp *igmp, uint8_t index, const struct mdfh_igmp_message *query, uint64_t now_ns)
{
	struct mdfh_igmp_link *link = &igmp->links[index];
	struct mdfh_igmp_group *group;

	if (query->version == NEWEST) {
		link->robustness = query->robustness ? query->robustness : igmp->config.robustness;
		if (query->interval_s)
			link->interval_s = query->interval_s;
	} else if (query->is_general) {
		hear_older(link, query, now_ns);
		set_version(igmp, link);
	}
	if (query->is_general) {
		ask_general(igmp, index, query, now_ns);
		return;
	}
	group = find_group(igmp, index, query->group);
	if (group && link->version == NEWEST)
		ask_group(igmp, group, query, now_ns);
	else if (group)
		ask_old(igmp, group, query->answer_ns, now_ns);
}

/* Another member has told the querier: older versions need no more than one. */
static void hear_report(
    struct mdfh_igmp *igmp, uint8_t index, const struct mdfh_igmp_message *report)
{
	struct mdfh_igmp_group *group = find_group(igmp, index, report->group);

	if (igmp->links[index].version == NEWEST)
		return;
	igmp->stats.others_reports++;
	if (!group)
		return;
	igmp->stats.suppressed += group->answer_ns != NEVER;
	group->answer_ns = NEVER;
	group->repeats = 0;
	group->last_reporter = 0;
}

/* Untagged frames and those tagged for their priority alone are the link without a VLAN. */
static uint32_t link_heard(const struct mdfh_igmp *igmp, const struct mdfh_frame *frame)
{
	uint16_t vlan = frame->vlan_count ? frame->vlan[0] : 0;
	uint32_t i = 0;

	if (frame->vlan_count > 1)
		return igmp->link_count;
	while (i < igmp->link_count &&
	       (igmp->links[i].vlan != vlan || igmp->links[i].is_ipv6 != (frame->ip_version == 6)))
		i++;
	return i;
}

/* To all systems, or to the group that it is about, or to this host alone (sections 4.1.12 and
 * 5.1.15). */
static int is_to_us(const struct mdfh_igmp *igmp, const struct mdfh_frame *frame,
    const struct mdfh_igmp_message *message)
{
	if (!message->is_general && !memcmp(frame->destination, message->group, 16))
		return 1;
	if (message->kind != MDFH_IGMP_QUERY)
		return 0;
	if (message->is_ipv6)
		return !memcmp(frame->destination, (uint8_t[16]){0xff, 2, [15] = 1}, 16) ||
		       !memcmp(frame->destination, igmp->config.address6, 16);
	return !memcmp(frame->destination + 12, (uint8_t[]){224, 0, 0, 1}, 4) ||
	       !memcmp(frame->destination + 12, igmp->config.address, 4);
}

int mdfh_igmp_input(struct mdfh_igmp *igmp, const uint8_t *bytes, uint32_t captured,
    const struct mdfh_frame *frame, uint64_t now_ns)
{
	struct mdfh_igmp_message message;
	uint32_t link = link_heard(igmp, frame);

	mdfh_igmp_message_read(bytes, captured, frame, &message);
	if (message.kind == MDFH_IGMP_NOTHING)
		return 0;
	follow_clock(igmp, now_ns);
	/* Our own frames, brought back by a switch or the driver, are no one else's. */
	if (message.kind == MDFH_IGMP_UNSOUND || igmp->leaving || link == igmp->link_count ||
	    !memcmp(bytes + 6, igmp->config.mac, 6) || !is_to_us(igmp, frame, &message)) {
		igmp->stats.ignored++;
		return 1;
	}
	if (message.kind == MDFH_IGMP_QUERY) {
		igmp->stats.queries++;
		hear_query(igmp, (uint8_t)link, &message, now_ns);
	} else {
		hear_report(igmp, (uint8_t)link, &message);
	}
	set_next(igmp);
	return 1;
}

/* Speaking -------------------------------------------------------------- */

struct speech {
	struct mdfh_igmp *igmp;
	mdfh_igmp_emit emit;
	void *context;
	uint64_t now_ns;
	int frames;
	struct mdfh_igmp_writer writer; /* of a report of version 3 */
};

static void send_frame(struct speech *speech, uint32_t length, uint64_t *counter)
{
	if (speech->emit(speech->context, speech->igmp->frame, length) < 0) {
		speech->igmp->stats.not_sent++;
		return;
	}
	++*counter;
	speech->frames++;
}

static void end_report(struct speech *speech)
{
	if (speech->writer.records)
		send_frame(speech, mdfh_igmp_report_end(&speech->writer),
		    &speech->igmp->stats.reports_sent);
}

/* A record fits into an empty report whatever it holds: 64 sources at most. */
static void add_record(struct speech *speech, enum mdfh_igmp_record type,
    const struct mdfh_igmp_group *group, const uint8_t *const *sources, uint32_t count)
{
	struct mdfh_igmp_writer *writer = &speech->writer;

	if (mdfh_igmp_report_add(writer, type, group->address, sources, count))
		return;
	end_report(speech);
	mdfh_igmp_report_begin(writer, speech->igmp, writer->link);
	mdfh_igmp_report_add(writer, type, group->address, sources, count);
}

/* Sources of a group that is joined for these alone. */
static uint32_t sources_of(const struct mdfh_igmp *igmp, const struct mdfh_igmp_group *group,
    const uint8_t *sources[MDFH_IGMP_SOURCES_MAX])
{
	uint32_t index = (uint32_t)(group - igmp->groups);
	uint32_t count = 0;

	for (uint32_t i = 0; !group->any_source && i < igmp->source_count; i++)
		if (igmp->sources[i].group == index)
			sources[count++] = igmp->sources[i].address;
	return count;
}

static void say_whole(struct speech *speech, const struct mdfh_igmp_group *group,
    enum mdfh_igmp_record any_source, enum mdfh_igmp_record some_sources)
{
	const uint8_t *sources[MDFH_IGMP_SOURCES_MAX];
	uint32_t count = sources_of(speech->igmp, group, sources);

	add_record(speech, group->any_source ? any_source : some_sources, group, sources, count);
}

/* Section 5.2: of the sources asked for those that are wanted; of none of them nothing is said. */
static void say_asked(struct speech *speech, const struct mdfh_igmp_group *group)
{
	const uint8_t *own[MDFH_IGMP_SOURCES_MAX];
	const uint8_t *wanted[MDFH_IGMP_ASKED_MAX];
	uint32_t own_count = sources_of(speech->igmp, group, own);
	uint32_t count = 0;

	for (uint32_t i = 0; i < group->asked_count; i++) {
		int is_wanted = group->any_source;

		for (uint32_t j = 0; j < own_count && !is_wanted; j++)
			is_wanted = !memcmp(own[j], group->asked[i], 16);
		if (is_wanted)
			wanted[count++] = group->asked[i];
	}
	if (count)
		add_record(speech, MDFH_IGMP_IS_INCLUDE, group, wanted, count);
}

/* All groups of a link in as few reports as hold them. */
static void say_link(struct speech *speech, const struct mdfh_igmp_link *link,
    enum mdfh_igmp_record any_source, enum mdfh_igmp_record some_sources)
{
	struct mdfh_igmp *igmp = speech->igmp;

	mdfh_igmp_report_begin(&speech->writer, igmp, link);
	for (uint32_t i = 0; i < igmp->group_count; i++)
		if (link_of(igmp, &igmp->groups[i]) == link)
			say_whole(speech, &igmp->groups[i], any_source, some_sources);
	end_report(speech);
}

static void say_old(struct speech *speech, struct mdfh_igmp_group *group)
{
	struct mdfh_igmp *igmp = speech->igmp;

	send_frame(speech, mdfh_igmp_report_old(igmp, link_of(igmp, group), group->address),
	    &igmp->stats.reports_sent);
	group->last_reporter = 1;
	group->answer_ns = NEVER;
	if (!group->repeats)
		return;
	group->repeats--;
	group->answer_ns = speech->now_ns + delay(igmp, UNSOLICITED_OLD_S * SECOND_NS);
}

/* RFC 2236 section 6: only whoever reported last; version 1 has no such message. */
static void leave_old(struct speech *speech, const struct mdfh_igmp_group *group)
{
	struct mdfh_igmp *igmp = speech->igmp;

	if (link_of(igmp, group)->version > 1 && group->last_reporter)
		send_frame(speech, mdfh_igmp_leave_old(igmp, link_of(igmp, group), group->address),
		    &igmp->stats.leaves_sent);
}

/* Joins or leaves of all groups of a link. */
static void say_changes(struct speech *speech, struct mdfh_igmp_link *link)
{
	struct mdfh_igmp *igmp = speech->igmp;

	if (link->version == NEWEST) {
		say_link(speech, link, igmp->leaving ? MDFH_IGMP_TO_INCLUDE : MDFH_IGMP_TO_EXCLUDE,
		    igmp->leaving ? MDFH_IGMP_BLOCK : MDFH_IGMP_ALLOW);
		link->changes--;
		link->change_ns =
		    link->changes ? speech->now_ns + delay(igmp, UNSOLICITED_S * SECOND_NS) : NEVER;
		return;
	}
	for (uint32_t i = 0; i < igmp->group_count; i++) {
		struct mdfh_igmp_group *group = &igmp->groups[i];

		if (link_of(igmp, group) != link)
			continue;
		if (igmp->leaving) {
			leave_old(speech, group);
		} else {
			group->repeats = (uint8_t)(link->robustness - 1);
			say_old(speech, group);
		}
	}
	link->changes = 0;
	link->change_ns = NEVER;
}

static void poll_link(struct speech *speech, struct mdfh_igmp_link *link)
{
	for (int version = 1; version < NEWEST; version++)
		if (link->older_ns[version] && link->older_ns[version] <= speech->now_ns)
			link->older_ns[version] = 0;
	set_version(speech->igmp, link);
	if (link->change_ns <= speech->now_ns)
		say_changes(speech, link);
	if (link->answer_ns <= speech->now_ns) {
		link->answer_ns = NEVER;
		say_link(speech, link, MDFH_IGMP_IS_EXCLUDE, MDFH_IGMP_IS_INCLUDE);
	}
}

static void poll_group(struct speech *speech, struct mdfh_igmp_group *group)
{
	const struct mdfh_igmp_link *link = link_of(speech->igmp, group);

	if (group->answer_ns > speech->now_ns)
		return;
	if (link->version != NEWEST) {
		say_old(speech, group);
		return;
	}
	mdfh_igmp_report_begin(&speech->writer, speech->igmp, link);
	if (group->asked_count)
		say_asked(speech, group);
	else
		say_whole(speech, group, MDFH_IGMP_IS_EXCLUDE, MDFH_IGMP_IS_INCLUDE);
	end_report(speech);
	group->answer_ns = NEVER;
	group->asked_count = 0;
}

int mdfh_igmp_poll(struct mdfh_igmp *igmp, uint64_t now_ns, mdfh_igmp_emit emit, void *context)
{
	struct speech speech = {.igmp = igmp, .emit = emit, .context = context, .now_ns = now_ns};

	follow_clock(igmp, now_ns);
	if (now_ns < igmp->next_ns)
		return 0;
	for (uint32_t i = 0; i < igmp->link_count; i++)
		poll_link(&speech, &igmp->links[i]);
	for (uint32_t i = 0; i < igmp->group_count; i++)
		poll_group(&speech, &igmp->groups[i]);
	set_next(igmp);
	return speech.frames;
}

void mdfh_igmp_renew(struct mdfh_igmp *igmp, uint64_t now_ns)
{
	follow_clock(igmp, now_ns);
	for (uint32_t i = 0; i < igmp->link_count; i++) {
		igmp->links[i].changes = igmp->links[i].robustness;
		igmp->links[i].change_ns = now_ns;
	}
	set_next(igmp);
}

void mdfh_igmp_leave(struct mdfh_igmp *igmp, uint64_t now_ns)
{
	follow_clock(igmp, now_ns);
	igmp->leaving = 1;
	for (uint32_t i = 0; i < igmp->group_count; i++) {
		igmp->groups[i].answer_ns = NEVER;
		igmp->groups[i].repeats = 0;
	}
	for (uint32_t i = 0; i < igmp->link_count; i++) {
		igmp->links[i].answer_ns = NEVER;
		igmp->links[i].changes = igmp->links[i].robustness;
		igmp->links[i].change_ns = now_ns;
		/* The version stays what it is until all is said. */
		memset(igmp->links[i].older_ns, 0, sizeof(igmp->links[i].older_ns));
	}
	set_next(igmp);
}
