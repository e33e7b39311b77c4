/* capture.c - reading captures with libpcap.
 *
 * libpcap knows the formats and their byte orders, and converts every time stamp to nanoseconds.
 * It stops at the first record that it cannot read; that point and the reason are kept, so that a
 * cut file gives what it holds and still cannot be taken for a whole one. */
#include "mdfh/capture.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/error.h"
#include "wire/inflate.h"

struct mdfh_capture {
	struct mdfh_inflate *inflate;
	pcap_t *pcap;
	char *name;
	uint64_t frames;
	uint32_t link_type;
	int ended;
	int result; /* what next returns once ended */
};

/* Setup ----------------------------------------------------------------- */

/* libpcap has numbers of its own (DLT_) for what the files number LINKTYPE_; of the types that
 * mdfh_frame_parse knows, raw IP alone differs, and by operating system. */
static uint32_t link_type_of(pcap_t *pcap)
{
	int type = pcap_datalink(pcap);

	return type == DLT_RAW ? MDFH_LINK_RAW_IP : (uint32_t)type;
}

int mdfh_capture_open_inflate(
    struct mdfh_inflate *inflate, const char *name, struct mdfh_capture **opened)
{
	struct mdfh_capture *capture = calloc(1, sizeof(*capture));
	char reason[PCAP_ERRBUF_SIZE] = "";
	int error;

	*opened = NULL;
	if (capture)
		capture->name = strdup(name);
	if (!capture || !capture->name) {
		mdfh_inflate_close(inflate);
		error = mdfh_error(-ENOMEM, "capture %s: %zu bytes", name, sizeof(*capture));
		goto fail;
	}
	capture->inflate = inflate;
	capture->pcap = pcap_fopen_offline_with_tstamp_precision(
	    mdfh_inflate_file(inflate), PCAP_TSTAMP_PRECISION_NANO, reason);
	if (!capture->pcap) {
		const char *problem = mdfh_inflate_problem(inflate);

		error = mdfh_error(-EINVAL, "capture %s: is no pcap or pcapng file: %s", name,
		    problem ? problem : reason);
		goto fail;
	}
	capture->link_type = link_type_of(capture->pcap);
	*opened = capture;
	return 0;

fail:
	mdfh_capture_close(capture);
	return error;
}

int mdfh_capture_open(const char *path, struct mdfh_capture **capture)
{
	struct mdfh_inflate *inflate;
	int error = mdfh_inflate_open_path(path, &inflate);

	*capture = NULL;
	if (error)
		return error;
	return mdfh_capture_open_inflate(
	    inflate, strcmp(path, "-") == 0 ? "standard input" : path, capture);
}

int mdfh_capture_open_memory(const void *bytes, size_t length, struct mdfh_capture **capture)
{
	struct mdfh_inflate *inflate;
	int error = mdfh_inflate_open(-1, bytes, length, "in memory", &inflate);

	*capture = NULL;
	if (error)
		return error;
	return mdfh_capture_open_inflate(inflate, "in memory", capture);
}

void mdfh_capture_close(struct mdfh_capture *capture)
{
	if (!capture)
		return;
	if (capture->pcap)
		pcap_close(capture->pcap);
	mdfh_inflate_close(capture->inflate);
	free(capture->name);
	free(capture);
}

/* Reading --------------------------------------------------------------- */

/* Seconds are signed 32 bits in classic pcap as libpcap reads them: past 2038 they come out
 * negative. What no uint64 of nanoseconds can hold is unknown: 0. */
static uint64_t time_of(const struct pcap_pkthdr *header)
{
	int64_t seconds = header->ts.tv_sec;
	uint64_t ns;

	if (seconds < 0 && seconds >= INT32_MIN)
		seconds = (uint32_t)seconds;
	if (seconds < 0 || header->ts.tv_usec < 0 ||
	    __builtin_mul_overflow((uint64_t)seconds, UINT64_C(1000000000), &ns) ||
	    __builtin_add_overflow(ns, (uint64_t)header->ts.tv_usec, &ns))
		return 0;
	return ns;
}

static int end(struct mdfh_capture *capture, int status)
{
	const char *problem = mdfh_inflate_problem(capture->inflate);

	capture->ended = 1;
	if (status == PCAP_ERROR_BREAK && !problem)
		return 0;
	capture->result = mdfh_error(-EBADMSG,
	    "capture %s: cannot be read past frame %llu: %s; the file is cut or damaged there",
	    capture->name, (unsigned long long)capture->frames,
	    problem ? problem : pcap_geterr(capture->pcap));
	return capture->result;
}

int mdfh_capture_next(struct mdfh_capture *capture, struct mdfh_capture_frame *frame)
{
	struct pcap_pkthdr *header;
	const u_char *data;
	int status;

	if (capture->ended)
		return capture->result;
	status = pcap_next_ex(capture->pcap, &header, &data);
	if (status != 1)
		return end(capture, status);
	*frame = (struct mdfh_capture_frame){
	    .data = data,
	    .time_ns = time_of(header),
	    .number = ++capture->frames,
	    .captured = header->caplen,
	    .wire_length = header->len < header->caplen ? header->caplen : header->len,
	    .link_type = capture->link_type,
	};
	return 1;
}
