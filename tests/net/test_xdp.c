/* test_xdp.c - what is backend xdp's own, over a veth pair in a network namespace of the test's own: the
 * program on the interface, its counters, queues, full rings, and a process without privilege. As root. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "net/xdp_test.h"

/* Whether an XDP program is on the interface. */
static int is_attached(void)
{
	return system("/bin/ip link show mdfh0 | grep -q 'xdp'") == 0;
}

/* The program --------------------------------------------------------------------------------- */

static void counts_verdicts_and_lets_the_rest_pass(void **state)
{
	struct mdfh_bypass *port = open_xdp((struct mdfh_bypass_config){0});
	const struct mdfh_bypass_capabilities *can = mdfh_bypass_capabilities(port);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(7777)};
	struct timeval patience = {.tv_sec = 5};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint8_t bytes[64];

	(void)state;
	assert_string_equal(can->mode, "native, copy, queue 0");
	assert_string_equal(can->copy_reason, "kernel");
	assert_int_equal(can->filters, MDFH_PLACE_KERNEL);
	assert_int_equal(can->queues, 2);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);

	send_frames("239.1.1.1", 26477, 10, 100);
	send_frames(
	    "10.77.0.2", 7777, 3, 32); /* everyone's hardware address, this host's IP address */
	assert_int_equal(receive_all(port), 10);
	assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 32);
	assert_int_equal(counter_of(port, "taken"), 10);
	assert_int_equal(counter_of(port, "passed: of no flow"), 3);
	assert_int_equal(counter_of(port, "rx_ring_full"), 0);
	close(fd);
	mdfh_bypass_close(port);
}

