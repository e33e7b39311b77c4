/* dump_soup.h - the SoupBinTCP packets of a TCP segment, as lines: text, JSON, or wire records. */
#ifndef MDFH_APPS_DUMP_SOUP_H
#define MDFH_APPS_DUMP_SOUP_H

#include "apps/dump_print.h"

/* How many logical packets the payload is; 0 = it is something else, or does not end where a packet
 * does: segments that hold parts of packets are not put together. */
uint32_t dump_soup_count(const uint8_t *payload, uint32_t length);

/* Print them, in text and JSON at most max of them. These two hide passwords; the wire format shows
 * every byte, of the whole segment. Returns how many packets were printed. */
uint32_t dump_soup_print(
    FILE *stream, enum dump_format format, const struct dump_packet *packet, uint64_t max);

#endif
