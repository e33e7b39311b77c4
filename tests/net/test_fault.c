/* test_fault.c - seeded faults: what they do to packets is counted exactly, is the same each time,
 * and does not depend on how the caller receives.
 *
 * The source is a capture of numbered packets on two groups, read through the pcap backend. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "mdfh/bypass.h"
#include "mdfh/capture.h"
#include "mdfh/error.h"
#include "mdfh/fault.h"
#include "wire/capture_files.h"

enum { PACKETS = 5000, LENGTH = 40, OUT_MAX = 2 * PACKETS, SPACING_NS = 1000 };

static char path[128];

static const struct mdfh_flow flows[] = {
    {.group = "239.1.1.1", .port = 5000}, {.group = "239.1.1.2", .port = 5000}};

/* What came out. */
struct result {
	int count;
	struct {
		uint32_t number;
		uint32_t length;
		uint16_t flow, flags;
		uint64_t receive_ns;
		uint8_t data[LENGTH];
	} at[OUT_MAX];
	struct mdfh_fault_counts counts;
	struct mdfh_bypass_stats stats;
};

static struct result first, second;

/* Packet i goes to group 1 + i % 2 and holds i in its first and last four bytes. */
static int write_source(void **state)
{
	struct mdfh_capture_writer *writer;
	uint8_t frame[256];

	(void)state;
	test_path("source.pcap", path);
	if (mdfh_capture_writer_open(path, MDFH_LINK_ETHERNET, &writer))
		return -1;
	for (uint32_t i = 0; i < PACKETS; i++) {
		uint32_t length =
		    test_frame((uint8_t)(1 + i % 2), 5000, 0, 7, LENGTH, frame, sizeof(frame));

		memcpy(frame + 42, &i, 4);
		memcpy(frame + 42 + LENGTH - 4, &i, 4);
		if (mdfh_capture_write(
			writer, 1000000000 + (uint64_t)i * SPACING_NS, frame, length, 0))
			return -1;
	}
	return mdfh_capture_writer_close(writer);
}

static int remove_source(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(test_folder);
}

static struct mdfh_bypass *open_fault(struct mdfh_fault_config faults, uint32_t hold)
{
	const struct mdfh_bypass_config lower = {.size = sizeof(lower),
	    .backend = "pcap",
	    .file = path,
	    .flows = flows,
	    .flow_count = 2,
	    .batch_size = 48};
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = "fault",
	    .lower = &lower,
	    .fault = faults,
	    .hold_max = hold,
	    .batch_size = 256};
	struct mdfh_bypass *port;

	if (mdfh_bypass_open(&config, &port))
		fail_msg("%s", mdfh_error_text());
	return port;
}

static void keep(struct result *result, const struct mdfh_packet *packet)
{
	assert_true(result->count < OUT_MAX);
	assert_true(packet->length <= LENGTH);
	result->at[result->count].number = UINT32_MAX;
	if (packet->length >= 4)
		memcpy(&result->at[result->count].number, packet->data, 4);
	result->at[result->count].length = packet->length;
	result->at[result->count].flow = packet->flow;
	result->at[result->count].flags = packet->flags;
	result->at[result->count].receive_ns = packet->receive_ns;
	memset(result->at[result->count].data, 0, LENGTH);
	memcpy(result->at[result->count].data, packet->data, packet->length);
	result->count++;
}

/* Receive all: batches of `batch`, up to `held` packets held on to and given back oldest first or
 * newest first. What is held must keep its bytes. */
static void run(
    struct mdfh_fault_config faults, int batch, int held, int newest_first, struct result *result)
{
	static struct mdfh_packet kept[2048];
	static int index[2048]; /* of each in the result */
	struct mdfh_bypass *port = open_fault(faults, 1024);
	int calls = 0;
	int count = 0;
	int got;