/* It has another name, or is out of sight of the thread that asks. */
static void says_nothing_of_an_interface_that_is_there(void **state)
{
	struct mdfh_bypass *port = open_xdp((struct mdfh_bypass_config){0});
	pid_t child;
	int status;

	(void)state;
	assert_int_equal(
	    system("/bin/ip link set mdfh0 down && /bin/ip link set mdfh0 name other0 && "
		   "/bin/ip link set other0 up"),
	    0);
	(void)stats_of(port);
	assert_null(strstr(mdfh_bypass_capabilities(port)->warning, "open the port anew"));
	assert_int_equal(
	    system("/bin/ip link set other0 down && /bin/ip link set other0 name mdfh0 && "
		   "/bin/ip link set mdfh0 up"),
	    0);
	child = fork();
	if (!child) {
		if (unshare(CLONE_NEWNET))
			_exit(2);
		(void)stats_of(port);
		_exit(*mdfh_bypass_capabilities(port)->warning != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	mdfh_bypass_close(port);
}

/* A socket of the kernel's stays with the interface that it was bound to: one of the same name is another. */
static void says_that_its_interface_was_removed(void **state)
{
	struct mdfh_bypass *port = open_xdp((struct mdfh_bypass_config){0});

	(void)state;
	assert_string_equal(mdfh_bypass_capabilities(port)->warning, "");
	assert_int_equal(system("/bin/ip link del mdfh0"), 0);
	(void)stats_of(port);
	assert_non_null(strstr(mdfh_bypass_capabilities(port)->warning, "open the port anew"));
	assert_int_equal(system("/bin/ip link add mdfh0 type veth peer name mdfh1 && "
				"/bin/ip link set mdfh0 up && /bin/ip link set mdfh1 up"),
	    0);
	(void)stats_of(port);
	assert_non_null(strstr(mdfh_bypass_capabilities(port)->warning, "open the port anew"));
	mdfh_bypass_close(port);
	/* Which is to be had. */
	port = open_xdp((struct mdfh_bypass_config){0});
	(void)stats_of(port);
	assert_null(strstr(mdfh_bypass_capabilities(port)->warning, "open the port anew"));
	mdfh_bypass_close(port);
}

static void detaches_on_close(void **state)
{
	struct mdfh_bypass *port = open_xdp((struct mdfh_bypass_config){0});

	(void)state;
	assert_true(is_attached());
	mdfh_bypass_close(port);
	assert_false(is_attached());
}

/* A process with a port on the pair, which is killed. */
static void open_and_be_killed(const char *options)
{
	int status, ready[2];
	char byte;
	pid_t child;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (!child) {
		const struct mdfh_bypass_config config = {.size = sizeof(config),
		    .backend = "xdp",
		    .interface = VETH_INTERFACE,
		    .backend_options = options,
		    .flows = &group,
		    .flow_count = 1};
		struct mdfh_bypass *port;

		if (mdfh_bypass_open(&config, &port)) {
			fprintf(stderr, "%s\n", mdfh_error_text());
			_exit(1);
		}
		(void)!write(ready[1], "x", 1);
		pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_true(is_attached());
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	close(ready[0]);
}

static void detaches_when_the_process_is_killed(void **state)
{
	(void)state;
	open_and_be_killed(NULL);
	for (int tries = 0; is_attached() && tries < 100; tries++)
		usleep(10000); /* the kernel lets go of the link a moment later */
	assert_false(is_attached());
}

static void takes_the_generic_path_when_told_to(void **state)
{
	struct mdfh_bypass *port =
	    open_xdp((struct mdfh_bypass_config){.backend_options = "mode=generic"});

	(void)state;
	assert_string_equal(mdfh_bypass_capabilities(port)->mode, "generic, copy, queue 0");
	send_frames("239.1.1.1", 26477, 10, 100);
	assert_int_equal(receive_all(port), 10);
	mdfh_bypass_close(port);
}

static void polls_busily(void **state)
{
	struct mdfh_bypass *port = open_xdp((struct mdfh_bypass_config){
	    .busy_poll_us = 20, .backend_options = "busy_poll_budget=32"});

	(void)state;
	assert_string_equal(
	    mdfh_bypass_capabilities(port)->mode, "native, copy, queue 0, busy polling");
	send_frames("239.1.1.1", 26477, 10, 100);
	assert_int_equal(receive_all(port), 10);
	mdfh_bypass_close(port);
}

/* Another program, libxdp's own, is there first, and stays when ours goes. */
static void stands_beside_other_programs(void **state)
{
	struct mdfh_bypass *port;

	(void)state;
	assert_int_equal(mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL), 0);
	assert_int_equal(system("PATH=$PATH:/usr/sbin; xdp-loader load -m native mdfh0 "
				"/usr/lib/*/bpf/xsk_def_xdp_prog.o"),
	    0);
	assert_int_equal(
	    try_xdp((struct mdfh_bypass_config){.backend_options = "attach=link"}), -EBUSY);
	assert_error("another XDP program is attached to mdfh0");
	port = open_xdp((struct mdfh_bypass_config){0});
	send_frames("239.1.1.1", 26477, 10, 100);
	assert_int_equal(receive_all(port), 10);
	assert_int_equal(system("PATH=$PATH:/usr/sbin; status=$(xdp-loader status mdfh0); "
				"echo \"$status\" | grep -q mdfh_xdp && "
				"echo \"$status\" | grep -q xsk_def_prog"),
	    0);
	mdfh_bypass_close(port);
	assert_int_equal(system("PATH=$PATH:/usr/sbin; status=$(xdp-loader status mdfh0); "
				"! echo \"$status\" | grep -q mdfh_xdp && "
				"echo \"$status\" | grep -q xsk_def_prog"),
	    0);
	assert_int_equal(system("PATH=$PATH:/usr/sbin; xdp-loader unload -a mdfh0"), 0);
	assert_int_equal(umount("/sys/fs/bpf"), 0);
}

static int places(void)
{
	return WEXITSTATUS(system("PATH=$PATH:/usr/sbin; "
				  "exit $(xdp-loader status mdfh0 | grep -c mdfh_xdp)"));
}

/* The kernel does not take it out of the dispatcher; the next open does, and leaves those of the living. */
static void takes_the_place_of_a_killed_process_away(void **state)
{
	struct mdfh_bypass *port;

	(void)state;
	assert_int_equal(mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL), 0);
	open_and_be_killed("attach=dispatcher");
	assert_int_equal(places(), 1);
	port = open_xdp((struct mdfh_bypass_config){.backend_options = "attach=dispatcher"});
	assert_int_equal(places(), 1);
	send_frames("239.1.1.1", 26477, 10, 100);
	assert_int_equal(receive_all(port), 10);
	mdfh_bypass_close(port);
	assert_false(is_attached());
	open_and_be_killed("attach=dispatcher");
	port = open_xdp((struct mdfh_bypass_config){.backend_options = "attach=link"});
	assert_int_equal(places(), 1);
	mdfh_bypass_close(port);
	assert_false(is_attached());
	assert_int_equal(umount("/sys/fs/bpf"), 0);
}

static void attaches_through_the_dispatcher(void **state)
{
	struct mdfh_bypass *port;

	(void)state;
	assert_int_equal(mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL), 0);
	port = open_xdp((struct mdfh_bypass_config){.backend_options = "attach=dispatcher"});
	send_frames("239.1.1.1", 26477, 10, 100);
	assert_int_equal(receive_all(port), 10);
	mdfh_bypass_close(port);
	assert_false(is_attached());
	assert_int_equal(umount("/sys/fs/bpf"), 0);
}

