/* test_socket_troubles.c - what goes wrong around kernel sockets: each is a sentence that names the
 * thing, the value and what to do; and an interface that goes away and comes back, under multicast
 * and under a connection.
 *
 * The interface is one end of a veth pair, whose other end is in a second namespace. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "net/tcp_server.h"

/* Interposed at link time: one option may be refused for want of privilege, and what is read by
 * recvmsg be late. */
static int refused_option;
static int late_reads, reads;

/* NOLINTBEGIN(bugprone-reserved-identifier): the linker's names */
int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
	if (level == SOL_SOCKET && name == refused_option) {
		errno = EPERM;
		return -1;
	}
	return __real_setsockopt(fd, level, name, value, size);
}

ssize_t __real_recvmsg(int fd, struct msghdr *header, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *header, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *header, int flags)
{
	if (reads++ < late_reads) {
		errno = EAGAIN;
		return -1;
	}
	return __real_recvmsg(fd, header, flags);
}
/* NOLINTEND(bugprone-reserved-identifier) */

static int open_with(struct mdfh_bypass_config config, struct mdfh_bypass **port)
{
	config.size = sizeof(config);
	config.poll_timeout_us = SERVER_WAIT_US;
	return mdfh_bypass_open(&config, port);
}

static void refused(struct mdfh_bypass_config config, int error, const char *sentence)
{
	struct mdfh_bypass *port;
	int rc = open_with(config, &port);

	if (rc != error)
		fail_msg("%d instead of %d: %s", rc, error, rc ? mdfh_error_text() : "opened");
	assert_null(port);
	assert_error(sentence);
}

static const char *warning_of(struct mdfh_bypass *port)
{
	struct mdfh_bypass_stats stats;

	assert_ok(mdfh_bypass_stats(port, &stats));
	return mdfh_bypass_capabilities(port)->warning;
}

/* "" = nothing about an interface. The kernel tells of a carrier with a delay of its own. */
static void expect_warning(struct mdfh_bypass *port, const char *text)
{
	struct mdfh_packet packets[16];
	const char *warning = "";

	for (int i = 0; i < SERVER_LOOKS; i++) {
		int n;

		warning = warning_of(port);
		if (*text ? strstr(warning, text) != NULL : !strstr(warning, "interface"))
			return;
		n = mdfh_bypass_recv_wait(port, packets, 16);
		assert_ok(n);
		mdfh_bypass_release(port, packets, n);
	}
	fail_msg("want '%s' in '%s'", text, warning);
}

/* Sentences ---------------------------------------------------------------- */

static void says_who_has_a_port(void **state)
{
	struct mdfh_bypass *first;
	char sentence[256];
	uint16_t number;

	(void)state;
	assert_ok(open_with((struct mdfh_bypass_config){.host = "127.0.0.1"}, &first));
	number = mdfh_bypass_local_port(first, 0);
	snprintf(sentence, sizeof(sentence),
	    "socket: bind to 127.0.0.1 port %u: Address already in use; another socket has it, and "
	    "`ss -ulnp sport = :%u` says whose: end that program, or take another port",
	    number, number);
	refused((struct mdfh_bypass_config){.host = "127.0.0.1", .port = number}, -EADDRINUSE,
	    sentence);
	mdfh_bypass_close(first);
}

static void says_what_addresses_there_are(void **state)
{
	(void)state;
	refused((struct mdfh_bypass_config){.host = "203.0.113.1", .port = 5}, -EADDRNOTAVAIL,
	    "socket: bind to 203.0.113.1 port 5: Cannot assign requested address; it is no address "
	    "of this host: `ip address` lists those that are");
	refused((struct mdfh_bypass_config){.host = "127.0.0.1", .interface = "nosuch0"}, -ENODEV,
	    "socket: interface 'nosuch0': No such device; `ip link` lists those that there are");
	refused((struct mdfh_bypass_config){.host = "239.1.1.1", .port = 5}, -ENODEV,
	    "socket: join 239.1.1.1 (no interface is set): No such device; no route leads there: "
	    "set interface to the device that the group comes in on");
}