	result->count = 0;
	while ((got = mdfh_bypass_recv(port, kept + count, batch)) >= 0) {
		int give;
		int from;

		assert_true(++calls < 100 * PACKETS);

		for (int i = 0; i < got; i++) {
			index[count] = result->count;
			keep(result, &kept[count++]);
		}
		give = count > held ? count - held : 0;
		from = newest_first ? count - give : 0;
		for (int i = from; i < from + give; i++)
			assert_memory_equal(
			    kept[i].data, result->at[index[i]].data, kept[i].length);
		mdfh_bypass_release(port, kept + from, give);
		if (!newest_first) {
			memmove(kept, kept + give, (size_t)(count - give) * sizeof(*kept));
			memmove(index, index + give, (size_t)(count - give) * sizeof(*index));
		}
		count -= give;
	}
	assert_int_equal(got, -ENODATA);
	assert_int_equal(mdfh_fault_counts(port, &result->counts), 0);
	assert_int_equal(mdfh_bypass_stats(port, &result->stats), 0);
	mdfh_bypass_close(port);
}

/* What holds for any faults. */
static void check_accounts(const struct result *result)
{
	const struct mdfh_fault_counts *counts = &result->counts;
	uint64_t bytes = 0, truncated = 0;

	assert_int_equal(counts->received, PACKETS);
	assert_int_equal(counts->held_back, 0);
	assert_int_equal(result->count, counts->received - counts->lost + counts->duplicated);
	assert_int_equal(counts->lost, counts->flow_lost[0] + counts->flow_lost[1]);
	for (int i = 0; i < result->count; i++) {
		bytes += result->at[i].length;
		truncated += (result->at[i].flags & MDFH_PACKET_TRUNCATED) != 0;
	}
	assert_int_equal(result->stats.rx_packets, result->count);
	assert_int_equal(result->stats.rx_bytes, bytes);
	assert_int_equal(result->stats.rx_truncated, truncated);
}

/* Each kind alone ------------------------------------------------------- */

static void test_no_faults(void **state)
{
	(void)state;
	run((struct mdfh_fault_config){.seed = 1}, 64, 0, 0, &first);
	check_accounts(&first);
	assert_int_equal(first.count, PACKETS);
	for (int i = 0; i < PACKETS; i++) {
		assert_int_equal(first.at[i].number, i);
		assert_int_equal(first.at[i].flow, i % 2);
		assert_int_equal(
		    first.at[i].flags, MDFH_PACKET_TIME_CAPTURE | MDFH_PACKET_RECORDED);
		assert_true(first.at[i].receive_ns == 1000000000U + (unsigned)i * SPACING_NS);
	}
	assert_int_equal(first.stats.rx_copied, 0);
}

static void test_loss(void **state)
{
	uint32_t lost[2] = {0, 0};
	uint32_t next = 0;

	(void)state;
	run((struct mdfh_fault_config){.seed = 1, .loss_ppm = 50000}, 64, 0, 0, &first);
	check_accounts(&first);
	assert_in_range(first.counts.lost, 200, 300); /* 250 expected, deviation 15 */
	for (int i = 0; i <= first.count; i++) {
		uint32_t number = i < first.count ? first.at[i].number : PACKETS;

		for (; next < number; next++)
			lost[next % 2]++;
		next++;
	}
	assert_true(first.counts.lost_before <= first.counts.lost);
	assert_int_equal(
	    first.counts.lost_before + (uint32_t)first.count, first.at[first.count - 1].number + 1);
	assert_int_equal(lost[0], first.counts.flow_lost[0]);
	assert_int_equal(lost[1], first.counts.flow_lost[1]);

	run((struct mdfh_fault_config){.loss_ppm = 1000000}, 64, 0, 0, &first);
	check_accounts(&first);
	assert_int_equal(first.count, 0);
}

static void test_loss_in_bursts(void **state)
{
	uint32_t next = 0;

	(void)state;
	run((struct mdfh_fault_config){.seed = 4, .loss_ppm = 5000, .burst_length = 7}, 64, 0, 0,
	    &first);
	check_accounts(&first);
	assert_true(first.counts.lost >= 7);
	/* Every hole is made of whole bursts, but for one that the end of the source cuts. */
	for (int i = 0; i < first.count; i++) {
		assert_int_equal((first.at[i].number - next) % 7, 0);
		next = first.at[i].number + 1;
	}
}