static void needs_a_file_system_for_the_dispatcher(void **state)
{
	(void)state;
	assert_int_equal(
	    try_xdp((struct mdfh_bypass_config){.backend_options = "attach=dispatcher"}), -ENOTSUP);
	assert_error("xdp: libxdp has no dispatcher here");
	assert_false(is_attached());
}

/* Queues and loss ------------------------------------------------------------------------------ */

static void a_queue_has_one_port(void **state)
{
	struct mdfh_bypass *port = open_xdp((struct mdfh_bypass_config){0});

	(void)state;
	assert_int_equal(try_xdp((struct mdfh_bypass_config){0}), -EBUSY);
	assert_error("queue 0 of mdfh0 has a port in this process");
	assert_int_equal(try_xdp((struct mdfh_bypass_config){.queue = 2}), -EINVAL);
	assert_error("queue is 2; mdfh0 has 2, counted from 0 (`ethtool -l mdfh0`)");
	send_frames("239.1.1.1", 26477, 5, 100); /* the port that is open has lost nothing by it */
	assert_int_equal(receive_all(port), 5);
	mdfh_bypass_close(port);
}

/* What fails takes nothing away from who is there. */
static void a_failed_open_leaves_other_queues_alone(void **state)
{
	struct mdfh_bypass *port = open_xdp((struct mdfh_bypass_config){0});

	(void)state;
	/* Refused when the queue is bound, with the same flow. */
	assert_int_equal(
	    try_xdp((struct mdfh_bypass_config){.queue = 1, .require_zero_copy = MDFH_ON}),
	    -ENOTSUP);
	send_frames("239.1.1.1", 26477, 5, 100);
	assert_int_equal(receive_all(port), 5);
	mdfh_bypass_close(port);
}

static void counts_what_a_full_ring_drops(void **state)
{
	struct mdfh_bypass *port = open_xdp((struct mdfh_bypass_config){.rx_ring_size = 64});
	struct mdfh_bypass_stats stats;
	uint32_t came;

	(void)state;
	send_frames("239.1.1.1", 26477, 2000, 100);
	came = receive_all(port);
	assert_in_range(came, 500, 1999);
	assert_ok(mdfh_bypass_stats(port, &stats));
	assert_int_equal(came + stats.rx_dropped_socket, 2000);
	assert_int_equal(stats.known_drops, 4);
	send_frames("239.1.1.1", 26477, 10, 100);
	assert_int_equal(receive_all(port), 10);
	mdfh_bypass_close(port);
}

static void says_what_is_wrong(void **state)
{
	static const struct {
		struct mdfh_bypass_config config;
		int error;
		const char *sentence;
	} cases[] = {
	    {{.backend_options = "mode=fast"}, -EINVAL,
		"mode is 'fast'; it must be native or generic"},
	    {{.backend_options = "speed=1"}, -EINVAL, "speed"},
	    {{.interface = "nowhere0"}, -ENODEV, "interface nowhere0"},
	    {{.frame_size = 8192}, -EINVAL, "frame_size is 8192"},
	    {{.transport = MDFH_TRANSPORT_TCP}, -EINVAL, ""},
	    {{.direction = MDFH_DIRECTION_SEND}, -ENOTSUP, "xdp only receives"},
	    {{.timestamps = MDFH_TIMESTAMPS_HARDWARE}, -ENOTSUP,
		"timestamps is hardware and mdfh0 has no hardware receive stamps"},
	    {{.timestamps = MDFH_TIMESTAMPS_HARDWARE, .backend_options = "mode=generic"}, -EINVAL,
		"leave pinned, attach=dispatcher and mode=generic out"},
	    {{.require_zero_copy = MDFH_ON}, -ENOTSUP,
		"the driver of mdfh0 has no AF_XDP zero-copy"},
	    {{.backend_options = "pinned=here"}, -EINVAL, "pinned is 'here'"},
	    {{.backend_options = "pinned=/sys/fs/bpf/none"}, -ENOENT,
		"the map /sys/fs/bpf/none/sockets"},
	    {{.backend_options = "socket_fd=999"}, -EBADF, "socket_fd 999"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int rc = try_xdp(cases[i].config);

		if (cases[i].config.transport) {
			assert_true(rc < 0);
			continue;
		}
		if (rc != cases[i].error)
			fail_msg("case %zu: %d, %s", i, rc, mdfh_error_text());
		assert_error(cases[i].sentence);
	}
	assert_false(is_attached());
}

/* Without privilege ----------------------------------------------------------------------------- */

/* The program attached by somebody else, who has pinned its maps. */
static void attach_pinned(void)
{
	char load[512];

	assert_int_equal(mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL), 0);
	snprintf(load, sizeof(load),
	    "PATH=$PATH:/usr/sbin; bpftool prog load %s/modules/mdfh_xdp.bpf.o /sys/fs/bpf/program "
	    "type xdp pinmaps /sys/fs/bpf/mdfh && "
	    "bpftool net attach xdp pinned /sys/fs/bpf/program dev mdfh0 && "
	    "chmod 755 /sys/fs/bpf && chown -R 65533 /sys/fs/bpf/mdfh",
	    getenv("MDFH_BUILD"));
	assert_int_equal(system(load), 0);
}

