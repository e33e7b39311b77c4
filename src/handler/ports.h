/* ports.h - lines of a configuration to open ports. */
#ifndef MDFH_HANDLER_PORTS_H
#define MDFH_HANDLER_PORTS_H

#include "handler/pipeline.h"

/* 1 if two lines come through one queue that has room for one port only ... */
int mdfh_lines_meet(const struct mdfh_line_config *a, const struct mdfh_line_config *b);
/* ... and nothing hinders them to be flows of one port. */
int mdfh_lines_share(const struct mdfh_line_config *a, const struct mdfh_line_config *b);

/* Opens the port of one line (with the fault backend on top when it has faults). Lines of one
 * channel that read the same capture share a port, and lines of one thread that mdfh_lines_share:
 * call this with all of them, count > 1, at most MDFH_BYPASS_FLOWS_MAX. On failure *wrong is the
 * line that the error is of; the first, when it is of the port. */
int mdfh_port_open(const struct mdfh_line_config *const *lines, unsigned count, uint32_t cpu_core,
    enum mdfh_switch hugepages, uint32_t poll_timeout_us, struct mdfh_bypass **port,
    unsigned *wrong);

int mdfh_line_has_faults(const struct mdfh_line_config *line);

/* "239.1.1.1:26477", "[ff15::1]:26477" to address text and port. */
int mdfh_group_parse(const char *text, char *address, size_t size, uint16_t *port);

/* Midnight of the session date in the venue's time zone: of date (YYYY-MM-DD) when it is given,
 * else of the day there at the first packet of the capture file, else of today there. */
int mdfh_session_midnight(
    const char *zone, const char *date, const char *file, int64_t *midnight_ns);

#endif