static void says_what_privilege_is_for(void **state)
{
	const struct mdfh_bypass_config tcp = {.transport = MDFH_TRANSPORT_TCP,
	    .host = "127.0.0.1",
	    .port = 5,
	    .interface = "lo",
	    .busy_poll_us = 50};

	(void)state;
	refused_option = SO_BUSY_POLL;
	refused((struct mdfh_bypass_config){.host = "127.0.0.1", .busy_poll_us = 50}, -EPERM,
	    "busy_poll_us is 50 and SO_BUSY_POLL was refused; give the process CAP_NET_ADMIN");
	refused(tcp, -EPERM, "busy_poll_us is 50 and SO_BUSY_POLL was refused");
	refused_option = SO_BINDTODEVICE;
	refused((struct mdfh_bypass_config){.port = 5, .interface = "lo"}, -EPERM,
	    "socket: SO_BINDTODEVICE lo: Operation not permitted; give the process CAP_NET_RAW");
	refused(tcp, -EPERM,
	    "socket: SO_BINDTODEVICE lo: Operation not permitted; give the process CAP_NET_RAW");
	refused_option = 0;
}

/* As a user without any privilege. */
static void runs_unprivileged(void **state)
{
	int status;
	pid_t child;

	(void)state;
	if (geteuid()) {
		print_message("not run: only root can become another user\n");
		skip();
	}
	child = fork();
	assert_true(child >= 0);
	if (!child) {
		struct mdfh_bypass_config config = {.size = sizeof(config),
		    .host = "127.0.0.1",
		    .port = 80,
		    .receive_buffer_bytes = 1 << 30};
		struct mdfh_bypass *port;

		if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
			_exit(2);
		if (mdfh_bypass_open(&config, &port) != -EACCES ||
		    !strstr(mdfh_error_text(), "port 80: Permission denied; low port numbers need "
					       "CAP_NET_BIND_SERVICE"))
			_exit(3);
		config.port = 0;
		if (mdfh_bypass_open(&config, &port))
			_exit(4);
		if (!strstr(mdfh_bypass_capabilities(port)->warning,
			"receive_buffer_bytes is 1073741823 and the kernel granted ") ||
		    !strstr(mdfh_bypass_capabilities(port)->warning,
			"run `sysctl -w net.core.rmem_max=1073741823`"))
			_exit(5);
		mdfh_bypass_close(port);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void says_how_many_files_there_may_be(void **state)
{
	struct rlimit before, few;
	uint16_t number = 0;
	int listener = server_listen("127.0.0.1", &number, 8), peer;
	const struct mdfh_bypass_config tcp = {.transport = MDFH_TRANSPORT_TCP,
	    .host = "127.0.0.1",
	    .port = number,
	    .backend_options = "reconnect_min_ms=1,reconnect_max_ms=2"};
	struct mdfh_bypass_stats stats = {0};
	struct mdfh_bypass *port;
	struct mdfh_packet packet;

	(void)state;
	assert_ok(open_with(tcp, &port));
	peer = server_accept(listener);
	server_expect_mark(port, MDFH_PACKET_CONNECTED);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	refused((struct mdfh_bypass_config){.host = "127.0.0.1"}, -EMFILE,
	    "socket: socket for flows[0]: too many open files: this process may have 3; raise that "
	    "with `ulimit -n`");
	refused(tcp, -EMFILE, "too many open files: this process may have 3; raise that with");

	/* A connection that was there is made again when there is room. */
	assert_int_equal(shutdown(peer, SHUT_RDWR), 0);
	server_expect_mark(port, MDFH_PACKET_DISCONNECTED);
	for (int i = 0; stats.connect_failures < 3 && i < SERVER_LOOKS; i++) {
		assert_int_equal(mdfh_bypass_recv_wait(port, &packet, 1), 0);
		assert_ok(mdfh_bypass_stats(port, &stats));
	}
	assert_true(stats.connect_failures >= 3);
	assert_int_equal(stats.last_error, EMFILE);
	expect_warning(port, "Too many open files");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	server_expect_mark(port, MDFH_PACKET_CONNECTED);
	mdfh_bypass_close(port);
	close(peer);
	close(listener);
}

/* The interface ---------------------------------------------------------------- */

static struct {
	int home, away; /* namespaces */
} place;

static void enter(int namespace)
{
	assert_int_equal(setns(namespace, CLONE_NEWNET), 0);
}

static void run(const char *command)
{
	if (system(command)) /* NOLINT(cert-env33-c): fixed commands of the test */
		fail_msg("%s", command);
}

static void run_away(const char *command)
{
	enter(place.away);
	run(command);
	enter(place.home);
}

static void make_pair(void)
{
	char command[160];

	snprintf(command, sizeof(command),
	    "ip link add va type veth peer name vb netns /proc/%d/fd/%d", getpid(), place.away);
	run(command);
	run("ip address add 10.77.0.1/24 dev va && ip link set va up");
	run_away("ip address add 10.77.0.2/24 dev vb && ip address add fd77::2/64 dev vb nodad && "
		 "ip link set vb up");
}

static int make_place(void **state)
{
	(void)state;
	place.home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (place.home < 0 || unshare(CLONE_NEWNET))
		return -1;
	place.away = open("/proc/thread-self/ns/net", O_RDONLY); /* for ip, too */
	if (place.away < 0)
		return -1;
	enter(place.home);
	make_pair();
	return 0;
}

static int leave_place(void **state)
{
	(void)state;
	run("ip link del va");
	close(place.home);
	close(place.away);
	return 0;
}

/* From the other end to a group. */
static void send_to_group(const char *group, const char *text)
{
	struct sockaddr_storage to;
	socklen_t size = server_address(group, 26477, &to);
	struct ip_mreqn from = {0};
	int fd, index;

	enter(place.away);
	index = (int)if_nametoindex("vb");
	fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	enter(place.home);
	from.imr_ifindex = index;
	assert_true(fd >= 0 && index);
	if (to.ss_family == AF_INET)
		assert_int_equal(
		    setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof(from)), 0);
	else
		assert_int_equal(
		    setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof(index)), 0);
	/* While the interface is away, this may fail. */
	(void)sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, size);
	close(fd);
}

