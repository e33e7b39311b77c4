/* test_io_uring_faults.c - make the calls of an io_uring port fail in turn, up to its first recv; and
 * be a kernel that lacks what the backend would rather have. */
#include <errno.h>
#include <liburing.h>

#include "fault/faults.h"
#include "net/module_test.h"

static int refusals; /* rings that the kernel is not to give, and why */
static int refusal;

/* clang-format off */
#define WRAP_RING(name, parameters, arguments)                                                     \
	extern int __real_##name parameters;                                                       \
	extern int __wrap_##name parameters;                                                       \
	int __wrap_##name parameters                                                               \
	{                                                                                          \
		return faults_strike(#name) ? -ENOMEM : __real_##name arguments;                   \
	}

/* NOLINTBEGIN(bugprone-reserved-identifier,bugprone-macro-parentheses): the linker's names */
WRAP_RING(io_uring_register, (unsigned fd, unsigned code, const void *of, unsigned n),
    (fd, code, of, n))
WRAP_RING(io_uring_register_buf_ring,
    (struct io_uring *ring, struct io_uring_buf_reg *request, unsigned flags),
    (ring, request, flags))
WRAP_RING(io_uring_register_files, (struct io_uring *ring, const int *files, unsigned n),
    (ring, files, n))
/* clang-format on */

static int spoiled; /* the result that the next completion is to have */

int __real_io_uring_submit_and_get_events(struct io_uring *ring);
int __wrap_io_uring_submit_and_get_events(struct io_uring *ring);
int __wrap_io_uring_submit_and_get_events(struct io_uring *ring)
{
	struct io_uring_cqe *cqe;
	int rc = faults_strike("io_uring_submit_and_get_events")
		     ? -ENOMEM
		     : __real_io_uring_submit_and_get_events(ring);

	if (spoiled && !io_uring_peek_cqe(ring, &cqe)) {
		cqe->res = spoiled;
		spoiled = 0;
	}
	return rc;
}

int __real_pipe2(int *ends, int flags);
int __wrap_pipe2(int *ends, int flags);
int __wrap_pipe2(int *ends, int flags)
{
	if (!faults_strike("pipe2"))
		return __real_pipe2(ends, flags);
	errno = EMFILE;
	return -1;
}

int __real_io_uring_queue_init_params(
    unsigned entries, struct io_uring *ring, struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(
    unsigned entries, struct io_uring *ring, struct io_uring_params *params);
int __wrap_io_uring_queue_init_params(
    unsigned entries, struct io_uring *ring, struct io_uring_params *params)
{
	if (refusals && refusals--)
		return refusal;
	return faults_strike("io_uring_queue_init_params")
		   ? -ENOMEM
		   : __real_io_uring_queue_init_params(entries, ring, params);
}
/* NOLINTEND(bugprone-reserved-identifier,bugprone-macro-parentheses) */

/* As mdfh_bypass_open does it, and the first recv, which makes the port the thread's. */
static int open_and_receive(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	const struct mdfh_bypass_ops *ops = mdfh_backend_module.ops;
	struct mdfh_bypass_config filled;
	struct mdfh_flow flow;
	struct mdfh_packet packet;
	int rc;

	*port = NULL;
	assert_ok(mdfh_bypass_config_defaults(config, &filled));
	if (filled.host) {
		flow = (struct mdfh_flow){.group = filled.host, .port = filled.port};
		filled.flows = &flow;
		filled.flow_count = 1;
	}
	rc = ops->open(&filled, port);
	if (rc)
		return rc;
	if (!(*port)->ops)
		(*port)->ops = ops;
	rc = (*port)->ops->recv(*port, &packet, 1);
	if (rc) {
		ops->close(*port);
		*port = NULL;
	}
	return rc;
}

static const struct mdfh_bypass_config one_flow = {
    .size = sizeof(struct mdfh_bypass_config), .host = "127.0.0.1"};

/* Hugepages, and the receive buffer's size by privilege. With an interface, its node and the socket
 * that asks whether it is up. */
#define SPARED " mmap64 madvise setsockopt "

static int open_it(void *context, void **opened)
{
	return open_and_receive(context, (struct mdfh_bypass **)opened);
}

static void close_it(void *opened)
{
	mdfh_bypass_close(opened);
}

static void try(
    const char *name, const struct mdfh_bypass_config *config, const char *spared, int least)
{
	faults_each(&(const struct faults_case){.name = name,
	    .open = open_it,
	    .close = close_it,
	    .context = (void *)(uintptr_t)config,
	    .spared = spared,
	    .least = least});
}

static void fails_with_one_flow(void **state)
{
	struct mdfh_bypass_config config = one_flow;

	(void)state;
	/* Socket, frames, ring, pipe, epoll, and what recv does. */
	config.backend_options = "mode=defer";
	try("one flow, mode=defer", &config, SPARED, 25);
	config.backend_options = "mode=poll";
	try("one flow, mode=poll", &config, SPARED, 25);
	config.backend_options = "gro=on";
	try("one flow, gro=on", &config, SPARED, 28);
}

static void fails_with_flows(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .source = "127.0.0.2", .port = 5000},
	    {.group = "127.0.0.1", .source = "127.0.0.2", .port = 5001},
	    {.group = "::1", .port = 5002},
	};

	(void)state;
	for (int defer = 0; defer < 2; defer++)
		try("flows",
		    &(const struct mdfh_bypass_config){.size = sizeof(struct mdfh_bypass_config),
			.interface = "lo",
			.flows = flows,
			.flow_count = 3,
			.backend_options = defer ? "mode=defer" : "mode=poll"},
		    SPARED " fopen64 socket ", 45);
}

