/* verbs_device.c - the RDMA device of a port: which it is, what it can do, its counters, its clock. */
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/host_clock.h"
#include "mdfh/clock.h"
#include "mdfh/error.h"
#include "modules/verbs.h"

enum {
	GIDS_MAX = 512,
	LOOK_NS = 1000000000,
	ADAPTER_OF_SOFTWARE = 0xffffff, /* vendor of rdma_rxe */
};

/* Which ---------------------------------------------------------------------------------------- */

static int none(int error)
{
	if (error == -ENOSYS || access("/sys/class/infiniband_verbs/abi_version", R_OK))
		return mdfh_error(-ENODEV,
		    "verbs: the kernel has no RDMA devices for programs; load the module ib_uverbs "
		    "(`modprobe ib_uverbs`)");
	if (error)
		return mdfh_error_errno(error, "verbs: the list of RDMA devices");
	return mdfh_error(-ENODEV,
	    "verbs: there is no RDMA device (`rdma link` shows none); load the NIC's driver, or "
	    "make "
	    "one of software: `modprobe rdma_rxe`, `rdma link add rxe0 type rxe netdev eth1`");
}

int verbs_devices(void)
{
	struct ibv_device **list;
	int n = 0;

	list = ibv_get_device_list(&n);
	if (!list)
		return none(-errno);
	ibv_free_device_list(list);
	return n ? 0 : none(0);
}

/* The port of a device that an interface belongs to, 0 = none. */
static uint8_t link_of(struct ibv_context *context, unsigned interface)
{
	struct ibv_gid_entry *entries = calloc(GIDS_MAX, sizeof(*entries));
	ssize_t n = entries ? ibv_query_gid_table(context, entries, GIDS_MAX, 0) : 0;
	uint8_t found = 0;

	for (ssize_t i = 0; i < n && !found; i++)
		if (entries[i].ndev_ifindex == interface)
			found = (uint8_t)entries[i].port_num;
	free(entries);
	return found;
}

int verbs_device_gid(const struct verbs_port *v, const uint8_t address[16])
{
	struct ibv_gid_entry *entries = calloc(GIDS_MAX, sizeof(*entries));
	ssize_t n = entries ? ibv_query_gid_table(v->context, entries, GIDS_MAX, 0) : 0;
	int found = -ENOENT;

	for (ssize_t i = 0; i < n && found < 0; i++)
		if (entries[i].port_num == v->link_number &&
		    entries[i].gid_type == IBV_GID_TYPE_ROCE_V2 &&
		    !memcmp(entries[i].gid.raw, address, 16))
			found = (int)entries[i].gid_index;
	free(entries);
	return found;
}

int verbs_device_open(struct verbs_port *v)
{
	unsigned interface = if_nametoindex(v->device);
	struct ibv_device **list;
	int n = 0, refused = 0, rc;

	list = ibv_get_device_list(&n);
	if (!list)
		return none(-errno);
	for (int i = 0; i < n && !v->link_number; i++) {
		v->context = ibv_open_device(list[i]);
		if (!v->context) {
			refused = -errno;
			continue;
		}
		v->link_number = link_of(v->context, interface);
		if (!v->link_number) {
			ibv_close_device(v->context);
			v->context = NULL;
		}
	}
	v->owns_context = v->context != NULL;
	ibv_free_device_list(list);
	if (v->context)
		return 0;
	if (!refused)
		return mdfh_error(-ENODEV,
		    "verbs: interface is %s, which is of no RDMA device; `rdma link` names those "
		    "that "
		    "are",
		    v->device);
	rc = mdfh_error_errno(refused, "verbs: an RDMA device cannot be opened");
	return mdfh_error(rc, "%s; the user needs /dev/infiniband/uverbs*", mdfh_error_text());
}

int verbs_device_ask(struct verbs_port *v)
{
	int rc = ibv_query_device_ex(v->context, NULL, &v->attributes);

	if (rc)
		return mdfh_error_errno(-rc, "verbs: what %s can do", v->context->device->name);
	rc = ibv_query_port(v->context, v->link_number, &v->link);
	if (rc)
		return mdfh_error_errno(
		    -rc, "verbs: port %u of %s", v->link_number, v->context->device->name);
	if (v->attributes.orig_attr.vendor_id == ADAPTER_OF_SOFTWARE)
		snprintf(v->copy_reason, sizeof(v->copy_reason), "device of software");
	return 0;
}

int verbs_device_steers(const struct verbs_port *v)
{
	return v->link.link_layer == IBV_LINK_LAYER_ETHERNET &&
	       v->attributes.orig_attr.device_cap_flags & IBV_DEVICE_MANAGED_FLOW_STEERING;
}