/* The last one's addresses are those of a link. */
enum { GROUPS = 3 };
static const char *const groups[GROUPS] = {"239.1.1.1", "ff15::1:1", "ff12::1:1"};

static struct mdfh_bypass *open_groups(void)
{
	struct mdfh_flow flows[GROUPS];
	struct mdfh_bypass *port;

	for (int i = 0; i < GROUPS; i++)
		flows[i] = (struct mdfh_flow){.group = groups[i], .port = 26477};
	assert_ok(open_with(
	    (struct mdfh_bypass_config){.interface = "va", .flows = flows, .flow_count = GROUPS},
	    &port));
	return port;
}

/* What is sent to all groups arrives. An interface that has just come up may take a moment to
 * carry packets, so it is sent until it does. */
static void expect_groups(struct mdfh_bypass *port, const char *text)
{
	for (int flow = 0; flow < GROUPS; flow++) {
		struct mdfh_packet packet = {0};
		int n = 0;

		for (int i = 0; !n && i < SERVER_LOOKS; i++) {
			send_to_group(groups[flow], text);
			n = mdfh_bypass_recv_wait(port, &packet, 1);
			assert_ok(n);
			if (n &&
			    (packet.flow != flow || memcmp(packet.data, text, strlen(text)) != 0)) {
				mdfh_bypass_release(port, &packet, 1); /* an earlier one */
				n = 0;
			}
		}
		if (!n)
			fail_msg("'%s' does not come on flow %d", text, flow);
		mdfh_bypass_release(port, &packet, 1);
	}
}

static void expect_nothing(struct mdfh_bypass *port)
{
	struct mdfh_packet packets[16];
	int n;

	/* What came before, then silence; but no error. */
	while ((n = mdfh_bypass_recv_wait(port, packets, 16)) > 0)
		mdfh_bypass_release(port, packets, n);
	assert_int_equal(n, 0);
}

static void receives_groups_again_after_down_and_up(void **state)
{
	struct mdfh_bypass *port = open_groups();

	(void)state;
	expect_groups(port, "before");
	expect_warning(port, "");
	run("ip link set va down");
	expect_warning(port, "interface va is down: nothing arrives until `ip link set va up`");
	send_to_group(groups[0], "lost");
	send_to_group(groups[1], "lost");
	expect_nothing(port);
	run("ip link set va up");
	expect_groups(port, "after");
	expect_warning(port, "");

	run_away("ip link set vb down");
	expect_warning(port, "interface va has no carrier: nothing arrives");
	run_away("ip link set vb up && ip address replace fd77::2/64 dev vb nodad");
	expect_groups(port, "again");
	expect_warning(port, "");
	mdfh_bypass_close(port);
}

/* The kernel forgets memberships with the interface; the port asks for them anew. */
static void receives_groups_through_an_interface_made_anew(void **state)
{
	struct mdfh_bypass *port = open_groups();

	(void)state;
	expect_groups(port, "before");
	run("ip link del va");
	expect_warning(port, "interface va is gone: nothing arrives until there is one");
	expect_nothing(port);
	make_pair();
	expect_warning(port, "");
	expect_groups(port, "after");
	mdfh_bypass_close(port);
}

