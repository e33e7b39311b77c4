/* verbs_setup.c - how a port of backend verbs is opened and closed: options, memory, queues. */
#include <errno.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/lines.h"
#include "mdfh/error.h"
#include "modules/verbs.h"

enum {
	RING_MIN = 512, /* there is no queue behind the ring: a smaller one loses every burst */
	TIMEOUT_MS = 5000,
};

/* Options ------------------------------------------------------------------------------------- */

static int read_word(const char *text, const char *key, const char *const *words, int *value)
{
	char word[32];

	if (!mdfh_option_get(text, key, word, sizeof(word)))
		return 0;
	for (int i = 0; words[i]; i++) {
		if (!strcmp(words[i], word)) {
			*value = i;
			return 0;
		}
	}
	return mdfh_error(-EINVAL, "verbs: %s is '%s'; it must be %s, %s%s%s", key, word, words[0],
	    words[1], words[2] ? " or " : "", words[2] ? words[2] : "");
}

static int read_options(const char *text, struct verbs_options *options)
{
	static const char *const keys[] = {
	    "mode", "filters", "port", "address", "join_timeout_ms", NULL};
	static const char *const modes[] = {"auto", "datagram", "raw", NULL};
	static const char *const filters[] = {"auto", "software", "hardware", NULL};
	static const char *const ports[] = {"none", "immediate", NULL};
	int mode = VERBS_AUTO, where = VERBS_FILTERS_AUTO;
	char word[64];
	int rc = mdfh_option_known(text, "verbs", keys);

	*options = (struct verbs_options){.is_port_carried = 1, .timeout_ms = TIMEOUT_MS};
	if (!rc)
		rc = read_word(text, "mode", modes, &mode);
	if (!rc)
		rc = read_word(text, "filters", filters, &where);
	if (!rc)
		rc = read_word(text, "port", ports, &options->is_port_carried);
	if (!rc)
		rc = mdfh_option_number(text, "join_timeout_ms", 1, 600000, &options->timeout_ms);
	if (rc)
		return rc;
	options->mode = (enum verbs_mode)mode;
	options->filters = (enum verbs_filters)where;
	options->has_address = mdfh_option_get(text, "address", word, sizeof(word));
	if (options->has_address && (!mdfh_address_parse(word, 0, &options->address) ||
					mdfh_address_is_multicast(&options->address)))
		return mdfh_error(-EINVAL,
		    "verbs: address is '%s'; it must be a numeric address of the interface", word);
	return 0;
}

static int check(const struct mdfh_bypass_config *config)
{
	if (!config->interface)
		return mdfh_error(-EINVAL,
		    "verbs: interface is not set; name the network device of the RDMA device "
		    "(`rdma link`)");
	if (strlen(config->interface) >= IFNAMSIZ || !if_nametoindex(config->interface))
		return mdfh_error(-ENODEV,
		    "verbs: interface is '%.80s', and there is no such network device; `rdma link` "
		    "names those of RDMA devices",
		    config->interface);
	if (config->transport == MDFH_TRANSPORT_TCP)
		return mdfh_error(
		    -ENOTSUP, "verbs: transport is TCP; verbs has UDP and datagrams only");
	if (config->queue)
		return mdfh_error(-EINVAL,
		    "verbs: queue is %u; every port has a queue of its own: leave it at 0",
		    config->queue);
	if (config->busy_poll_us)
		return mdfh_error(-ENOTSUP,
		    "verbs: busy_poll_us is %u; there is no socket to poll: set it to 0",
		    config->busy_poll_us);
	if (!config->flow_count)
		return mdfh_error(
		    -EINVAL, "verbs: there are no flows; name the groups and ports to receive");
	return 0;
}