/* One that is of this link alone is the last choice. */
static int is_better(const struct sockaddr *address, const struct mdfh_address *than)
{
	return !than->length ||
	       (address->sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&than->v6.sin6_addr) &&
		   !IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)address)->sin6_addr));
}

int verbs_interface_address(const struct verbs_port *v, const struct verbs_options *options,
    int family, struct mdfh_address *address)
{
	struct ifaddrs *all;

	*address = (struct mdfh_address){.length = 0};
	if (options->has_address && options->address.any.sa_family == family) {
		*address = options->address;
		return 0;
	}
	if (getifaddrs(&all))
		return mdfh_error_errno(-errno, "verbs: addresses of %s", v->device);
	for (const struct ifaddrs *one = all; one; one = one->ifa_next) {
		if (!one->ifa_addr || strcmp(one->ifa_name, v->device) != 0 ||
		    one->ifa_addr->sa_family != family || !is_better(one->ifa_addr, address))
			continue;
		address->length = family == AF_INET ? sizeof(address->v4) : sizeof(address->v6);
		memcpy(&address->storage, one->ifa_addr, address->length);
	}
	freeifaddrs(all);
	if (!address->length)
		return mdfh_error(-EADDRNOTAVAIL,
		    "verbs: %s has no IPv%d address, by which its RDMA device is known; give it "
		    "one",
		    v->device, family == AF_INET ? 4 : 6);
	return 0;
}

/* Counters ------------------------------------------------------------------------------------- */