static void detach_pinned(void)
{
	assert_int_equal(system("PATH=$PATH:/usr/sbin; bpftool net detach xdp dev mdfh0"), 0);
	assert_int_equal(umount("/sys/fs/bpf"), 0);
}

/* A process that is refused the queue of another takes nothing away from it. */
static void a_refused_process_leaves_the_other_alone(void **state)
{
	static const struct mdfh_bypass_config config = {
	    .backend_options = "pinned=/sys/fs/bpf/mdfh"};
	struct mdfh_bypass *port;
	int go[2], status;
	pid_t child;

	(void)state;
	attach_pinned();
	assert_int_equal(pipe(go), 0);
	child = fork(); /* before this process has a port, so that it knows of none */
	if (!child) {
		char byte;

		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		_exit(try_xdp(config) == -EBUSY ? 0 : 2);
	}
	port = open_xdp(config);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	send_frames("239.1.1.1", 26477, 10, 100);
	assert_int_equal(receive_all(port), 10);
	mdfh_bypass_close(port);
	close(go[0]);
	close(go[1]);
	detach_pinned();
}

static void refuses_maps_of_another_layout(void **state)
{
	(void)state;
	attach_pinned();
	assert_int_equal(system("cd /sys/fs/bpf/mdfh && mv filters kept && mv kinds filters"), 0);
	assert_int_equal(
	    try_xdp((struct mdfh_bypass_config){.backend_options = "pinned=/sys/fs/bpf/mdfh"}),
	    -EINVAL);
	assert_error("the map /sys/fs/bpf/mdfh/filters is not this version's");
	detach_pinned();
}

/* In either way, and whichever way is asked for. */
static void says_that_another_program_is_there(void **state)
{
	static const char *const ways[] = {"xdpdrv", "xdpgeneric"};
	static const char *const modes[] = {NULL, "mode=native", "mode=generic"};
	char text[256];

	(void)state;
	attach_pinned();
	assert_int_equal(system("PATH=$PATH:/usr/sbin; bpftool net detach xdp dev mdfh0"), 0);
	for (int way = 0; way < 2; way++) {
		snprintf(text, sizeof(text),
		    "PATH=$PATH:/usr/sbin; bpftool net attach %s pinned /sys/fs/bpf/program dev "
		    "mdfh0",
		    ways[way]);
		assert_int_equal(system(text), 0);
		for (int mode = 0; mode < 3; mode++) {
			assert_int_equal(
			    try_xdp((struct mdfh_bypass_config){.backend_options = modes[mode]}),
			    -EBUSY);
			assert_error("another XDP program is attached to mdfh0");
		}
		snprintf(text, sizeof(text),
		    "PATH=$PATH:/usr/sbin; bpftool net detach %s dev mdfh0", ways[way]);
		assert_int_equal(system(text), 0);
	}
	assert_int_equal(umount("/sys/fs/bpf"), 0);
}

/* A user without privilege but these. */
/* Not nobody, whom other tests run as: locked memory is bounded by user. */
static void become_user(uint64_t capabilities)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	for (int i = 0; i < 2; i++)
		data[i].effective = data[i].permitted = (uint32_t)(capabilities >> 32 * i);
	if (prctl(PR_SET_KEEPCAPS, 1) || setgid(65533) || setuid(65533) ||
	    syscall(SYS_capset, &header, data))
		_exit(2);
}

