/* xdp_attach.c - the XDP program on an interface: attached once for all ports of this process there,
 * its maps filled from their flows, and detached with the last.
 *
 * Attached by a link, which the kernel takes away with the process whatever ends it. Where another
 * program is attached already and that is libxdp's dispatcher, ours is put beside it. Such a place
 * outlives a process that is killed, but without a socket the program lets every packet pass; the next
 * open takes it out. */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <xdp/libxdp.h>

#include "mdfh/error.h"
#include "mdfh/frame.h"
#include "modules/xdp.h"

#include <xdp_program.skel.h> /* made by bpftool */
#include <xdp_stamps.skel.h>

#ifndef BPF_F_XDP_DEV_BOUND_ONLY
#define BPF_F_XDP_DEV_BOUND_ONLY (1U << 6) /* Linux 6.3 */
#endif

enum { PLACES_MAX = 10 }; /* in libxdp's dispatcher */

struct xdp_interface {
	struct xdp_interface *next;
	unsigned index;
	uint64_t network;
	unsigned users;
	int is_generic;
	int stamps;                            /* the program asks the NIC for times */
	struct bpf_object *object;             /* NULL = pinned by somebody else */
	struct xdp_program *dispatched;        /* NULL = not beside others */
	int place;                             /* its owner's socket; -1 = none */
	int link;                              /* -1 = none */
	char pinned[256];                      /* "" = not */
	uint8_t taken[XDP_QUEUES_MAX];         /* by a port of this process */
	int sockets, filters, kinds, verdicts; /* descriptors of the maps */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the list and what is in it */
static struct xdp_interface *interfaces;

/* The libraries print on standard error what their callers have to say. */
static int quiet_bpf(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

static int quiet_xdp(enum libxdp_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

struct printers {
	libbpf_print_fn_t bpf;
	libxdp_print_fn_t xdp;
};

static struct printers be_quiet(void)
{
	return (struct printers){libbpf_set_print(quiet_bpf), libxdp_set_print(quiet_xdp)};
}

static void speak_again(struct printers printers)
{
	libbpf_set_print(printers.bpf);
	libxdp_set_print(printers.xdp);
}

/* Attaching ----------------------------------------------------------------------------------- */

static int refused(int error, const char *device, const char *what)
{
	mdfh_error_errno(error, "xdp: %s on %s", what, device);
	if (error == -EPERM || error == -EACCES)
		return mdfh_error(error,
		    "%s; it needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_PERFMON (`setcap "
		    "cap_net_admin,cap_net_raw,cap_bpf,cap_perfmon+ep PROGRAM`), or a program that "
		    "is attached for it (option pinned)",
		    mdfh_error_text());
	return error;
}

static struct bpf_program *the_program(const struct xdp_interface *interface)
{
	return bpf_object__find_program_by_name(interface->object, "mdfh_xdp");
}

/* A link in one mode. The descriptor, or a negative errno without a sentence. */
static int make_link(const struct xdp_interface *interface, uint32_t mode)
{
	const struct bpf_link_create_opts options = {.sz = sizeof(options), .flags = mode};
	int fd = bpf_link_create(
	    bpf_program__fd(the_program(interface)), (int)interface->index, BPF_XDP, &options);

	return fd < 0 ? -errno : fd;
}

static int attach_by_link(struct xdp_interface *interface, const struct xdp_attach_config *config)
{
	const int is_native = config->mode == XDP_NATIVE || config->stamps;
	int rc = bpf_object__load(interface->object);

	if (rc && config->stamps && rc != -EPERM && rc != -EACCES)
		return mdfh_error(-ENOTSUP,
		    "xdp: timestamps are to be the NIC's, and the kernel or the driver of %s has "
		    "no "
		    "XDP metadata to read them from (%s); it needs Linux 6.3 and a driver with "
		    "xmo_rx_timestamp: use software or default",
		    config->device, strerror(-rc));
	if (rc)
		return refused(rc, config->device, "loading the XDP program");
	rc = -ENOTSUP;
	if (config->mode != XDP_GENERIC)
		rc = make_link(interface, XDP_FLAGS_DRV_MODE);
	/* Where a program is attached already, in either way, the other way is no way round it. */
	if (rc < 0 && rc != -EBUSY && rc != -EEXIST && !is_native) {
		interface->is_generic = 1;
		rc = make_link(interface, XDP_FLAGS_SKB_MODE);
	}
	if (rc >= 0) {
		interface->link = rc;
		return 0;
	}
	if (rc == -EBUSY || rc == -EEXIST)
		return mdfh_error(-EBUSY,
		    "xdp: another XDP program is attached to %s (`ip link show %s` names it); "
		    "detach it, or have both attached through libxdp's dispatcher "
		    "(attach=dispatcher, xdp-loader)",
		    config->device, config->device);
	return refused(rc, config->device,
	    is_native ? "attaching the XDP program in the driver (native mode)"
		      : "attaching the XDP program");
}

/* A process owns its place in a dispatcher by a name among the sockets of the network namespace, which
 * is free again when the process is gone, however it went. The descriptor, or -1: it is somebody's. */
static int own_place(uint32_t program)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int length = snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "mdfh_xdp.%u", program);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 &&
	    bind(fd, (struct sockaddr *)&name,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) + (socklen_t)length)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* libxdp loads the program itself, as one that extends its dispatcher. */
static int attach_by_dispatcher(
    struct xdp_interface *interface, const struct xdp_attach_config *config)
{
	enum xdp_attach_mode mode = config->mode == XDP_GENERIC ? XDP_MODE_SKB : XDP_MODE_NATIVE;
	struct xdp_multiprog *all;
	int rc;