/* A number in /sys/class/infiniband/DEVICE/ports/N/FOLDER/NAME. */
static int read_number(
    const struct verbs_port *v, const char *folder, const char *name, uint64_t *value)
{
	char path[IBV_SYSFS_PATH_MAX + 128], text[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/ports/%u/%s/%s", v->context->device->ibdev_path,
	    v->link_number, folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	*value = strtoull(text, NULL, 10);
	return 1;
}

int verbs_device_counter(const struct verbs_port *v, const char *name, uint64_t *value)
{
	return read_number(v, "hw_counters", name, value) ||
	       read_number(v, "counters", name, value);
}

struct counters {
	struct mdfh_bypass_counter *to;
	int max, count;
};

static void put(struct counters *counters, const char *prefix, const char *name, uint64_t value)
{
	struct mdfh_bypass_counter *to = &counters->to[counters->count];

	if (counters->count++ >= counters->max)
		return;
	snprintf(to->name, sizeof(to->name), "%s%.48s", prefix, name);
	to->value = value;
}

/* What the device knows of this is loss by a full ring; the sum stands in rx_dropped_nic, too. */
static void put_folder(struct counters *counters, const struct verbs_port *v, const char *folder)
{
	static const char *const names[] = {/* hw_counters: of mlx5, of rxe */
	    "out_of_buffer", "rx_write_requests", "rcvd_pkts", "sent_pkts", "rx_icrc_encapsulated",
	    "resp_local_length_error", "resp_cqe_error", "local_ack_timeout_err",
	    /* counters: of every port, as InfiniBand has them */
	    "port_rcv_packets", "multicast_rcv_packets", "port_rcv_errors",
	    "port_rcv_constraint_errors", "port_rcv_remote_physical_errors", "symbol_error",
	    "link_downed", "VL15_dropped", "port_xmit_packets", "port_xmit_discards"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		uint64_t value;

		if (read_number(v, folder, names[i], &value))
			put(counters, "device: ", names[i], value);
	}
}

static void put_failures(
    struct counters *counters, const char *prefix, const uint64_t failures[VERBS_STATUSES])
{
	for (int i = 0; i < VERBS_STATUSES; i++)
		if (failures[i])
			put(counters, prefix, ibv_wc_status_str((enum ibv_wc_status)i),
			    failures[i]);
}

int verbs_counters(struct mdfh_bypass *port, struct mdfh_bypass_counter *to, int max)
{
	const struct verbs_port *v = (const struct verbs_port *)port;
	struct counters counters = {.to = to, .max = max};

	put_failures(&counters, "completion: ", v->failures);
	put_failures(&counters, "sending: ", v->send_failures);
	put(&counters, "", "buffers with the device", v->posted);
	put(&counters, "", "chains refused", v->post_failures);
	if (v->stamps == VERBS_STAMPS_TICKS) {
		put(&counters, "", "clock samples", v->clock.stats.samples);
		put(&counters, "", "clock samples rejected", v->clock.stats.rejected);
	}
	put_folder(&counters, v, "hw_counters");
	put_folder(&counters, v, "counters");
	return counters.count;
}

/* What the device has to say: it, or the queue pair, is of no more use. */
static void take_events(struct verbs_port *v)
{
	struct pollfd poll_now = {.fd = v->context->async_fd, .events = POLLIN};
	struct ibv_async_event event;

	/* librdmacm's device is shared by all of the process's ports there: the events of another's
	 * queue pair are left for it. */
	while (v->owns_context && poll(&poll_now, 1, 0) == 1 &&
	       !ibv_get_async_event(v->context, &event)) {
		if (event.event_type == IBV_EVENT_DEVICE_FATAL ||
		    event.event_type == IBV_EVENT_QP_FATAL || event.event_type == IBV_EVENT_CQ_ERR)
			v->is_dead = 1;
		ibv_ack_async_event(&event);
	}
}

static void warn(struct verbs_port *v)
{
	char text[sizeof(v->warning)];
	struct ibv_port_attr link = {0};

	snprintf(text, sizeof(text), "%s", v->setup_warning);
	for (uint32_t i = 0; i < v->group_count; i++)
		if (!v->groups[i].is_joined)
			snprintf(text, sizeof(text), "group %s was lost, and is being joined again",
			    v->groups[i].text);
	if (!ibv_query_port(v->context, v->link_number, &link) && link.state != IBV_PORT_ACTIVE)
		snprintf(text, sizeof(text),
		    "port %u of %s is %s: nothing arrives; look at the cable and at interface %s",
		    v->link_number, v->context->device->name, ibv_port_state_str(link.state),
		    v->device);
	/* Written only where it changes, for whoever reads it just then. */
	if (strcmp(text, v->warning) != 0)
		memcpy(v->warning, text, sizeof(text));
}

int verbs_stats(struct mdfh_bypass *port)
{
	struct verbs_port *v = (struct verbs_port *)port;
	uint64_t failed = 0, value;

	verbs_clock_look(v, mdfh_clock_now_ns());
	verbs_group_look(v);
	take_events(v);
	warn(v);
	for (int i = 0; i < VERBS_STATUSES; i++)
		if (i != IBV_WC_WR_FLUSH_ERR)
			failed += v->failures[i];
	/* The device counts what found no buffer of any queue pair of the port. */
	if (v->has_out_of_buffer && verbs_device_counter(v, "out_of_buffer", &value)) {
		v->unbuffered += mdfh_counter_growth(v->out_of_buffer, value);
		v->out_of_buffer = value;
	}
	port->stats.rx_dropped_nic = failed + v->unbuffered;
	return 0;
}

/* Clock ---------------------------------------------------------------------------------------- */

static int read_clock(const struct verbs_port *v, uint64_t *ticks)
{
	struct ibv_values_ex values = {.comp_mask = IBV_VALUES_MASK_RAW_CLOCK};

	if (ibv_query_rt_values_ex(v->context, &values) ||
	    !(values.comp_mask & IBV_VALUES_MASK_RAW_CLOCK))
		return -ENOTSUP;
	*ticks =
	    (uint64_t)values.raw_clock.tv_sec * 1000000000 + (uint64_t)values.raw_clock.tv_nsec;
	return 0;
}

static void sample(struct verbs_port *v)
{
	uint32_t error_ns;
	uint64_t before_ns = mdfh_clock_now_ns();
	uint64_t ticks;
	int rc = read_clock(v, &ticks);
	uint64_t after_ns = mdfh_clock_now_ns();

	v->clock_ns = after_ns;
	if (rc)
		mdfh_device_clock_check(&v->clock, after_ns);
	else
		(void)mdfh_device_clock_sample(
		    &v->clock, ticks, before_ns, after_ns, mdfh_host_clock_sync(&error_ns));
}

/* The bits of a stamp, which are the low ones. */
static uint32_t bits_of(uint64_t mask)
{
	uint32_t bits = 0;

	while (bits < 64 && mask >> bits & 1)
		bits++;
	return bits;
}

int verbs_clock_open(struct verbs_port *v, const struct mdfh_bypass_config *config)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	struct mdfh_device_clock_config clock = {
	    .frequency_hz = v->attributes.hca_core_clock * 1000,
	    .counter_bits = bits_of(v->attributes.completion_timestamp_mask),
	};
	int rc;

	v->time_flags = config->timestamps != MDFH_TIMESTAMPS_OFF ? mdfh_app_time_flags() : 0;
	v->clock_ns = mdfh_clock_now_ns();
	if (v->stamps != VERBS_STAMPS_TICKS)
		return 0;
	rc = mdfh_device_clock_init(&v->clock, &clock);
	if (rc)
		return rc;
	/* Two make a line; it becomes better with every look. */
	sample(v);
	nanosleep(&pause, NULL);
	sample(v);
	return 0;
}

void verbs_clock_look(struct verbs_port *v, uint64_t now_ns)
{
	/* Also when the host's clock has been set back. */
	if (now_ns - v->clock_ns < LOOK_NS)
		return;
	v->clock_ns = now_ns;
	if (v->time_flags)
		v->time_flags = mdfh_app_time_flags();
	if (v->stamps == VERBS_STAMPS_TICKS)
		sample(v);
}
