/* test_dpdk_memif.c - backend dpdk from process to process through net_memif: nothing is lost and
 * nothing overtakes, no system call is made for it, and a peer that goes and comes again is found.
 *
 * usage: test_dpdk_memif huge|small: with hugepages, or without */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "net/dpdk_test.h"

enum { PACKETS = 200000, LENGTH = 128 };

static char folder[64]; /* of the socket by which the two find one another */
static char server[160], client[160];
static enum mdfh_switch hugepages;

static const struct mdfh_flow flows[] = {
    {.group = "239.1.1.1", .port = 26477}, {.group = "ff15::1", .port = 26478}};

/* The peer ------------------------------------------------------------------------------------- */

static void nap(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* A process that sends `count` numbers and then stays until its standard input is closed. The exit
 * status says where it failed. */
static int peer_main(uint32_t count)
{
	struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = "dpdk",
	    .interface = server,
	    .hugepages = hugepages,
	    .rx_ring_size = 1024,
	    .flows = flows,
	    .flow_count = 2,
	    .direction = MDFH_DIRECTION_SEND};
	struct mdfh_packet packets[32];
	struct mdfh_bypass_stats stats;
	struct pollfd end = {.fd = STDIN_FILENO, .events = POLLIN};
	struct mdfh_bypass *port;
	uint8_t data[32][LENGTH];
	uint32_t at = 0;

	if (mdfh_bypass_open(&config, &port)) {
		fprintf(stderr, "peer: %s\n", mdfh_error_text());
		return 1;
	}
	for (int i = 0; i < 10000; i++) {
		if (mdfh_bypass_stats(port, &stats))
			return 2;
		if (!*mdfh_bypass_capabilities(port)->warning)
			break;
		nap();
	}
	for (int patience = 20000; at < count && patience;) {
		int n = count - at < 32 ? (int)(count - at) : 32;
		int taken;

		for (int i = 0; i < n; i++) {
			number_write(data[i], LENGTH, at + (uint32_t)i);
			packets[i] = (struct mdfh_packet){.data = data[i],
			    .length = LENGTH,
			    .flow = (uint16_t)((at + (uint32_t)i) & 1)};
		}
		taken = mdfh_bypass_send(port, packets, n);
		if (taken < 0)
			return 3;
		at += (uint32_t)taken;
		if (!taken) { /* the ring is full */
			nap();
			patience--;
		}
	}
	(void)poll(&end, 1, 60000);
	mdfh_bypass_close(port);
	return at == count ? 0 : 4;
}

struct peer {
	pid_t pid;
	int until;
};

/* The program anew, as EAL may run in this one already. */
static struct peer peer_start(uint32_t count)
{
	struct peer peer;
	char number[16];
	int ends[2];

	snprintf(number, sizeof(number), "%u", count);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	peer.pid = fork();
	assert_true(peer.pid >= 0);
	if (!peer.pid) {
		dup2(ends[0], STDIN_FILENO);
		execl("/proc/self/exe", "test_dpdk_memif", hugepages == MDFH_ON ? "huge" : "small",
		    folder, number, NULL);
		_exit(127);
	}
	close(ends[0]);
	peer.until = ends[1];
	return peer;
}

