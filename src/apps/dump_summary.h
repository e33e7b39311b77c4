/* dump_summary.h - what a dump counted, and what it says of that at its end. */
#ifndef MDFH_APPS_DUMP_SUMMARY_H
#define MDFH_APPS_DUMP_SUMMARY_H

#include <stdint.h>

#include "mdfh/frame.h"
#include "mdfh/session.h"
#include "proto/walk.h"
#include "wire/trailer.h"

struct dump_counts {
	uint64_t packets; /* UDP, of a protocol */
	uint64_t messages;
	uint64_t printed;
	uint64_t soup;         /* SoupBinTCP packets */
	uint64_t other;        /* frames of other traffic: ARP, TCP ... */
	uint64_t unrecognised; /* UDP packets of no protocol */
	uint64_t trailers[MDFH_TRAILER_SOUND + 1];
	uint64_t frames[MDFH_FRAME_ERRORS];
	uint64_t sessions[MDFH_SESSION_ERRORS];
	uint64_t walks[MDFH_WALK_ERRORS];
};

/* Print it to standard error. Returns the exit status. */
int dump_summary(const struct dump_counts *counts, int interrupted, int failed);

#endif