/* What datagrams, which have neither frames nor ports that somebody could choose, cannot have. */
static int check_datagram(const struct mdfh_bypass_config *config)
{
	if (config->trailer)
		return mdfh_error(-ENOTSUP, "verbs: trailer is set; datagrams of a queue pair have "
					    "no frames: use mode=raw");
	for (uint32_t i = 0; i < config->flow_count; i++)
		if (config->flows[i].vlan)
			return mdfh_error(-ENOTSUP,
			    "verbs: flows[%u] has vlan %u; datagrams come by the VLAN of their "
			    "interface: name that (%s.%u)",
			    i, config->flows[i].vlan, config->interface, config->flows[i].vlan);
	return 0;
}

static int compile_flows(struct verbs_port *v, const struct mdfh_bypass_config *config)
{
	int rc = mdfh_flow_table_compile(&v->flows, config->flows, config->flow_count);

	v->portless = v->flows;
	v->flow_count = config->flow_count;
	for (uint32_t i = 0; i < config->flow_count; i++) {
		v->portless.entries[i].port = 0;
		v->ports[i] = config->flows[i].port;
	}
	return rc;
}

/* Kind ---------------------------------------------------------------------------------------- */

static int read_interface(struct verbs_port *v, uint32_t *mtu)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = 0;

	if (fd < 0)
		return mdfh_error_errno(
		    -errno, "verbs: a socket to look at interface %s", v->device);
	memcpy(request.ifr_name, v->device, sizeof(v->device));
	if (ioctl(fd, SIOCGIFHWADDR, &request))
		rc = -errno;
	v->is_infiniband = request.ifr_hwaddr.sa_family == ARPHRD_INFINIBAND;
	memcpy(v->mac, request.ifr_hwaddr.sa_data, 6);
	if (!rc && ioctl(fd, SIOCGIFMTU, &request))
		rc = -errno;
	*mtu = (uint32_t)request.ifr_mtu;
	close(fd);
	return rc ? mdfh_error_errno(rc, "verbs: interface %s", v->device) : 0;
}

/* The kind of queue pair, and the device: raw where the device steers frames, if nobody says. */
static int choose(struct verbs_port *v, const struct mdfh_bypass_config *config,
    const struct verbs_options *options)
{
	int rc;

	if (options->mode == VERBS_RAW && v->is_infiniband)
		return mdfh_error(-ENOTSUP,
		    "verbs: mode is raw, and interface %s is InfiniBand's; use mode=datagram",
		    v->device);
	if (options->mode != VERBS_DATAGRAM && !v->is_infiniband) {
		rc = verbs_device_open(v);
		if (!rc)
			rc = verbs_device_ask(v);
		if (rc)
			return rc;
		v->is_raw = options->mode == VERBS_RAW || verbs_device_steers(v);
		if (v->is_raw && v->link.link_layer != IBV_LINK_LAYER_ETHERNET)
			return mdfh_error(-ENOTSUP,
			    "verbs: mode is raw, and %s is no Ethernet device; use mode=datagram",
			    v->context->device->name);
		if (v->is_raw)
			return 0;
		ibv_close_device(v->context);
		v->context = NULL;
		v->owns_context = 0;
	}
	rc = check_datagram(config);
	if (!rc)
		rc = verbs_group_bind(v, config, options);
	return rc ? rc : verbs_device_ask(v);
}

/* Memory -------------------------------------------------------------------------------------- */

static uint32_t mtu_bytes(enum ibv_mtu mtu)
{
	return mtu >= IBV_MTU_256 && mtu <= IBV_MTU_4096 ? 128u << mtu : 4096;
}

static int map_pieces(
    struct verbs_port *v, const struct mdfh_bypass_config *config, uint32_t longest)
{
	uint32_t bytes = longest > v->frame_size ? longest : v->frame_size;
	uint32_t count = v->ring_size + v->hold_max + config->batch_size;
	int rc;