static void test_duplicates(void **state)
{
	uint64_t repeats = 0;

	(void)state;
	run((struct mdfh_fault_config){.seed = 1, .duplicate_ppm = 100000}, 64, 0, 0, &first);
	check_accounts(&first);
	assert_int_equal(first.at[0].number, 0);
	for (int i = 1; i < first.count; i++) {
		if (first.at[i].number == first.at[i - 1].number) {
			repeats++;
			assert_memory_equal(first.at[i].data, first.at[i - 1].data, LENGTH);
			assert_int_equal(first.at[i].flow, first.at[i - 1].flow);
			assert_true(first.at[i].receive_ns == first.at[i - 1].receive_ns);
		} else {
			assert_int_equal(first.at[i].number, first.at[i - 1].number + 1);
		}
	}
	assert_in_range(repeats, 400, 600);
	assert_int_equal(repeats, first.counts.duplicated);
}

/* A held-back packet comes after exactly `distance` later ones, or at the end. */
static void test_reordering(void **state)
{
	static uint8_t seen[PACKETS];
	uint64_t late = 0;
	uint32_t highest = 0;

	(void)state;
	run((struct mdfh_fault_config){.seed = 9, .reorder_ppm = 1000, .reorder_distance = 10}, 64,
	    0, 0, &first);
	check_accounts(&first);
	memset(seen, 0, sizeof(seen));
	for (int i = 0; i < first.count; i++) {
		uint32_t number = first.at[i].number;

		assert_int_equal(seen[number]++, 0);
		if (number < highest) {
			late++;
			assert_int_equal(highest - number, 10);
		} else {
			highest = number;
		}
	}
	assert_true(late > 0);
	assert_int_equal(late, first.counts.reordered);
}

static void test_delay(void **state)
{
	uint64_t late = 0, newest = 0;

	(void)state;
	run((struct mdfh_fault_config){.seed = 9, .delay_ppm = 2000, .delay_ns = 20 * SPACING_NS},
	    64, 0, 0, &first);
	check_accounts(&first);
	for (int i = 0; i < first.count; i++) {
		uint64_t ns = first.at[i].receive_ns;

		if (ns < newest) {
			late++;
			/* Set free by the first packet of its time, before that packet. */
			assert_int_equal(newest - ns, 19 * SPACING_NS);
		} else {
			newest = ns;
		}
	}
	assert_true(late > 0);
	assert_int_equal(late, first.counts.delayed);
}

static void test_damage(void **state)
{
	uint64_t damaged = 0;

	(void)state;
	run((struct mdfh_fault_config){.seed = 2, .damage_ppm = 100000}, 64, 0, 0, &first);
	check_accounts(&first);
	assert_int_equal(first.count, PACKETS);
	for (uint32_t i = 0; i < PACKETS; i++) {
		uint8_t want[LENGTH];
		int bits = 0;

		memset(want, 7, LENGTH);
		memcpy(want, &i, 4);
		memcpy(want + LENGTH - 4, &i, 4);
		for (int at = 0; at < LENGTH; at++)
			bits += __builtin_popcount(want[at] ^ first.at[i].data[at]);
		assert_true(bits <= 1);
		assert_int_equal(bits, (first.at[i].flags & MDFH_PACKET_COPIED) != 0);
		damaged += (unsigned)bits;
	}
	assert_in_range(damaged, 400, 600);
	assert_int_equal(damaged, first.counts.damaged);
	assert_int_equal(damaged, first.stats.rx_copied);
}

static void test_truncation(void **state)
{
	uint64_t cut = 0;

	(void)state;
	run((struct mdfh_fault_config){.seed = 2, .truncate_ppm = 100000}, 64, 0, 0, &first);
	check_accounts(&first);
	for (int i = 0; i < first.count; i++) {
		cut += first.at[i].length < LENGTH;
		assert_int_equal(
		    first.at[i].length < LENGTH, (first.at[i].flags & MDFH_PACKET_TRUNCATED) != 0);
	}
	assert_in_range(cut, 400, 600);
	assert_int_equal(cut, first.counts.truncated);
}