/* An error that comes with a frame is no packet, and the frame is not lost. */
static void takes_errors_with_frames(void **state)
{
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .host = "127.0.0.1",
	    .rx_ring_size = 64,
	    .batch_size = 16,
	    .backend_options = "mode=defer"};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct mdfh_bypass_ops *ops = mdfh_backend_module.ops;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct mdfh_packet packet;
	struct mdfh_bypass *port;

	(void)state;
	assert_true(fd >= 0);
	assert_ok(open_and_receive(&config, &port));
	to.sin_port = htons(ops->local_port(port, 0));
	for (int i = 0; i < 200; i++) {
		int error = i % 3 == 0 ? -EIO : i % 3 == 1 ? -EINTR : 0;

		assert_int_equal(sendto(fd, "12345", 5, 0, (struct sockaddr *)&to, sizeof(to)), 5);
		spoiled = error;
		assert_int_equal(ops->recv(port, &packet, 1), error == -EIO ? -EIO : !error);
		assert_int_equal(spoiled, 0);
		if (error)
			continue;
		assert_int_equal(packet.length, 5);
		ops->release(port, &packet, 1);
	}
	close(fd);
	mdfh_bypass_close(port);
}

/* What cannot be polled is an error; a request that was ended is made anew. */
static void takes_errors_of_polling(void **state)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct mdfh_packet packet;
	struct mdfh_bypass *port;
	int got = 0;

	(void)state;
	assert_true(fd >= 0);
	assert_ok(open_and_receive(&one_flow, &port));
	to.sin_port = htons(port->ops->local_port(port, 0));
	assert_int_equal(sendto(fd, "12345", 5, 0, (struct sockaddr *)&to, sizeof(to)), 5);
	assert_int_equal(port->ops->recv(port, &packet, 1), 1);
	port->ops->release(port, &packet, 1);
	/* Nothing is left, so now it asks. */
	spoiled = -EIO;
	assert_int_equal(port->ops->recv(port, &packet, 1), -EIO);
	assert_error("io_uring: polling flows[0]");
	assert_int_equal(spoiled, 0);

	for (int i = 0; i < 20; i++) {
		assert_int_equal(sendto(fd, "12345", 5, 0, (struct sockaddr *)&to, sizeof(to)), 5);
		for (int tries = 0; tries < 3; tries++) {
			int n;

			spoiled = -ECANCELED;
			n = port->ops->recv(port, &packet, 1);
			assert_in_range(n, 0, 1);
			if (n)
				port->ops->release(port, &packet, 1);
			got += n;
		}
	}
	assert_int_equal(got, 20);
	spoiled = 0;
	close(fd);
	mdfh_bypass_close(port);
}

static void works_on_an_older_kernel(void **state)
{
	static const char *const modes[] = {"mode=poll", "mode=defer"};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_true(fd >= 0);
	for (int i = 0; i < 2; i++) {
		struct mdfh_bypass_config config = one_flow;
		struct mdfh_packet packet;
		struct mdfh_bypass *port;

		config.backend_options = modes[i];
		refusals = 1;
		refusal = -EINVAL;
		assert_ok(open_and_receive(&config, &port));
		assert_int_equal(refusals, 0);
		to.sin_port = htons(port->ops->local_port(port, 0));
		for (int k = 0; k < 20; k++) {
			int got = 0;

			assert_int_equal(
			    sendto(fd, "12345", 5, 0, (struct sockaddr *)&to, sizeof(to)), 5);
			for (int tries = 0; tries < 3 && !got; tries++)
				got = port->ops->recv(port, &packet, 1);
			assert_int_equal(got, 1);
			port->ops->release(port, &packet, 1);
			assert_int_equal(port->ops->recv(port, &packet, 1), 0);
		}
		mdfh_bypass_close(port);
	}
	close(fd);
}

static void says_what_the_kernel_lacks(void **state)
{
	static const struct {
		int refusal, error;
		const char *want;
	} cases[] = {
	    {-EINVAL, -ENOTSUP, "this kernel's io_uring is too old; Linux 6.0 or later is needed"},
	    {-ENOSYS, -ENOTSUP, "this kernel has no io_uring"},
	    {-EPERM, -EPERM, "io_uring: it is "},
	    {-EMFILE, -EMFILE, "io_uring: io_uring_setup: Too many open files"},
	};
	(void)state;
	faults_mark();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct mdfh_bypass *port;

		refusal = cases[i].refusal;
		refusals = 2;
		assert_int_equal(open_and_receive(&one_flow, &port), cases[i].error);
		assert_error(cases[i].want);
		refusals = 2;
		assert_int_equal(mdfh_backend_module.ops->probe(), cases[i].error);
		assert_error(cases[i].want);
	}
	refusals = 0;
	assert_null(faults_left());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fails_with_one_flow),
	    cmocka_unit_test(fails_with_flows),
	    cmocka_unit_test(takes_errors_with_frames),
	    cmocka_unit_test(takes_errors_of_polling),
	    cmocka_unit_test(works_on_an_older_kernel),
	    cmocka_unit_test(says_what_the_kernel_lacks),
	};

	if (mdfh_backend_module.ops->probe()) {
		fprintf(stderr, "skipped: %s\n", mdfh_error_text());
		return TEST_SKIPPED;
	}
	if (test_enter_namespace()) {
		fprintf(stderr, "skipped: no network namespace without privilege here\n");
		return TEST_SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