	/* One that the device had no room for is a failed completion, and the end of the queue pair. */
	bytes += v->is_raw ? VERBS_HEADERS_MAX : VERBS_GRH;
	v->piece_bytes = bytes;
	rc = mdfh_pool_map(&v->pieces, "verbs", count, bytes, config);
	if (rc)
		return rc;
	v->mr = ibv_reg_mr(
	    v->pd, v->pieces.region.base, v->pieces.region.bytes, IBV_ACCESS_LOCAL_WRITE);
	if (!v->mr) {
		rc = mdfh_error_errno(-errno, "verbs: registering %zu bytes of packet memory",
		    v->pieces.region.bytes);
		return mdfh_error(rc,
		    "%s; raise the limit of locked memory (`ulimit -l`), or make rx_ring_size "
		    "smaller",
		    mdfh_error_text());
	}
	v->orders = mdfh_lines_alloc(count, sizeof(*v->orders));
	v->places = mdfh_lines_alloc(count, sizeof(*v->places));
	v->completions = mdfh_lines_alloc(v->arrivals_max, sizeof(*v->completions));
	v->arrivals = mdfh_lines_alloc(v->arrivals_max, sizeof(*v->arrivals));
	if (!v->orders || !v->places || !v->completions || !v->arrivals)
		return mdfh_error(-ENOMEM, "verbs: bookkeeping of %u packets", count);
	for (uint32_t i = 0; i < count; i++) {
		v->places[i] = (struct ibv_sge){
		    .addr = (uintptr_t)mdfh_pool_at(&v->pieces, i),
		    .length = bytes,
		    .lkey = v->mr->lkey,
		};
		v->orders[i] =
		    (struct ibv_recv_wr){.wr_id = i, .sg_list = &v->places[i], .num_sge = 1};
	}
	return v->is_in_place ? mdfh_pool_map(&v->copies, "verbs", v->hold_max + config->batch_size,
				    v->frame_size, config)
			      : 0;
}

/* Whether packets can stay where the device wrote them, or why not. */
static int settle_copying(struct verbs_port *v, const struct mdfh_bypass_config *config)
{
	int is_of_software = *v->copy_reason != '\0';

	if (!is_of_software && config->enable_zero_copy == MDFH_OFF)
		snprintf(v->copy_reason, sizeof(v->copy_reason), "enable_zero_copy is off");
	v->is_in_place = !is_of_software;
	v->threshold =
	    *v->copy_reason && !is_of_software ? UINT32_MAX : config->zero_copy_threshold;
	if (config->require_zero_copy == MDFH_ON && *v->copy_reason)
		return mdfh_error(-ENOTSUP,
		    "verbs: require_zero_copy is on, and packets are copied (%s)", v->copy_reason);
	return 0;
}

/* Queues -------------------------------------------------------------------------------------- */

/* A completion queue with stamps of a kind, or none where the device has not that kind. */
static int make_stamped(struct verbs_port *v, enum verbs_stamps kind, uint64_t flag)
{
	struct ibv_cq_init_attr_ex attributes = {
	    .cqe = v->ring_size,
	    .channel = v->channel,
	    .wc_flags = IBV_WC_EX_WITH_BYTE_LEN | IBV_WC_EX_WITH_IMM | flag,
	};

	v->cq_ex = ibv_create_cq_ex(v->context, &attributes);
	if (v->cq_ex) {
		v->stamps = kind;
		v->cq = ibv_cq_ex_to_cq(v->cq_ex);
		return 0;
	}
	return errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL
		   ? 0
		   : mdfh_error_errno(
			 -errno, "verbs: a completion queue of %u packets", v->ring_size);
}