/* All together ---------------------------------------------------------- */

static const struct mdfh_fault_config everything = {
    .seed = 12345,
    .loss_ppm = 20000,
    .burst_length = 3,
    .duplicate_ppm = 50000,
    .reorder_ppm = 30000,
    .reorder_distance = 5,
    .damage_ppm = 40000,
    .truncate_ppm = 40000,
    .delay_ppm = 30000,
    .delay_ns = 50 * SPACING_NS,
};

static void same(void)
{
	assert_int_equal(first.count, second.count);
	assert_memory_equal(first.at, second.at, (size_t)first.count * sizeof(first.at[0]));
	assert_memory_equal(&first.counts, &second.counts, sizeof(first.counts));
}

/* Whatever the caller's batches, and whatever it holds in which order. */
static void test_deterministic(void **state)
{
	static const struct {
		int batch, held, newest_first;
	} ways[] = {{1, 0, 0}, {7, 0, 1}, {256, 0, 0}, {48, 1000, 0}, {48, 1000, 1}, {3, 500, 1}};

	(void)state;
	run(everything, 64, 0, 0, &first);
	check_accounts(&first);
	assert_true(first.counts.lost && first.counts.duplicated && first.counts.reordered &&
		    first.counts.delayed && first.counts.damaged && first.counts.truncated);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		run(everything, ways[i].batch, ways[i].held, ways[i].newest_first, &second);
		same();
	}
}

static void test_seeds_differ(void **state)
{
	struct mdfh_fault_config other = everything;

	(void)state;
	run(everything, 64, 0, 0, &first);
	for (other.seed = 0; other.seed < 20; other.seed++) {
		run(other, 64, 0, 0, &second);
		check_accounts(&second);
		assert_memory_not_equal(first.at, second.at, 1000 * sizeof(first.at[0]));
	}
}

/* More of one kind leaves the others where they were. */
static void test_kinds_are_independent(void **state)
{
	struct mdfh_fault_config more = {.seed = 3, .damage_ppm = 10000};
	static uint8_t damaged[PACKETS];

	(void)state;
	run(more, 64, 0, 0, &first);
	for (int i = 0; i < PACKETS; i++)
		damaged[i] = (first.at[i].flags & MDFH_PACKET_COPIED) != 0;
	more.loss_ppm = 100000;
	run(more, 64, 0, 0, &second);
	for (int i = 0; i < second.count; i++) {
		uint64_t number = (second.at[i].receive_ns - 1000000000) / SPACING_NS;

		assert_int_equal(damaged[number], (second.at[i].flags & MDFH_PACKET_COPIED) != 0);
	}
}

static void test_flow_mask(void **state)
{
	struct mdfh_fault_config masked = everything;
	uint32_t expected = 0;

	(void)state;
	masked.flow_mask = 2;
	masked.reorder_ppm = masked.delay_ppm = 0;
	run(masked, 64, 0, 0, &first);
	check_accounts(&first);
	assert_int_equal(first.counts.flow_lost[0], 0);
	assert_true(first.counts.flow_lost[1] > 0);
	for (int i = 0; i < first.count; i++) {
		if (first.at[i].flow != 0)
			continue;
		assert_int_equal(first.at[i].number, expected);
		assert_int_equal(
		    first.at[i].flags, MDFH_PACKET_TIME_CAPTURE | MDFH_PACKET_RECORDED);
		expected += 2;
	}
	assert_int_equal(expected, PACKETS);
}

/* The end of the source gives out all that was held back. */
static void test_flush_at_the_end(void **state)
{
	(void)state;
	run((struct mdfh_fault_config){.reorder_ppm = 500000, .reorder_distance = 4096}, 64, 0, 0,
	    &first);
	check_accounts(&first);
	assert_int_equal(first.count, PACKETS);
	run((struct mdfh_fault_config){.delay_ppm = 500000, .delay_ns = 60000000000}, 64, 0, 0,
	    &first);
	check_accounts(&first);
	assert_int_equal(first.count, PACKETS);
	run(
	    (struct mdfh_fault_config){
		.reorder_ppm = 1000000, .duplicate_ppm = 1000000, .reorder_distance = 3},
	    64, 0, 0, &first);
	check_accounts(&first);
	assert_int_equal(first.count, 2 * PACKETS);
}

