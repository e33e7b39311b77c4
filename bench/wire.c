/* wire.c - see wire.h. */
#include "wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mdfh/clock.h"
#include "mdfh/cpu.h"
#include "mdfh/error.h"

enum { MEMIF_PAUSE_US = 200000 };

static struct {
	pthread_t thread;
	pid_t id;
	int error;
	sem_t ready, go, done;
	atomic_bool stop;
	struct mdfh_bypass *out; /* what to send through; NULL = the device tx0 */
	uint64_t run, first_ns, rate, count;
} sender;

static int open_socket(void)
{
	struct ip_mreqn out = {.imr_address.s_addr = inet_addr("10.77.0.2")};
	struct sockaddr_in to = {.sin_family = AF_INET,
	    .sin_port = htons(WIRE_PORT),
	    .sin_addr.s_addr = inet_addr(WIRE_GROUP)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof(out)) ||
	    connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

static void send_run(int fd)
{
	uint8_t bytes[WIRE_BYTES] = {0};
	const struct mdfh_packet packet = {.data = bytes, .length = sizeof(bytes)};

	for (uint64_t i = 0; i < sender.count; i++) {
		struct wire_stamps stamps = {
		    .run = sender.run, .due_ns = sender.first_ns + i * 1000000000u / sender.rate};

		do {
			stamps.sent_ns = mdfh_clock_now_ns();
		} while (stamps.sent_ns < stamps.due_ns);
		memcpy(bytes, &stamps, sizeof(stamps));
		/* What does not leave counts as lost. */
		if (sender.out)
			(void)mdfh_bypass_send(sender.out, &packet, 1);
		else
			(void)send(fd, bytes, sizeof(bytes), 0);
	}
}

static void *sender_main(void *unused)
{
	int fd = -1;

	(void)unused;
	sender.id = gettid();
	sender.error = unshare(CLONE_NEWNET)
			   ? mdfh_error_errno(-errno, "a network namespace for the sender")
			   : mdfh_cpu_pin(0);
	sem_post(&sender.ready);
	for (;;) {
		sem_wait(&sender.go);
		if (sender.stop)
			break;
		if (fd < 0)
			fd = open_socket();
		if (fd >= 0 || sender.out)
			send_run(fd);
		sem_post(&sender.done);
	}
	if (fd >= 0)
		close(fd);
	return NULL;
}

static int command(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int command(const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return system(text) ? mdfh_error(-EIO, "'%s' failed", text) : 0;
}

static int make_pair(void)
{
	int rc = command("ip link add rx0 type veth peer name tx0 netns %d", (int)sender.id);

	if (!rc)
		rc = command("ip link set lo up && ip addr add 10.77.0.1/24 dev rx0 && "
			     "ip link set rx0 up multicast on");
	if (!rc)
		rc = command("nsenter --net=/proc/%d/task/%d/ns/net sh -c '"
			     "ip addr add 10.77.0.2/24 dev tx0 && ip link set tx0 up multicast on'",
		    (int)getpid(), (int)sender.id);
	return rc;
}

int wire_open(void)
{
	int rc = mdfh_clock_start();

	if (rc)
		return rc;
	if (unshare(CLONE_NEWNET))
		return mdfh_error_errno(-errno, "a network namespace; run it as root");
	sem_init(&sender.ready, 0, 0);
	sem_init(&sender.go, 0, 0);
	sem_init(&sender.done, 0, 0);
	if (pthread_create(&sender.thread, NULL, sender_main, NULL))
		return mdfh_error(-EAGAIN, "no thread");
	sem_wait(&sender.ready);
	rc = sender.error;
	if (!rc)
		rc = make_pair();
	if (!rc)
		rc = mdfh_cpu_pin(1);
	if (rc)
		wire_close();
	return rc;
}

void wire_close(void)
{
	sender.stop = 1;
	sem_post(&sender.go);
	pthread_join(sender.thread, NULL);
}

void wire_start(uint64_t run, uint64_t first_ns, uint64_t rate, uint64_t count)
{
	sender.run = run;
	sender.first_ns = first_ns;
	sender.rate = rate;
	sender.count = count;
	sem_post(&sender.go);
}

void wire_wait(void)
{
	sem_wait(&sender.done);
}

struct wire_way wire_parse_way(char *text)
{
	struct wire_way way = {.backend = text, .interface = WIRE_INTERFACE};

	text = strchr(text, '/');
	if (!text)
		return way;
	*text++ = '\0';
	way.options = *text && *text != '/' ? text : NULL;
	text = strchr(text, '/');
	if (text) {
		*text++ = '\0';
		way.interface = text;
	}
	return way;
}

/* Both ends of a net_memif are in this process: the other is the sender's. */
static int open_memif(struct mdfh_bypass_config config, struct mdfh_bypass **port)
{
	char path[64], out[128], in[128];
	int rc;

	snprintf(path, sizeof(path), "/tmp/mdfh-wire-%d", (int)getpid());
	snprintf(out, sizeof(out), "net_memif8,role=server,socket=%s,socket-abstract=no", path);
	snprintf(in, sizeof(in), "net_memif9,role=client,socket=%s,socket-abstract=no", path);
	config.interface = out;
	config.direction = MDFH_DIRECTION_SEND;
	rc = mdfh_bypass_open(&config, &sender.out);
	if (rc)
		return rc;
	config.interface = in;
	config.direction = MDFH_DIRECTION_RECEIVE;
	rc = mdfh_bypass_open(&config, port);
	(void)unlink(path);
	if (rc)
		wire_close_port(NULL);
	return rc;
}

int wire_open_port(const struct wire_way *way, uint32_t batch, struct mdfh_bypass **port)
{
	const struct mdfh_flow flow = {.group = WIRE_GROUP, .port = WIRE_PORT};
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .backend = way->backend,
	    .backend_options = way->options,
	    .interface = way->interface,
	    .flows = &flow,
	    .flow_count = 1,
	    .batch_size = batch,
	    .direction = MDFH_DIRECTION_RECEIVE};

	return strcmp(way->interface, WIRE_MEMIF) ? mdfh_bypass_open(&config, port)
						  : open_memif(config, port);
}

void wire_close_port(struct mdfh_bypass *port)
{
	mdfh_bypass_close(port);
	/* net_memif of DPDK 22.11 may crash if it is closed while its thread finds the peer gone. */
	if (sender.out)
		usleep(MEMIF_PAUSE_US);
	mdfh_bypass_close(sender.out);
	sender.out = NULL;
}
