/* dump_summary.c - see dump_summary.h. */
#include "apps/dump_summary.h"

#include <inttypes.h>
#include <stdio.h>

static uint64_t report(const char *what, uint64_t count, const char *reason)
{
	if (count)
		fprintf(stderr, "mdfh dump: %" PRIu64 " %s: %s\n", count, what, reason);
	return count;
}

int dump_summary(const struct dump_counts *c, int interrupted, int failed)
{
	uint64_t refused = 0;

	fprintf(stderr,
	    "mdfh dump: %s%" PRIu64 " packets, %" PRIu64 " messages, %" PRIu64 " shown\n",
	    interrupted ? "interrupted: " : "", c->packets, c->messages, c->printed);
	for (unsigned e = 1; e < MDFH_FRAME_ERRORS; e++)
		refused += report("frames refused", c->frames[e],
		    mdfh_frame_error_name((enum mdfh_frame_error)e));
	report("packets with the capture's time", c->trailers[MDFH_TRAILER_ABSENT],
	    "no trailer behind them");
	report("packets with the capture's time", c->trailers[MDFH_TRAILER_IMPLAUSIBLE],
	    "what stands behind them gives no time within 30 s of it");
	for (unsigned e = 1; e < MDFH_SESSION_ERRORS; e++) {
		/* Of these two every message is there and was shown. */
		if (e == MDFH_SESSION_TRAILING)
			report("packets", c->sessions[e], "bytes after the last message");
		else if (e == MDFH_SESSION_SEQUENCE)
			report("packets", c->sessions[e], "impossible sequence number");
		else
			refused += report("packets refused in whole or part", c->sessions[e],
			    mdfh_session_error_name(e));
	}
	for (unsigned e = 1; e < MDFH_WALK_ERRORS; e++)
		refused += report("messages refused", c->walks[e], mdfh_walk_error_name(e));
	report("SoupBinTCP packets", c->soup, "logins, heartbeats and messages on TCP");
	report("frames of other traffic", c->other, "neither UDP nor whole SoupBinTCP packets");
	report("packets of no recognised protocol", c->unrecognised, "--protocol NAME names it");
	if (!c->packets && c->unrecognised)
		return 2;
	return refused || failed ? 1 : 0;
}