	interface->dispatched = xdp_program__from_bpf_obj(interface->object, "xdp");
	if (libxdp_get_error(interface->dispatched)) {
		interface->dispatched = NULL;
		return mdfh_error(-ENOTSUP, "xdp: libxdp does not take the program");
	}
	rc = xdp_program__attach(interface->dispatched, (int)interface->index, mode, 0);
	if (rc && config->mode == XDP_ANY_MODE) {
		mode = XDP_MODE_SKB;
		rc = xdp_program__attach(interface->dispatched, (int)interface->index, mode, 0);
	}
	if (rc) {
		xdp_program__close(interface->dispatched);
		interface->dispatched = NULL;
		return refused(rc, config->device, "attaching through libxdp's dispatcher");
	}
	interface->is_generic = mode == XDP_MODE_SKB;
	interface->place = own_place(xdp_program__id(interface->dispatched));
	all = xdp_multiprog__get_from_ifindex((int)interface->index);
	rc = libxdp_get_error(all) || xdp_multiprog__is_legacy(all)
		 ? mdfh_error(-ENOTSUP,
		       "xdp: libxdp has no dispatcher here: it needs CAP_SYS_ADMIN, a BPF file "
		       "system (`mount -t bpf bpf /sys/fs/bpf`) and a kernel that lets programs "
		       "extend others; use attach=link")
		 : 0;
	if (!libxdp_get_error(all))
		xdp_multiprog__close(all);
	return rc;
}

static int has_dispatcher(unsigned index)
{
	struct xdp_multiprog *all = xdp_multiprog__get_from_ifindex((int)index);
	int has;

	if (libxdp_get_error(all))
		return 0;
	has = !xdp_multiprog__is_legacy(all);
	xdp_multiprog__close(all);
	return has;
}

static int has_no_owner(uint32_t program)
{
	const struct timespec pause = {.tv_nsec = 100000000};

	/* Twice: one that has just been put there is owned in a moment. */
	for (int i = 0; i < 2; i++) {
		int fd = own_place(program);

		if (fd < 0)
			return 0;
		close(fd);
		if (!i)
			nanosleep(&pause, NULL);
	}
	return 1;
}

/* Take a place of a process that was killed out of the dispatcher. 1 if there was one. */
static int sweep_dispatcher(unsigned index)
{
	struct xdp_multiprog *all = xdp_multiprog__get_from_ifindex((int)index);
	struct xdp_program *program = NULL;
	int swept = 0;

	if (libxdp_get_error(all))
		return 0;
	while (
	    !xdp_multiprog__is_legacy(all) && (program = xdp_multiprog__next_prog(program, all))) {
		if (strcmp(xdp_program__name(program), "mdfh_xdp") != 0 ||
		    !has_no_owner(xdp_program__id(program)))
			continue;
		/* What is left is arranged anew, so this list is the last's. */
		swept =
		    !xdp_program__detach(program, (int)index, xdp_multiprog__attach_mode(all), 0);
		break;
	}
	xdp_multiprog__close(all);
	return swept;
}

/* The program as it stands in this module. */
static int open_object(struct xdp_interface *interface, const struct xdp_attach_config *config)
{
	size_t bytes = 0;
	const void *elf = config->stamps ? mdfh_xdp_stamps__elf_bytes(&bytes)
					 : mdfh_xdp_program__elf_bytes(&bytes);

	interface->object = bpf_object__open_mem(elf, bytes, NULL);
	if (!interface->object || !the_program(interface))
		return mdfh_error_errno(-errno, "xdp: reading the XDP program");
	interface->stamps = config->stamps;
	if (!config->stamps)
		return 0;
	/* What it asks is answered by the driver that it is bound to. */
	bpf_program__set_ifindex(the_program(interface), interface->index);
	return bpf_program__set_flags(the_program(interface), BPF_F_XDP_DEV_BOUND_ONLY);
}

static int attach(struct xdp_interface *interface, const struct xdp_attach_config *config)
{
	int rc = open_object(interface, config);

	if (rc)
		return rc;
	for (int i = 0; i < PLACES_MAX && sweep_dispatcher(interface->index); i++)
		;
	if (config->way == XDP_DISPATCHER ||
	    (config->way == XDP_ANY_WAY && !config->stamps && has_dispatcher(interface->index)))
		rc = attach_by_dispatcher(interface, config);
	else
		rc = attach_by_link(interface, config);
	if (rc)
		return rc;
	interface->sockets = bpf_object__find_map_fd_by_name(interface->object, "sockets");
	interface->filters = bpf_object__find_map_fd_by_name(interface->object, "filters");
	interface->kinds = bpf_object__find_map_fd_by_name(interface->object, "kinds");
	interface->verdicts = bpf_object__find_map_fd_by_name(interface->object, "verdicts");
	return 0;
}

/* A map of the kind that the program has. Another would be written past its ends, or read. */
static int open_pinned(const char *folder, const char *map, uint32_t type, uint32_t key_bytes,
    uint32_t value_bytes, uint32_t entries, int *fd)
{
	struct bpf_map_info info = {0};
	uint32_t length = sizeof(info);
	char path[320];

	snprintf(path, sizeof(path), "%s/%s", folder, map);
	*fd = bpf_obj_get(path);
	if (*fd < 0)
		return mdfh_error_errno(
		    -errno, "xdp: the map %s; docs/backend-xdp.md shows how it is pinned", path);
	if (bpf_obj_get_info_by_fd(*fd, &info, &length))
		return mdfh_error_errno(-errno, "xdp: %s is no map", path);
	if (info.type != type || info.key_size != key_bytes || info.value_size != value_bytes ||
	    info.max_entries != entries)
		return mdfh_error(-EINVAL,
		    "xdp: the map %s is not this version's: type %u, keys of %u bytes, values of "
		    "%u "
		    "and %u entries, instead of %u, %u, %u and %u; attach the mdfh_xdp.bpf.o that "
		    "came with this module",
		    path, info.type, info.key_size, info.value_size, info.max_entries, type,
		    key_bytes, value_bytes, entries);
	return 0;
}

static int attach_to_pinned(struct xdp_interface *interface, const char *folder)
{
	const uint32_t word = sizeof(uint32_t);
	int rc;

	snprintf(interface->pinned, sizeof(interface->pinned), "%s", folder);
	rc = open_pinned(folder, "sockets", BPF_MAP_TYPE_XSKMAP, word, word, XDP_QUEUES_MAX,
	    &interface->sockets);
	if (!rc)
		rc = open_pinned(folder, "filters", BPF_MAP_TYPE_HASH, sizeof(struct xdp_filter),
		    word, XDP_FILTERS_MAX, &interface->filters);
	if (!rc)
		rc = open_pinned(folder, "kinds", BPF_MAP_TYPE_ARRAY, word, word, XDP_QUEUES_MAX,
		    &interface->kinds);
	if (!rc)
		rc = open_pinned(folder, "verdicts", BPF_MAP_TYPE_PERCPU_ARRAY, word,
		    sizeof(uint64_t), XDP_VERDICTS, &interface->verdicts);
	return rc;
}

static void leave_dispatcher(struct xdp_interface *interface)
{
	const struct bpf_xdp_attach_opts ours = {
	    .sz = sizeof(ours), .old_prog_fd = xdp_program__fd(interface->dispatched)};

	/* libxdp attaches as anybody who may, without a dispatcher where it can have none, and
	 * takes away with CAP_SYS_ADMIN only. What then stands on the interface is ours alone. */
	if (xdp_program__detach(interface->dispatched, (int)interface->index,
		interface->is_generic ? XDP_MODE_SKB : XDP_MODE_NATIVE, 0))
		(void)bpf_xdp_detach((int)interface->index,
		    interface->is_generic ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE, &ours);
	xdp_program__close(interface->dispatched);
}

static void destroy(struct xdp_interface *interface)
{
	if (interface->dispatched)
		leave_dispatcher(interface);
	if (interface->place >= 0)
		close(interface->place);
	if (interface->link >= 0)
		close(interface->link);
	if (interface->pinned[0]) {
		const int maps[] = {
		    interface->sockets, interface->filters, interface->kinds, interface->verdicts};

		for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
			if (maps[i] >= 0)
				close(maps[i]);
	}
	bpf_object__close(interface->object);
	free(interface);
}

/* One that this process has attached already: it must be as asked for. */
static int join(struct xdp_interface *interface, const struct xdp_attach_config *config)
{
	const char *pinned = config->pinned ? config->pinned : "";

	if (strcmp(pinned, interface->pinned) != 0 || config->stamps != interface->stamps ||
	    (config->mode == XDP_NATIVE && interface->is_generic) ||
	    (config->mode == XDP_GENERIC && !interface->is_generic) ||
	    (config->way == XDP_LINK && interface->dispatched) ||
	    (config->way == XDP_DISPATCHER && !interface->dispatched))
		return mdfh_error(-EBUSY,
		    "xdp: this process has the program attached to %s in another way (%s%s%s); "
		    "give all its queues the same mode, attach, pinned and timestamps",
		    config->device, mdfh_xdp_attached_as(interface),
		    interface->dispatched ? ", dispatcher" : "",
		    interface->stamps ? ", the NIC's times" : "");
	interface->users++;
	return 0;
}

int mdfh_xdp_attach(const struct xdp_attach_config *config, struct xdp_interface **result)
{
	struct xdp_interface *interface;
	struct printers printers;
	int rc;

	*result = NULL;
	pthread_mutex_lock(&lock);
	for (interface = interfaces; interface; interface = interface->next)
		if (interface->index == config->index && interface->network == config->network)
			break;
	if (interface) {
		rc = join(interface, config);
		goto out;
	}
	interface = calloc(1, sizeof(*interface));
	if (!interface) {
		rc = mdfh_error(-ENOMEM, "xdp: %zu bytes", sizeof(*interface));
		goto out;
	}
	interface->index = config->index;
	interface->network = config->network;
	interface->users = 1;
	interface->link = interface->place = interface->sockets = interface->filters =
	    interface->kinds = interface->verdicts = -1;
	printers = be_quiet();
	rc = config->pinned ? attach_to_pinned(interface, config->pinned)
			    : attach(interface, config);
	if (rc)
		destroy(interface);
	speak_again(printers);
	if (!rc) {
		interface->next = interfaces;
		interfaces = interface;
	}
out:
	if (!rc)
		*result = interface;
	pthread_mutex_unlock(&lock);
	return rc;
}

void mdfh_xdp_detach(struct xdp_interface *interface)
{
	struct printers printers;

	if (!interface)
		return;
	pthread_mutex_lock(&lock);
	if (!--interface->users) {
		for (struct xdp_interface **at = &interfaces; *at; at = &(*at)->next)
			if (*at == interface) {
				*at = interface->next;
				break;
			}
		printers = be_quiet();
		destroy(interface);
		speak_again(printers);
	}
	pthread_mutex_unlock(&lock);
}

const char *mdfh_xdp_attached_as(const struct xdp_interface *interface)
{
	return interface->pinned[0] ? "pinned" : interface->is_generic ? "generic" : "native";
}

/* Filters ------------------------------------------------------------------------------------- */

/* Entries of a queue that somebody left behind who was killed: of a pinned program only. */
static void sweep(const struct xdp_interface *interface, uint32_t queue)
{
	struct xdp_filter key, next;
	struct xdp_filter *from = NULL;
	int more = bpf_map_get_next_key(interface->filters, from, &next);

	for (int i = 0; !more && i < XDP_FILTERS_MAX; i++) {
		key = next;
		from = &key;
		more = bpf_map_get_next_key(interface->filters, from, &next);
		if (key.queue == queue)
			(void)bpf_map_delete_elem(interface->filters, &key);
	}
}

static int fill_filters(struct xdp_port *port)
{
	const struct xdp_interface *interface = port->interface;
	uint32_t kinds = 0;

	sweep(interface, port->queue);
	for (uint32_t i = 0; i < port->filter_count; i++) {
		if (bpf_map_update_elem(interface->filters, &port->filters[i], &i, BPF_ANY))
			return mdfh_error_errno(-errno, "xdp: filter of flows[%u]", i);
		kinds |= 1u << port->filters[i].kind;
	}
	if (bpf_map_update_elem(interface->sockets, &port->queue, &port->fd, BPF_ANY))
		return mdfh_error_errno(-errno, "xdp: the socket of queue %u", port->queue);
	/* The last, since with it packets begin to come. */
	if (bpf_map_update_elem(interface->kinds, &port->queue, &kinds, BPF_ANY))
		return mdfh_error_errno(-errno, "xdp: the filters of queue %u", port->queue);
	return 0;
}

int mdfh_xdp_take_queue(struct xdp_port *port)
{
	struct xdp_interface *interface = port->interface;
	int rc = 0;

	pthread_mutex_lock(&lock);
	if (interface->taken[port->queue])
		rc = mdfh_error(-EBUSY,
		    "xdp: queue %u of %s has a port in this process; give that port all the flows",
		    port->queue, port->device);
	else
		interface->taken[port->queue] = 1;
	pthread_mutex_unlock(&lock);
	port->has_queue = !rc;
	return rc;
}

int mdfh_xdp_begin(struct xdp_port *port)
{
	int rc;

	pthread_mutex_lock(&lock);
	port->has_begun = 1;
	rc = fill_filters(port);
	pthread_mutex_unlock(&lock);
	return rc;
}

void mdfh_xdp_give_queue_back(struct xdp_port *port)
{
	struct xdp_interface *interface = port->interface;
	uint32_t none = 0;

	pthread_mutex_lock(&lock);
	/* Before it has begun, what stands there is another process's. */
	if (port->has_begun) {
		(void)bpf_map_update_elem(interface->kinds, &port->queue, &none, BPF_ANY);
		(void)bpf_map_delete_elem(interface->sockets, &port->queue);
		for (uint32_t i = 0; i < port->filter_count; i++)
			(void)bpf_map_delete_elem(interface->filters, &port->filters[i]);
	}
	interface->taken[port->queue] = 0;
	pthread_mutex_unlock(&lock);
}

uint64_t mdfh_xdp_verdicts(const struct xdp_interface *interface, enum xdp_verdict verdict)
{
	int processors = libbpf_num_possible_cpus();
	uint32_t key = verdict;
	uint64_t *each, sum = 0;

	if (processors <= 0)
		return 0;
	each = calloc((size_t)processors, sizeof(*each));
	if (each && !bpf_map_lookup_elem(interface->verdicts, &key, each))
		for (int i = 0; i < processors; i++)
			sum += each[i];
	free(each);
	return sum;
}