static void says_at_open_that_it_is_down(void **state)
{
	struct mdfh_bypass *port;

	(void)state;
	run("ip link set va down");
	port = open_groups();
	assert_non_null(
	    strstr(mdfh_bypass_capabilities(port)->warning, "interface va is down: nothing"));
	run("ip link set va up");
	expect_groups(port, "up");
	mdfh_bypass_close(port);
}

/* A connection to the other end. */
static struct mdfh_bypass *open_to_away(const char *options, int *listener, int *peer)
{
	struct mdfh_bypass_config config = {.transport = MDFH_TRANSPORT_TCP,
	    .interface = "va",
	    .host = "10.77.0.2",
	    .backend_options = options};
	struct mdfh_bypass *port;

	enter(place.away);
	*listener = server_listen("10.77.0.2", &config.port, 8);
	enter(place.home);
	assert_ok(open_with(config, &port));
	*peer = server_accept(*listener);
	server_expect_mark(port, MDFH_PACKET_CONNECTED);
	return port;
}

/* An absence that is shorter than the server is given costs a connection nothing. */
static void keeps_a_connection(void **state)
{
	int listener, peer;
	struct mdfh_bypass *port = open_to_away("keepalive_s=60", &listener, &peer);

	(void)state;
	run("ip link set va down");
	expect_warning(port, "interface va is down");
	server_write(peer, "patience", 8);
	run("ip link set va up");
	server_expect_bytes(port, "patience", 8);
	expect_warning(port, "");
	mdfh_bypass_close(port);
	close(peer);
	close(listener);
}

/* A longer one costs the connection, which is then made again. */
static void remakes_a_connection(void **state)
{
	int listener, peer;
	struct mdfh_bypass *port = open_to_away(
	    "keepalive_s=1,connect_timeout_ms=500,reconnect_min_ms=10,reconnect_max_ms=100",
	    &listener, &peer);
	struct mdfh_bypass_stats stats;

	(void)state;
	run("ip link set va down");
	server_expect_mark(port, MDFH_PACKET_DISCONNECTED);
	assert_ok(mdfh_bypass_stats(port, &stats));
	assert_true(stats.last_error == ETIMEDOUT || stats.last_error == EHOSTUNREACH ||
		    stats.last_error == ENETUNREACH);
	assert_int_equal(stats.disconnects, 1);
	run("ip link set va up");
	server_expect_mark(port, MDFH_PACKET_CONNECTED);
	close(peer);
	peer = server_accept(listener);
	server_write(peer, "back", 4);
	server_expect_bytes(port, "back", 4);

	/* Also through an interface of another index. */
	run("ip link del va");
	expect_warning(port, "interface va is gone");
	server_expect_mark(port, MDFH_PACKET_DISCONNECTED);
	make_pair();
	server_expect_mark(port, MDFH_PACKET_CONNECTED);
	close(peer);
	peer = server_accept(listener);
	server_write(peer, "anew", 4);
	server_expect_bytes(port, "anew", 4);
	mdfh_bypass_close(port);
	close(peer);
	close(listener);
}

/* On a busy machine loopback may bring a datagram later than it is asked for. */
static void waits_for_stamps_though_loopback_is_late(void **state)
{
	struct mdfh_bypass *port;

	(void)state;
	late_reads = 3;
	reads = 0;
	assert_ok(open_with((struct mdfh_bypass_config){.host = "127.0.0.1"}, &port));
	late_reads = 0;
	assert_true(reads > 3);
	mdfh_bypass_close(port);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(says_who_has_a_port),
	    cmocka_unit_test(says_what_addresses_there_are),
	    cmocka_unit_test(says_what_privilege_is_for),
	    cmocka_unit_test(runs_unprivileged),
	    cmocka_unit_test(says_how_many_files_there_may_be),
	    cmocka_unit_test(waits_for_stamps_though_loopback_is_late),
	};
	const struct CMUnitTest interface_tests[] = {
	    cmocka_unit_test(receives_groups_again_after_down_and_up),
	    cmocka_unit_test(receives_groups_through_an_interface_made_anew),
	    cmocka_unit_test(says_at_open_that_it_is_down),
	    cmocka_unit_test(keeps_a_connection),
	    cmocka_unit_test(remakes_a_connection),
	};

	if (test_enter_namespace()) {
		fprintf(stderr, "skipped: no network namespace without privilege here\n");
		return TEST_SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL) +
	       cmocka_run_group_tests(interface_tests, make_place, leave_place);
}
