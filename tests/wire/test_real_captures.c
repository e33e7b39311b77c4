/* test_real_captures.c - every capture of $MDFH_DATA frame by frame against what an independent
 * dissector read from it: time, addresses, tags, place and length of the payload. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "mdfh/capture.h"
#include "mdfh/error.h"

enum { PATH_LENGTH = 512, LINE_LENGTH = 1 << 20 };

static const char *folder;
static unsigned captures;
static uint64_t frames;

/* The next packet record of the expected decoding (gzopen reads plain files, too). NULL = end. */
static json_t *next_record(gzFile expected)
{
	static char line[LINE_LENGTH];

	while (gzgets(expected, line, sizeof(line))) {
		json_error_t error;
		json_t *record;

		if (strncmp(line, "{\"k\":\"p\"", 8) != 0)
			continue;
		/* Sessions that are all NUL bytes are written as such. */
		record = json_loads(line, JSON_ALLOW_NUL, &error);
		if (!record)
			fail_msg("%s in %.200s", error.text, line);
		return record;
	}
	return NULL;
}

static void check_text(const char *where, const char *name, const json_t *record, const char *got)
{
	const char *want = json_string_value(json_object_get(record, name));

	if (!want || strcmp(want, got) != 0)
		fail_msg("%s: %s is %s, expected %s", where, name, got, want ? want : "nothing");
}

static void check_number(const char *where, const char *name, const json_t *record, uint64_t got)
{
	const json_t *want = json_object_get(record, name);

	if (!json_is_integer(want) || (uint64_t)json_integer_value(want) != got)
		fail_msg("%s: %s is %" PRIu64 ", expected %" PRId64, where, name, got,
		    (int64_t)json_integer_value(want));
}

static void check_frame(
    const char *path, const json_t *record, const struct mdfh_capture_frame *captured)
{
	const json_t *vlans = json_object_get(record, "vlan");
	char text[MDFH_ENDPOINT_TEXT_MAX];
	char where[PATH_LENGTH + 32];
	struct mdfh_frame frame;
	enum mdfh_frame_error error = mdfh_frame_parse(
	    captured->link_type, captured->data, captured->captured, captured->wire_length, &frame);

	snprintf(where, sizeof(where), "%s frame %" PRIu64, path, captured->number);
	if (error)
		fail_msg("%s: %s", where, mdfh_frame_error_name(error));
	snprintf(text, sizeof(text), "%" PRIu64 ".%09" PRIu64, captured->time_ns / 1000000000,
	    captured->time_ns % 1000000000);
	check_number(where, "p", record, captured->number);
	check_text(where, "t", record, text);
	check_number(where, "cap", record, captured->captured);
	check_number(where, "len", record, captured->wire_length);
	check_text(where, "l4", record, frame.protocol == MDFH_PROTOCOL_UDP ? "udp" : "tcp");
	check_text(where, "src", record, mdfh_endpoint_text(frame.source, frame.source_port, text));
	check_text(where, "dst", record,
	    mdfh_endpoint_text(frame.destination, frame.destination_port, text));
	check_number(where, "poff", record, frame.payload_offset);
	check_number(where, "plen", record, frame.payload_length);
	if (json_array_size(vlans) != frame.vlan_count)
		fail_msg("%s: %u tags", where, frame.vlan_count);
	for (size_t i = 0; i < frame.vlan_count; i++)
		assert_int_equal(json_integer_value(json_array_get(vlans, i)), frame.vlan[i]);
}

/* name without its ending; expected_count from the manifest. */
static void check_capture(const char *name, uint64_t expected_count)
{
	char path[PATH_LENGTH], expected_path[PATH_LENGTH];
	struct mdfh_capture_frame captured;
	struct mdfh_capture *capture;
	const char *dot = strrchr(name, '.');
	gzFile expected;
	json_t *record;
	uint64_t count = 0;
	int status;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	snprintf(
	    expected_path, sizeof(expected_path), "%s/%.*s.jsonl", folder, (int)(dot - name), name);
	expected = gzopen(expected_path, "rb");
	if (!expected) {
		snprintf(expected_path, sizeof(expected_path), "%s/%.*s.jsonl.gz", folder,
		    (int)(dot - name), name);
		expected = gzopen(expected_path, "rb");
	}
	assert_non_null(expected);
	if (mdfh_capture_open(path, &capture))
		fail_msg("%s", mdfh_error_text());
	/* Packets without messages may have no record: records are matched by frame number. */
	record = next_record(expected);
	while ((status = mdfh_capture_next(capture, &captured)) == 1) {
		count++;
		if (record &&
		    (uint64_t)json_integer_value(json_object_get(record, "p")) == captured.number) {
			check_frame(name, record, &captured);
			json_decref(record);
			record = next_record(expected);
			frames++;
		}
	}
	assert_int_equal(status, 0);
	if (record)
		fail_msg("%s: expected frame %" PRId64 " does not come", name,
		    (int64_t)json_integer_value(json_object_get(record, "p")));
	if (count != expected_count)
		fail_msg("%s: %" PRIu64 " frames, expected %" PRIu64, name, count, expected_count);
	mdfh_capture_close(capture);
	gzclose(expected);
	captures++;
}

static void test_every_capture(void **state)
{
	char path[PATH_LENGTH];
	char line[4096];
	FILE *manifest;

	(void)state;
	snprintf(path, sizeof(path), "%s/MANIFEST.tsv", folder);
	manifest = fopen(path, "r");
	assert_non_null(manifest);
	while (fgets(line, sizeof(line), manifest)) {
		char name[256];
		uint64_t count;

		if (sscanf(line, "%255[^\t]\t%*[^\t]\t%" SCNu64, name, &count) == 2 &&
		    strstr(name, ".pcap"))
			check_capture(name, count);
	}
	fclose(manifest);
	printf("%u captures, %" PRIu64 " frames compared\n", captures, frames);
	assert_true(captures > 0);
	assert_true(frames > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_capture)};
	char path[PATH_LENGTH];
	FILE *manifest;

	folder = getenv("MDFH_DATA");
	snprintf(path, sizeof(path), "%s/MANIFEST.tsv", folder ? folder : "");
	manifest = folder ? fopen(path, "r") : NULL;
	if (!manifest) {
		printf("skipped: no captures in $MDFH_DATA (%s)\n", folder ? folder : "not set");
		return 77;
	}
	fclose(manifest);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
