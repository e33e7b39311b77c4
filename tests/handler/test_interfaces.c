/* test_interfaces.c - a handler whose interface goes away and comes back: it is told, and receives
 * again, also through one that was made anew. The interface is one end of a veth pair in the test's
 * own namespace. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mdfh/error.h"
#include "mdfh/handler.h"
#include "mdfh/log.h"

enum { LOOKS = 1000, LOOK_NS = 10000000 }; /* 10 s; ended by what is looked for */

static int home, away; /* namespaces */

/* What the handler said, by its control thread. */
static struct {
	pthread_mutex_t lock;
	char text[4096];
} said = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void keep(void *context, enum mdfh_log_level level, const char *text)
{
	(void)context;
	(void)level;
	pthread_mutex_lock(&said.lock);
	if (strlen(said.text) + strlen(text) + 2 < sizeof(said.text)) {
		strcat(said.text, text);
		strcat(said.text, "\n");
	}
	pthread_mutex_unlock(&said.lock);
}

static void nap(void)
{
	const struct timespec time = {.tv_nsec = LOOK_NS};

	nanosleep(&time, NULL);
}

static void expect_said(const char *text)
{
	for (int i = 0; i < LOOKS; i++, nap()) {
		int found;

		pthread_mutex_lock(&said.lock);
		found = strstr(said.text, text) != NULL;
		if (found)
			said.text[0] = '\0';
		pthread_mutex_unlock(&said.lock);
		if (found)
			return;
	}
	fail_msg("'%s' was not said, but: %s", text, said.text);
}

static void run(const char *command)
{
	if (system(command)) /* NOLINT(cert-env33-c): fixed commands of the test */
		fail_msg("%s", command);
}

static void make_pair(void)
{
	char command[160];

	snprintf(command, sizeof(command),
	    "ip link add va type veth peer name vb netns /proc/%d/fd/%d", getpid(), away);
	run(command);
	run("ip address add 10.78.0.1/24 dev va && ip link set va up");
	assert_int_equal(setns(away, CLONE_NEWNET), 0);
	run("ip address add 10.78.0.2/24 dev vb && ip link set vb up");
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
}

static void send_packet(void)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(26477)};
	struct ip_mreqn from = {0};
	int fd;

	assert_int_equal(setns(away, CLONE_NEWNET), 0);
	from.imr_ifindex = (int)if_nametoindex("vb");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	inet_pton(AF_INET, "239.1.1.1", &to.sin_addr);
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &from, sizeof(from)), 0);
	(void)sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to));
	close(fd);
}

/* Packets of one byte, which no session takes, but which the port counts. */
static void expect_packets(struct mdfh_handler *handler)
{
	struct mdfh_port_report before, now;

	mdfh_handler_port_report(handler, 0, &before);
	for (int i = 0; i < LOOKS; i++, nap()) {
		send_packet();
		mdfh_handler_port_report(handler, 0, &now);
		if (now.stats.rx_packets > before.stats.rx_packets)
			return;
	}
	fail_msg("no packet comes");
}

static void tells_and_receives_again(void **state)
{
	static const char text[] = "channels:\n  - name: nasdaq\n    protocol: itch50\n    lines:\n"
				   "      - {group: '239.1.1.1:26477', interface: va}\n"
				   "      - {group: '239.1.1.2:26477', interface: va}\n";
	struct mdfh_handler_config *config;
	struct mdfh_handler *handler = NULL;

	(void)state;
	make_pair();
	mdfh_log_set(keep, NULL, MDFH_LOG_WARNING);
	if (mdfh_handler_config_parse(text, strlen(text), "test", &config) ||
	    mdfh_handler_create(config, &handler) || mdfh_handler_start(handler))
		fail_msg("%s", mdfh_error_text());
	expect_packets(handler);
	run("ip link set va down");
	expect_said("interface va is down: nothing arrives until `ip link set va up` (nasdaq line "
		    "A, nasdaq line B)");
	run("ip link set va up");
	expect_said("interface va works again (nasdaq line A, nasdaq line B)");
	expect_packets(handler);

	run("ip link del va");
	expect_said("interface va is gone: nothing arrives until there is one of that name again");
	make_pair();
	expect_said("interface va works again");
	expect_packets(handler);

	if (mdfh_handler_stop(handler))
		fail_msg("%s", mdfh_error_text());
	mdfh_handler_destroy(handler);
	mdfh_handler_config_free(config);
	mdfh_log_set(NULL, NULL, MDFH_LOG_ERROR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(tells_and_receives_again),
	};

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET)) {
		fprintf(stderr, "skipped: no network namespace without privilege here\n");
		return 77;
	}
	home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (unshare(CLONE_NEWNET))
		return 1;
	away = open("/proc/thread-self/ns/net", O_RDONLY); /* for ip, too */
	if (home < 0 || away < 0 || setns(home, CLONE_NEWNET))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