static void peer_end(struct peer peer)
{
	int status;

	close(peer.until);
	assert_int_equal(waitpid(peer.pid, &status, 0), peer.pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static struct mdfh_bypass *open_client(void)
{
	return open_port((struct mdfh_bypass_config){.interface = client,
	    .hugepages = hugepages,
	    .rx_ring_size = 1024,
	    .hold_max = 512,
	    .flows = flows,
	    .flow_count = 2});
}

/* Tests ---------------------------------------------------------------------------------------- */

static void receives_all_in_order(void **state)
{
	struct peer peer = peer_start(PACKETS);
	struct mdfh_bypass *port = open_client();
	const struct mdfh_bypass_capabilities *can = mdfh_bypass_capabilities(port);
	struct mdfh_packet packets[64];

	(void)state;
	assert_false(can->zero_copy);
	assert_string_equal(can->copy_reason, "driver net_memif");
	assert_int_equal(can->hugepages, hugepages == MDFH_ON);
	assert_non_null(
	    strstr(can->mode, hugepages == MDFH_ON ? ", hugepages," : ", no hugepages,"));
	for (uint32_t at = 0; at < PACKETS;) {
		int n = mdfh_bypass_recv_wait(port, packets, 64);

		if (n <= 0)
			fail_msg("%u packets, then %d %s", at, n, mdfh_error_text());
		for (int i = 0; i < n; i++, at++) {
			assert_int_equal(number_of(&packets[i]), at);
			assert_int_equal(packets[i].flow, at & 1);
		}
		mdfh_bypass_release(port, packets, n);
	}
	assert_int_equal(stats_of(port).rx_packets, PACKETS);
	assert_int_equal(stats_of(port).rx_copied, 0);
	assert_int_equal(stats_of(port).known_drops, 0);
	peer_end(peer);
	mdfh_bypass_close(port);
}

/* Allow what is needed to tell and to end, and kill for all else. */
static int forbid_system_calls(void)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 1, 0),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* Receive want packets without a word. */
static int receive_quietly(struct mdfh_bypass *port, uint32_t want)
{
	struct mdfh_packet packets[64];
	uint32_t got = 0;

	for (uint64_t patience = 20000000000u; got < want && patience; patience--) {
		int n = mdfh_bypass_recv(port, packets, 64);

		if (n < 0)
			return 0;
		mdfh_bypass_release(port, packets, n);
		got += (uint32_t)n;
	}
	return got >= want;
}

/* In a process of its own, which ends as soon as it makes any system call. */
static void receives_without_a_system_call(void **state)
{
	struct peer peer = peer_start(PACKETS);
	char path[sizeof(folder) + 8];
	int status;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (!child) {
		struct mdfh_bypass *port;
		struct mdfh_bypass_config config = {.size = sizeof(config),
		    .backend = "dpdk",
		    .interface = client,
		    .hugepages = hugepages,
		    .rx_ring_size = 1024,
		    .flows = flows,
		    .flow_count = 2};

		if (mdfh_bypass_open(&config, &port) || !receive_quietly(port, PACKETS / 10) ||
		    forbid_system_calls())
			_exit(1);
		syscall(SYS_exit_group, receive_quietly(port, PACKETS / 2) ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status))
		fail_msg("killed by signal %d: a system call was made", WTERMSIG(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	/* Who received is gone, so the rest cannot be sent. */
	kill(peer.pid, SIGKILL);
	waitpid(peer.pid, &status, 0);
	close(peer.until);
	snprintf(path, sizeof(path), "%s/memif", folder);
	unlink(path);
}

static int has_warning(struct mdfh_bypass *port, int wanted)
{
	for (int i = 0; i < 10000; i++) {
		struct mdfh_packet packet;

		(void)stats_of(port);
		if (!!*mdfh_bypass_capabilities(port)->warning == wanted)
			return 1;
		if (mdfh_bypass_recv(port, &packet, 1) == 1)
			mdfh_bypass_release(port, &packet, 1);
		nap();
	}
	return 0;
}

static void finds_a_peer_that_comes_again(void **state)
{
	struct mdfh_bypass *port = open_client();
	struct mdfh_packet packet;

	(void)state;
	assert_true(has_warning(port, 1));
	assert_non_null(strstr(mdfh_bypass_capabilities(port)->warning, "is down"));
	for (int i = 0; i < 2; i++) {
		struct peer peer = peer_start(10);

		for (uint32_t at = 0; at < 10; at++) {
			receive(port, &packet, 1);
			assert_int_equal(number_of(&packet), at);
			mdfh_bypass_release(port, &packet, 1);
		}
		assert_true(has_warning(port, 0));
		peer_end(peer);
		assert_true(has_warning(port, 1));
	}
	mdfh_bypass_close(port);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(receives_without_a_system_call),
	    cmocka_unit_test(receives_all_in_order),
	    cmocka_unit_test(finds_a_peer_that_comes_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* 0, or the exit status. Pages that this test reserves are given back by give_back. */
static int reserved;

static int free_pages(void)
{
	FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
	int n = 0;

	if (file && fscanf(file, "%d", &n) != 1)
		n = 0;
	if (file)
		fclose(file);
	return n;
}

/* Change how many there are in all by so many; by this much it changed. */
static int add_pages(int more)
{
	const char *path = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
	FILE *file = fopen(path, "r+e");
	int before = 0, after = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%d", &before) == 1) {
		rewind(file);
		fprintf(file, "%d", before + more);
		fflush(file);
		rewind(file);
		if (fscanf(file, "%d", &after) != 1)
			after = before;
	}
	fclose(file);
	return after - before;
}

enum { PAGES = 100 }; /* for two processes */

int main(int argc, char **argv)
{
	int status;

	if (argc < 2)
		return 2;
	hugepages = strcmp(argv[1], "huge") ? MDFH_OFF : MDFH_ON;
	snprintf(folder, sizeof(folder), "%s", argc > 2 ? argv[2] : "/tmp/mdfh-memif-XXXXXX");
	if (argc == 2 && !mkdtemp(folder))
		return 2;
	snprintf(server, sizeof(server),
	    "net_memif0,role=server,socket=%s/memif,socket-abstract=no", folder);
	snprintf(client, sizeof(client),
	    "net_memif0,role=client,socket=%s/memif,socket-abstract=no", folder);
	if (argc > 3) {
		const char *build = getenv("MDFH_BUILD");
		char modules[512];

		snprintf(modules, sizeof(modules), "%s/modules", build ? build : "");
		return mdfh_bypass_set_modules_folder(modules)
			   ? 9
			   : peer_main((uint32_t)strtoul(argv[3], NULL, 10));
	}
	if (hugepages == MDFH_ON && free_pages() < PAGES) {
		reserved = add_pages(PAGES - free_pages());
		if (free_pages() < PAGES) {
			(void)add_pages(-reserved);
			rmdir(folder);
			fprintf(stderr,
			    "skipped: there are no %d hugepages, and none to be had "
			    "(that takes root)\n",
			    PAGES);
			return TEST_SKIPPED;
		}
	}
	status = test_run_dpdk(NULL, run);
	(void)add_pages(-reserved);
	rmdir(folder);
	return status;
}
