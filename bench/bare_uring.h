/* bare_uring.h - an io_uring loop with nothing on top: what mdfh is compared with. A multishot request
 * receives from one socket into a ring of buffers, each of which is given back when its datagram has
 * been counted. */
#ifndef MDFH_BENCH_BARE_URING_H
#define MDFH_BENCH_BARE_URING_H

struct bare_uring;

/* 0 or a negative error with its sentence; -ENOTSUP where the build has no liburing. The thread that
 * opens it receives. */
int bare_uring_open(int fd, int stamps, struct bare_uring **ring);
int bare_uring_receive(struct bare_uring *ring); /* up to 64 datagrams, counted */
void bare_uring_close(struct bare_uring *ring);  /* NULL is allowed */

#endif