/* Completions with the device's stamps, where it has them and they are wanted. */
static int make_stamped_queue(struct verbs_port *v, const struct mdfh_bypass_config *config)
{
	struct ibv_values_ex values = {.comp_mask = IBV_VALUES_MASK_RAW_CLOCK};
	int has_stamps = v->attributes.completion_timestamp_mask != 0;
	int rc = 0;

	if (config->timestamps != MDFH_TIMESTAMPS_DEFAULT &&
	    config->timestamps != MDFH_TIMESTAMPS_HARDWARE)
		return 0;
	if (has_stamps && v->attributes.hca_core_clock &&
	    !ibv_query_rt_values_ex(v->context, &values))
		rc = make_stamped(v, VERBS_STAMPS_TICKS, IBV_WC_EX_WITH_COMPLETION_TIMESTAMP);
	if (has_stamps && !rc && !v->cq)
		rc = make_stamped(
		    v, VERBS_STAMPS_WALLCLOCK, IBV_WC_EX_WITH_COMPLETION_TIMESTAMP_WALLCLOCK);
	if (!rc && !v->cq && config->timestamps == MDFH_TIMESTAMPS_HARDWARE)
		return mdfh_error(-ENOTSUP,
		    "verbs: timestamps are to be the NIC's, and %s gives none; use software",
		    v->context->device->name);
	return rc;
}

static int make_completion_queues(struct verbs_port *v, const struct mdfh_bypass_config *config)
{
	int rc = 0;

	if (v->receives) {
		v->channel = ibv_create_comp_channel(v->context);
		if (!v->channel)
			return mdfh_error_errno(-errno, "verbs: a channel of completions");
		rc = make_stamped_queue(v, config);
		if (!rc && !v->cq)
			v->cq = ibv_create_cq(v->context, (int)v->ring_size, NULL, v->channel, 0);
	}
	if (rc)
		return rc;
	v->send_cq = ibv_create_cq(v->context, VERBS_SEND_SLOTS, NULL, NULL, 0);
	if (!v->send_cq || (v->receives && !v->cq))
		return mdfh_error_errno(-errno, "verbs: a completion queue of %u packets",
		    v->receives && !v->cq ? v->ring_size : VERBS_SEND_SLOTS);
	return 0;
}

static int queue_pair_refused(struct verbs_port *v, int error)
{
	int rc = mdfh_error_errno(error, "verbs: a %s queue pair on %s",
	    v->is_raw ? "raw Ethernet" : "datagram", v->context->device->name);

	if (rc == -EPERM)
		return mdfh_error(rc, "%s; it needs CAP_NET_RAW", mdfh_error_text());
	if (v->is_raw && (rc == -EINVAL || rc == -EOPNOTSUPP || rc == -ENOSYS))
		return mdfh_error(-ENOTSUP,
		    "%s; its device has none: use mode=datagram for RDMA senders, or another "
		    "backend",
		    mdfh_error_text());
	return rc;
}

static int make_queue_pair(struct verbs_port *v, const struct mdfh_bypass_config *config)
{
	struct ibv_qp_init_attr_ex attributes = {
	    .send_cq = v->send_cq,
	    .recv_cq = v->receives ? v->cq : v->send_cq,
	    .cap = {.max_send_wr = VERBS_SEND_SLOTS,
		.max_recv_wr = v->receives ? v->ring_size : 1,
		.max_send_sge = 1,
		.max_recv_sge = 1},
	    .qp_type = v->is_raw ? IBV_QPT_RAW_PACKET : IBV_QPT_UD,
	    .comp_mask = IBV_QP_INIT_ATTR_PD,
	    .pd = v->pd,
	};

	if (config->multicast_loop == MDFH_OFF && config->direction != MDFH_DIRECTION_RECEIVE) {
		attributes.comp_mask |= IBV_QP_INIT_ATTR_CREATE_FLAGS;
		attributes.create_flags = IBV_QP_CREATE_BLOCK_SELF_MCAST_LB;
	}
	v->qp = ibv_create_qp_ex(v->context, &attributes);
	if (!v->qp && attributes.create_flags)
		return mdfh_error(-ENOTSUP,
		    "verbs: multicast_loop is off, and %s always hears itself; leave it on",
		    v->context->device->name);
	return v->qp ? 0 : queue_pair_refused(v, -errno);
}