/* A caller that gives nothing back gets hold_max packets and more, then nothing, and loses none. */
static void test_hold_everything(void **state)
{
	static struct mdfh_packet held[2048];
	struct mdfh_bypass *port = open_fault(everything, 100);
	struct mdfh_fault_counts counts;
	int count = 0, got;

	(void)state;
	assert_int_equal(mdfh_bypass_capabilities(port)->hold_max, 100);
	for (int i = 0; i < 200; i++) {
		got = mdfh_bypass_recv(port, held + count, 16);
		assert_true(got >= 0);
		count += got;
	}
	assert_true(count >= 100);
	assert_int_equal(mdfh_bypass_recv(port, held + count, 16), 0);
	mdfh_bypass_release(port, held, count);
	while ((got = mdfh_bypass_recv(port, held, 16)) >= 0) {
		count += got;
		mdfh_bypass_release(port, held, got);
	}
	assert_int_equal(mdfh_fault_counts(port, &counts), 0);
	assert_int_equal(counts.received, PACKETS);
	assert_int_equal(count, PACKETS - counts.lost + counts.duplicated);
	mdfh_bypass_close(port);
}

/* Setup ----------------------------------------------------------------- */

static void refused(struct mdfh_bypass_config config, int error, const char *text)
{
	struct mdfh_bypass *port;

	config.size = sizeof(config);
	config.backend = "fault";
	assert_int_equal(mdfh_bypass_open(&config, &port), error);
	assert_null(port);
	if (!strstr(mdfh_error_text(), text))
		fail_msg("'%s' lacks '%s'", mdfh_error_text(), text);
}

static void test_refuses(void **state)
{
	struct mdfh_bypass_config lower = {.size = sizeof(lower), .backend = "pcap"};
	struct mdfh_fault_counts counts;
	struct mdfh_bypass *port;

	(void)state;
	refused((struct mdfh_bypass_config){0}, -EINVAL, "lower is not set");
	refused((struct mdfh_bypass_config){.lower = &lower}, -EINVAL, "pcap: file is not set");
	lower.file = "/nonexistent";
	refused((struct mdfh_bypass_config){.lower = &lower}, -ENOENT, "/nonexistent");
	refused((struct mdfh_bypass_config){.lower = &lower, .host = "239.1.1.1", .port = 5000},
	    -EINVAL, "belong to the lower port");
	/* Nobody listens there, and nothing is asked to connect. */
	refused(
	    (struct mdfh_bypass_config){.lower = &(struct mdfh_bypass_config){.size = sizeof(lower),
					    .transport = MDFH_TRANSPORT_TCP,
					    .host = "127.0.0.1",
					    .port = 1}},
	    -ENOTSUP, "fault: transport of the lower port is TCP; a stream loses, repeats and");
	lower.file = path;
	assert_int_equal(mdfh_bypass_open(&lower, &port), 0);
	assert_int_equal(mdfh_fault_counts(port, &counts), -EINVAL);
	mdfh_bypass_close(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_no_faults),
	    cmocka_unit_test(test_loss),
	    cmocka_unit_test(test_loss_in_bursts),
	    cmocka_unit_test(test_duplicates),
	    cmocka_unit_test(test_reordering),
	    cmocka_unit_test(test_delay),
	    cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_truncation),
	    cmocka_unit_test(test_deterministic),
	    cmocka_unit_test(test_seeds_differ),
	    cmocka_unit_test(test_kinds_are_independent),
	    cmocka_unit_test(test_flow_mask),
	    cmocka_unit_test(test_flush_at_the_end),
	    cmocka_unit_test(test_hold_everything),
	    cmocka_unit_test(test_refuses),
	};

	return cmocka_run_group_tests(tests, write_source, remove_source);
}