/* In a child with these capabilities: open, look at the mode, receive ten packets. Its exit status. */
static int as_user(uint64_t capabilities, const char *options, const char *mode)
{
	pid_t child = fork();
	int status;

	if (!child) {
		/* A small one, as the memory that a user may lock is bounded. */
		const struct mdfh_bypass_config config = {.size = sizeof(config),
		    .backend = "xdp",
		    .interface = VETH_INTERFACE,
		    .backend_options = options,
		    .rx_ring_size = 512,
		    .hold_max = 64,
		    .poll_timeout_us = 50000,
		    .flows = &group,
		    .flow_count = 1};
		struct mdfh_bypass *port;

		become_user(capabilities);
		if (mdfh_bypass_open(&config, &port)) {
			fprintf(stderr, "%s\n", mdfh_error_text());
			_exit(strstr(mdfh_error_text(), "no dispatcher here") ? 6 : 3);
		}
		if (strcmp(mdfh_bypass_capabilities(port)->mode, mode) != 0)
			_exit(4);
		send_frames("239.1.1.1", 26477, 10, 100);
		if (receive_all(port) != 10)
			_exit(5);
		mdfh_bypass_close(port);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void works_without_privilege(void **state)
{
	char options[128];
	int fd, status;

	(void)state;
	attach_pinned();
	fd = socket(AF_XDP, SOCK_RAW, 0);
	assert_true(fd >= 0);
	snprintf(options, sizeof(options), "pinned=/sys/fs/bpf/mdfh,socket_fd=%d", fd);
	status = as_user(0, options, "pinned, copy, queue 0");
	close(fd);
	detach_pinned();
	assert_int_equal(status, 0);
}

/* Those that docs/backend-xdp.md names. */
static const uint64_t named =
    1ull << CAP_NET_ADMIN | 1ull << CAP_NET_RAW | 1ull << CAP_BPF | 1ull << CAP_PERFMON;

static void works_with_the_named_capabilities(void **state)
{
	(void)state;
	assert_int_equal(as_user(named, NULL, "native, copy, queue 0"), 0);
	assert_false(is_attached());
}

static void leaves_nothing_where_it_may_not_have_a_dispatcher(void **state)
{
	(void)state;
	assert_int_equal(as_user(named, "attach=dispatcher", ""), 6);
	assert_false(is_attached());
}

/* Usage: test_xdp [dispatcher]: there are kernels that load no program which extends another, as
 * libxdp's dispatcher wants. */
int main(int argc, char **argv)
{
	static char *arguments[] = {"test_xdp", "xdp", NULL};
	const struct CMUnitTest dispatcher_tests[] = {
	    cmocka_unit_test(attaches_through_the_dispatcher),
	    cmocka_unit_test(takes_the_place_of_a_killed_process_away),
	    cmocka_unit_test(stands_beside_other_programs),
	};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(counts_verdicts_and_lets_the_rest_pass),
	    cmocka_unit_test(detaches_on_close),
	    cmocka_unit_test(detaches_when_the_process_is_killed),
	    cmocka_unit_test(takes_the_generic_path_when_told_to),
	    cmocka_unit_test(polls_busily),
	    cmocka_unit_test(needs_a_file_system_for_the_dispatcher),
	    cmocka_unit_test(a_queue_has_one_port),
	    cmocka_unit_test(a_failed_open_leaves_other_queues_alone),
	    cmocka_unit_test(counts_what_a_full_ring_drops),
	    cmocka_unit_test(says_what_is_wrong),
	    cmocka_unit_test(a_refused_process_leaves_the_other_alone),
	    cmocka_unit_test(refuses_maps_of_another_layout),
	    cmocka_unit_test(says_that_another_program_is_there),
	    cmocka_unit_test(works_without_privilege),
	    cmocka_unit_test(works_with_the_named_capabilities),
	    cmocka_unit_test(leaves_nothing_where_it_may_not_have_a_dispatcher),
	    cmocka_unit_test(says_nothing_of_an_interface_that_is_there),
	    /* The last: nobody listens to the new pair. */
	    cmocka_unit_test(says_that_its_interface_was_removed),
	};
	int status = test_take_backend(2, arguments);

	if (!status)
		status = veth_enter();
	if (status)
		return status;
	/* The host's BPF file system is not to be seen, nor ours outside. */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		fprintf(stderr, "there is no mount namespace to be had\n");
		return 1;
	}
	while (!umount2("/sys/fs/bpf", MNT_DETACH))
		;
	wire = mdfh_conformance_frames_open(VETH_PEER);
	if (wire < 0) {
		fprintf(stderr, "%s\n", mdfh_error_text());
		return 1;
	}
	if (argc > 1 && !strcmp(argv[1], "dispatcher"))
		return cmocka_run_group_tests(dispatcher_tests, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