static int move_to(struct verbs_port *v, enum ibv_qp_state state)
{
	struct ibv_qp_attr attributes = {.qp_state = state, .port_num = v->link_number};
	int mask = IBV_QP_STATE;
	int rc = 0;

	if (state == IBV_QPS_INIT && v->is_raw)
		mask |= IBV_QP_PORT;
	/* The connection manager knows the partition and the key. */
	if (state == IBV_QPS_INIT && !v->is_raw &&
	    rdma_init_qp_attr(v->ids[0] ? v->ids[0] : v->ids[1], &attributes, &mask))
		rc = -errno;
	if (state == IBV_QPS_RTS && !v->is_raw)
		mask |= IBV_QP_SQ_PSN;
	if (!rc)
		rc = -ibv_modify_qp(v->qp, &attributes, mask);
	return rc ? mdfh_error_errno(rc, "verbs: bringing the queue pair to state %d", (int)state)
		  : 0;
}

static int start(struct verbs_port *v)
{
	int rc = move_to(v, IBV_QPS_INIT);

	if (!rc)
		rc = move_to(v, IBV_QPS_RTR);
	if (!rc)
		rc = move_to(v, IBV_QPS_RTS);
	if (!rc && v->receives && verbs_refill(v))
		rc = mdfh_error(-EIO, "verbs: %s takes no buffers", v->context->device->name);
	return rc;
}

/* Open and close ------------------------------------------------------------------------------ */

static int check_device(struct verbs_port *v, const struct mdfh_bypass_config *config)
{
	uint32_t most = (uint32_t)v->attributes.orig_attr.max_qp_wr;

	v->ring_size = config->rx_ring_size < RING_MIN ? RING_MIN : config->rx_ring_size;
	if (v->receives && v->ring_size > most)
		return mdfh_error(-EINVAL, "verbs: rx_ring_size is %u; %s has room for %u",
		    v->ring_size, v->context->device->name, most);
	return 0;
}

static void report(struct verbs_port *v, const struct mdfh_bypass_config *config)
{
	static const char *const stamps[] = {"", ", its clock", ", its wall clock"};
	uint64_t value;

	snprintf(v->mode, sizeof(v->mode), "%s, %s port %u%s%s",
	    v->is_raw ? "raw Ethernet" : "datagram", v->context->device->name, v->link_number,
	    !v->is_raw || !v->receives ? ""
	    : v->is_steered            ? ", rules by address and port"
				       : ", rules by hardware address",
	    stamps[v->stamps]);
	if (v->link.state != IBV_PORT_ACTIVE)
		snprintf(v->warning, sizeof(v->warning),
		    "port %u of %s is %s: nothing arrives; look at the cable and at interface %s",
		    v->link_number, v->context->device->name, ibv_port_state_str(v->link.state),
		    v->device);
	v->base.capabilities = (struct mdfh_bypass_capabilities){
	    .size = sizeof(v->base.capabilities),
	    .zero_copy = !*v->copy_reason,
	    .copy_reason = v->copy_reason,
	    .mode = v->mode,
	    .filters = v->is_steered ? MDFH_PLACE_HARDWARE : MDFH_PLACE_SOFTWARE,
	    .timestamps = v->stamps       ? MDFH_PLACE_HARDWARE
			  : v->time_flags ? MDFH_PLACE_SOFTWARE
					  : MDFH_PLACE_NONE,
	    .can_send = config->direction != MDFH_DIRECTION_RECEIVE,
	    .queues = 1,
	    .hold_max = v->hold_max,
	    .frame_size = config->frame_size,
	    .poll_fd = -1,
	    .numa_node = v->receives ? v->pieces.region.node : -1,
	    .hugepages = v->pieces.region.reserved_hugepages,
	    .warning = v->warning,
	};
	if (verbs_device_counter(v, "out_of_buffer", &value)) {
		v->has_out_of_buffer = 1;
		v->out_of_buffer = value;
		v->base.stats.known_drops = 1;
	}
}

