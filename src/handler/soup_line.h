/* soup_line.h - a line that comes over SoupBinTCP: what stands between a stream port and its
 * channel.
 *
 * Logs in when the port says that it is connected, sends heartbeats, makes units of the bytes, and
 * has the port connect anew when the server is silent or breaks the protocol. After a broken
 * connection it asks for what the channel expects next. Reads no clock; allocates in create only;
 * the port's own calls are the only system calls. */
#ifndef MDFH_HANDLER_SOUP_LINE_H
#define MDFH_HANDLER_SOUP_LINE_H

#include "mdfh/bypass.h"
#include "mdfh/handler.h"
#include "mdfh/soupbintcp.h"

struct mdfh_soup_line;

/* run_max: most bytes of one unit. name: of the line, for sentences, such as "nasdaq line A".
 * Reads the password file. */
int mdfh_soup_line_create(const struct mdfh_line_config *config,
    const struct mdfh_handler_channel_config *channel, const char *name, uint32_t run_max,
    struct mdfh_soup_line **line);
void mdfh_soup_line_destroy(struct mdfh_soup_line *line);

/* One packet of the port, or one of its marks. channel_next: the number that the channel expects,
 * 0 = it has not begun. Then next until it returns 0, then poll. */
void mdfh_soup_line_packet(struct mdfh_soup_line *line, const struct mdfh_packet *packet,
    uint64_t channel_next, int64_t now_ns);
int mdfh_soup_line_next(struct mdfh_soup_line *line, struct mdfh_unit *unit);

/* Let time pass and see to the connection: send what is to be sent, end what is to be ended. 0, or
 * the line is over: -ENODATA after the end of its session, -EACCES (with a sentence) when its login
 * was refused for good. */
int mdfh_soup_line_poll(struct mdfh_soup_line *line, struct mdfh_bypass *port, int64_t now_ns);

/* Before the port is closed: tell the server. */
void mdfh_soup_line_logout(struct mdfh_soup_line *line, struct mdfh_bypass *port);

const struct mdfh_soup_client_stats *mdfh_soup_line_stats(const struct mdfh_soup_line *line);

#endif