static int open_port(struct verbs_port *v, const struct mdfh_bypass_config *config,
    const struct verbs_options *options)
{
	uint32_t mtu = 0, path;
	int rc = read_interface(v, &mtu);

	if (!rc)
		rc = verbs_devices();
	if (!rc)
		rc = choose(v, config, options);
	if (!rc)
		rc = check_device(v, config);
	if (!rc)
		rc = settle_copying(v, config);
	if (rc)
		return rc;
	path = v->is_raw ? mtu : mtu_bytes(v->link.active_mtu);
	v->payload_max = v->is_raw ? mtu - 28 : path;
	v->pd = ibv_alloc_pd(v->context);
	if (!v->pd)
		return mdfh_error_errno(-errno, "verbs: a protection domain");
	if (v->receives)
		rc = map_pieces(v, config, path);
	if (!rc)
		rc = make_completion_queues(v, config);
	if (!rc)
		rc = verbs_clock_open(v, config);
	if (!rc)
		rc = make_queue_pair(v, config);
	if (!rc)
		rc = start(v);
	if (!rc && !v->is_raw)
		rc = verbs_group_join(v, config, options);
	if (!rc && v->is_raw && v->receives)
		rc = mdfh_membership_open(&v->membership, "verbs", config);
	if (!rc && v->is_raw && v->receives)
		rc = verbs_rules_make(v, config, options);
	if (!rc && config->direction != MDFH_DIRECTION_RECEIVE)
		rc = verbs_send_open(v, config, options);
	if (!rc)
		report(v, config);
	return rc;
}

int verbs_probe(void)
{
	return verbs_devices();
}

int verbs_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	struct verbs_options options;
	struct verbs_port *v;
	int rc = check(config);

	*port = NULL;
	if (!rc)
		rc = read_options(config->backend_options, &options);
	if (rc)
		return rc;
	v = mdfh_lines_alloc(1, sizeof(*v));
	if (!v)
		return mdfh_error(-ENOMEM, "verbs: %zu bytes", sizeof(*v));
	v->receives = config->direction != MDFH_DIRECTION_SEND;
	v->batch_size = config->batch_size;
	v->arrivals_max = config->batch_size;
	v->frame_size = config->frame_size;
	v->hold_max = config->hold_max ? config->hold_max : config->rx_ring_size;
	v->is_port_carried = options.is_port_carried;
	v->trailer.kind = config->trailer;
	snprintf(v->device, sizeof(v->device), "%s", config->interface);
	rc = compile_flows(v, config);
	if (!rc)
		rc = open_port(v, config, &options);
	if (rc) {
		verbs_close(&v->base);
		return rc;
	}
	*port = &v->base;
	return 0;
}

/* Works on a port in any state of being opened. */
void verbs_close(struct mdfh_bypass *port)
{
	struct verbs_port *v = (struct verbs_port *)port;

	verbs_rules_remove(v);
	verbs_group_detach(v);
	if (v->qp)
		ibv_destroy_qp(v->qp);
	if (v->cq)
		ibv_destroy_cq(v->cq);
	if (v->send_cq)
		ibv_destroy_cq(v->send_cq);
	if (v->channel)
		ibv_destroy_comp_channel(v->channel);
	verbs_send_close(v);
	if (v->mr)
		ibv_dereg_mr(v->mr);
	mdfh_pool_unmap(&v->pieces);
	mdfh_pool_unmap(&v->copies);
	if (v->pd)
		ibv_dealloc_pd(v->pd);
	verbs_group_close(v);
	if (v->owns_context)
		ibv_close_device(v->context);
	free(v->orders);
	free(v->places);
	free(v->completions);
	free(v->arrivals);
	free(v);
}
