/* ef_vi_setup.c - how a port of backend ef_vi is opened and closed: the driver, the queue, its memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/lines.h"
#include "mdfh/error.h"
#include "modules/ef_vi.h"

enum {
	BUFFER_SMALL =
	    2048, /* a buffer lies within 4096 bytes: only they are contiguous to the NIC */
	BUFFER_LARGE = 4096,
	RING_MIN = 512,
	RING_MAX = 4096, /* of every NIC so far */
};

/* Options ------------------------------------------------------------------------------------- */

/* Older headers have no such flag. */
static int choose_express(enum ef_pd_flags *datapath)
{
#ifdef MDFH_EF_VI_HAS_EXPRESS
	*datapath = EF_PD_EXPRESS;
	return 0;
#else
	(void)datapath;
	return mdfh_error(-ENOTSUP,
	    "ef_vi: datapath is express; the Onload that the module was built for knows no such "
	    "thing: leave it out");
#endif
}

static int read_options(const char *text, struct efvi_options *options)
{
	static const char *const known[] = {"library", "datapath", "event_merge", "exclusive_queue",
	    "vlan_filters", "block_kernel", "source_port", NULL};
	static const char *const switches[] = {"off", "on", NULL};
	static const char *const datapaths[] = {"default", "express", NULL};
	static const char *const blocks[] = {
	    [EFVI_BLOCK_NONE] = "off",
	    [EFVI_BLOCK_UNICAST] = "unicast",
	    [EFVI_BLOCK_MULTICAST] = "multicast",
	    [EFVI_BLOCK_ALL] = "all",
	    NULL,
	};
	int block = EFVI_BLOCK_NONE, is_express = 0;
	int rc = mdfh_option_known(text, "ef_vi", known);

	*options = (struct efvi_options){.datapath = EF_PD_DEFAULT};
	if (!rc)
		rc = mdfh_option_word(text, "ef_vi", "datapath", datapaths, &is_express);
	if (!rc && is_express)
		rc = choose_express(&options->datapath);
	if (!rc)
		rc =
		    mdfh_option_word(text, "ef_vi", "event_merge", switches, &options->event_merge);
	if (!rc)
		rc = mdfh_option_word(
		    text, "ef_vi", "exclusive_queue", switches, &options->exclusive_queue);
	if (!rc)
		rc = mdfh_option_word(
		    text, "ef_vi", "vlan_filters", switches, &options->vlan_filters);
	if (!rc)
		rc = mdfh_option_word(text, "ef_vi", "block_kernel", blocks, &block);
	if (!rc)
		rc = mdfh_option_number(text, "source_port", 1, 65535, &options->source_port);
	if (rc)
		return rc;
	options->block_kernel = (enum efvi_block)block;
	if (mdfh_option_get(text, "library", options->library, sizeof(options->library)) &&
	    options->library[0] != '/')
		return mdfh_error(-EINVAL,
		    "ef_vi: library is '%s'; it must be the absolute path of Onload's libciul.so.1",
		    options->library);
	return 0;
}

static int check(const struct mdfh_bypass_config *config, const struct efvi_options *options)
{
	if (!config->interface)
		return mdfh_error(-EINVAL,
		    "ef_vi: interface is not set; name the port of the Solarflare or AMD NIC that "
		    "the packets come to");
	if (strlen(config->interface) >= IFNAMSIZ)
		return mdfh_error(-EINVAL,
		    "ef_vi: interface is '%.80s'; no device has so long a name", config->interface);
	if (config->transport == MDFH_TRANSPORT_TCP)
		return mdfh_error(-ENOTSUP, "ef_vi: transport is TCP; ef_vi has UDP only");
	if (config->direction == MDFH_DIRECTION_SEND)
		return mdfh_error(
		    -ENOTSUP, "ef_vi: direction is send; ef_vi only receives: send through socket");
	if (!config->flow_count)
		return mdfh_error(-EINVAL,
		    "ef_vi: there are no flows; name the groups (or addresses) and ports to "
		    "receive");
	if (config->queue)
		return mdfh_error(-EINVAL,
		    "ef_vi: queue is %u; every port has a queue of its own, to which filters of "
		    "the NIC steer its flows: leave it out",
		    config->queue);
	if (config->busy_poll_us)
		return mdfh_error(-ENOTSUP,
		    "ef_vi: busy_poll_us is %u; there is no socket to poll: set it to 0",
		    config->busy_poll_us);
	for (uint32_t i = 0; i < config->flow_count; i++) {
		if (!config->flows[i].port)
			return mdfh_error(-EINVAL,
			    "ef_vi: flows[%u] has port 0; a filter of the NIC needs the port", i);
		if (options->source_port && !config->flows[i].source)
			return mdfh_error(-EINVAL,
			    "ef_vi: source_port is %u and flows[%u] has no source; a filter of the "
			    "NIC needs both or neither",
			    (unsigned)options->source_port, i);
	}
	return 0;
}

/* The driver and the queue -------------------------------------------------------------------- */

int mdfh_efvi_probe(void)
{
	struct efvi_api api = {0};
	ef_driver_handle driver;
	int rc = mdfh_efvi_library_open(&api, "");

	if (rc)
		return rc;
	rc = api.driver_open(&driver);
	if (rc < 0)
		rc = mdfh_efvi_driver_refused(rc);
	else
		(void)api.driver_close(driver);
	mdfh_efvi_library_close(&api);
	return rc < 0 ? rc : 0;
}

static int open_driver(struct efvi_port *p, const struct efvi_options *options)
{
	int interface = (int)if_nametoindex(p->device);
	int rc;

	if (!interface)
		return mdfh_error_errno(-errno, "ef_vi: interface %s", p->device);
	rc = p->api.driver_open(&p->driver);
	if (rc < 0)
		return mdfh_efvi_driver_refused(rc);
	p->has_driver = 1;
	rc = p->api.pd_alloc(&p->pd, p->driver, interface, options->datapath);
	if (rc < 0) {
		mdfh_error_errno(rc, "ef_vi: a protection domain on %s", p->device);
		return mdfh_error(rc,
		    rc == -ELIBACC || rc == -EINVAL
			? "%s; is the loaded driver of the same Onload as the library?"
			: "%s; it must be a port of a Solarflare or AMD NIC that the driver sfc "
			  "runs, and not a VLAN or a bond on top of it",
		    mdfh_error_text());
	}
	p->has_pd = 1;
	return 0;
}

/* 1, 0, or what the library says where it does not know. */
static int has_capability(const struct efvi_port *p, enum ef_vi_capability capability)
{
	unsigned long value = 0;
	int rc =
	    p->api.capabilities_get(p->driver, (int)if_nametoindex(p->device), capability, &value);

	return rc ? rc : value != 0;
}

static int alloc_queue(
    struct efvi_port *p, const struct mdfh_bypass_config *config, unsigned long long flags)
{
	uint32_t ring = config->rx_ring_size;

	ring = ring < RING_MIN ? RING_MIN : ring > RING_MAX ? RING_MAX : ring;
	/* The event queue is as long as the ring wants it (-1), so that it does not overflow. */
	return p->api.vi_alloc(&p->vi, p->driver, &p->pd, p->driver, -1, (int)ring, 0, NULL, -1,
	    (enum ef_vi_flags)flags);
}

/* What a NIC without stamps, or without the licence for them, says to a queue that wants them. */
static int refuses_stamps(int rc)
{
	return rc == -EOPNOTSUPP || rc == -ENOSYS || rc == -EINVAL || rc == -EPERM ||
	       rc == -EACCES || rc == -ENOKEY;
}

/* With stamps if they are wanted and to be had. */
static int open_queue(struct efvi_port *p, const struct mdfh_bypass_config *config,
    const struct efvi_options *options)
{
	unsigned long long flags =
	    (unsigned long long)(options->event_merge ? EF_VI_RX_EVENT_MERGE : EF_VI_FLAGS_DEFAULT);
	int needs_stamps = config->timestamps == MDFH_TIMESTAMPS_HARDWARE;
	int rc = -EOPNOTSUPP;

	p->has_stamps = (needs_stamps || config->timestamps == MDFH_TIMESTAMPS_DEFAULT) &&
			has_capability(p, EF_VI_CAP_HW_RX_TIMESTAMPING) != 0;
	if (p->has_stamps)
		rc = alloc_queue(p, config, flags | EF_VI_RX_TIMESTAMPS);
	if (refuses_stamps(rc) && needs_stamps) {
		mdfh_error_errno(rc, "ef_vi: a queue with time stamps on %s", p->device);
		return mdfh_error(rc == -EOPNOTSUPP ? -ENOTSUP : rc,
		    "%s; the NIC (or its licence) has none: use timestamps software or default",
		    mdfh_error_text());
	}
	if (refuses_stamps(rc)) {
		p->has_stamps = 0;
		rc = alloc_queue(p, config, flags);
	}
	if (rc >= 0) {
		p->has_vi = 1;
		return 0;
	}
	mdfh_error_errno(rc, "ef_vi: a queue of %u packets on %s", config->rx_ring_size, p->device);
	return options->event_merge
		   ? mdfh_error(
			 rc, "%s; it may not merge events: try event_merge=off", mdfh_error_text())
		   : rc;
}

/* Memory -------------------------------------------------------------------------------------- */

static int map_buffers(struct efvi_port *p, const struct mdfh_bypass_config *config)
{
	uint32_t capacity = (uint32_t)ef_vi_receive_capacity(&p->vi);
	uint32_t size;
	int rc;

	p->prefix = (uint32_t)ef_vi_receive_prefix_len(&p->vi);
	size = p->prefix + EFVI_HEADERS_MAX + p->frame_size <= BUFFER_SMALL ? BUFFER_SMALL
									    : BUFFER_LARGE;
	p->buffer_size = size;
	ef_vi_receive_set_buffer_len(&p->vi, size);
	p->posted_max = capacity - capacity % EFVI_REFILL;
	if (!p->posted_max)
		return mdfh_error(-EIO, "ef_vi: a ring of %u packets on %s", capacity, p->device);
	rc = mdfh_pool_map(&p->buffers, "ef_vi",
	    p->posted_max + p->hold_max + config->batch_size + EFVI_REFILL, size, config);
	if (rc)
		return rc;
	p->posted = mdfh_lines_alloc(p->buffers.count, sizeof(*p->posted));
	p->assembly.size = p->prefix + EFVI_HEADERS_MAX + p->frame_size;
	p->assembly.bytes = mdfh_lines_alloc(p->assembly.size, 1);
	if (!p->posted || !p->assembly.bytes)
		return mdfh_error(-ENOMEM, "ef_vi: bookkeeping of %u packets", p->buffers.count);
	/* The NIC writes to these pages: those of a child that was forked are others. */
	(void)madvise(p->buffers.region.base, p->buffers.region.bytes, MADV_DONTFORK);
	rc = p->api.memreg_alloc(&p->memreg, p->driver, &p->pd, p->driver, p->buffers.region.base,
	    p->buffers.region.bytes);
	if (rc < 0) {
		mdfh_error_errno(rc, "ef_vi: registering %zu bytes of packet memory with %s",
		    p->buffers.region.bytes, p->device);
		return mdfh_error(rc,
		    "%s; raise the limit of locked memory (`ulimit -l`), or reserve hugepages, of "
		    "which the NIC needs fewer entries (vm.nr_hugepages)",
		    mdfh_error_text());
	}
	p->has_memreg = 1;
	return 0;
}

static void unmap_buffers(struct efvi_port *p)
{
	if (p->has_memreg)
		(void)p->api.memreg_free(&p->memreg, p->driver);
	p->has_memreg = 0;
	mdfh_pool_unmap(&p->buffers);
	p->buffers = (struct mdfh_pool){0};
	free(p->posted);
	p->posted = NULL;
	free(p->assembly.bytes);
	p->assembly.bytes = NULL;
}

/* The ring, or, of a NIC that has memory of its own, what holds its packets. */
static int fill_ring(struct efvi_port *p, const struct mdfh_bypass_config *config)
{
	int rc = mdfh_efvi_refill(p);

	if (!rc) {
		p->base.ops = &mdfh_efvi_waking_ops;
		return 0;
	}
	if (rc != -ENOSYS && rc != -EOPNOTSUPP)
		return mdfh_error_errno(rc, "ef_vi: giving buffers to %s", p->device);
	unmap_buffers(p);
	p->by_reference = 1;
	p->prefix = 0;
	if (!config
		 ->hold_max) /* each may keep a megabyte busy, so no more than what one recv gave */
		p->hold_max = config->batch_size;
	p->references.count = p->references.free_count = p->hold_max;
	p->references.packets = mdfh_lines_alloc(p->hold_max, sizeof(*p->references.packets));
	p->references.free = mdfh_lines_alloc(p->hold_max, sizeof(*p->references.free));
	p->references.held = mdfh_lines_alloc(p->hold_max, sizeof(*p->references.held));
	if (!p->references.packets || !p->references.free || !p->references.held)
		return mdfh_error(-ENOMEM, "ef_vi: bookkeeping of %u packets", p->hold_max);
	for (uint32_t i = 0; i < p->hold_max; i++)
		p->references.free[i] = p->hold_max - 1 - i;
	return 0;
}

/* Room for as many copies as a caller may want to hold, whatever may be held in place. */
static int map_copies(struct efvi_port *p, const struct mdfh_bypass_config *config)
{
	uint32_t count = config->hold_max ? config->hold_max : config->rx_ring_size;

	return mdfh_pool_map(
	    &p->copies, "ef_vi", count + config->batch_size, p->frame_size, config);
}

/* Open and close ------------------------------------------------------------------------------ */

/* Works on a port in any state of being opened. */
void mdfh_efvi_close(struct mdfh_bypass *port)
{
	struct efvi_port *p = (struct efvi_port *)port;

	mdfh_efvi_filters_delete(p);
	mdfh_membership_close(&p->membership);
	for (uint32_t i = 0; p->references.held && i < p->references.count; i++)
		if (p->references.held[i])
			p->api.reference_release(&p->vi, p->references.packets[i]);
	if (p->has_vi)
		(void)p->api.vi_free(&p->vi, p->driver);
	unmap_buffers(p);
	if (p->has_pd)
		(void)p->api.pd_free(&p->pd, p->driver);
	if (p->has_driver)
		(void)p->api.driver_close(p->driver);
	mdfh_efvi_library_close(&p->api);
	mdfh_pool_unmap(&p->copies);
	free(p->references.packets);
	free(p->references.free);
	free(p->references.held);
	free(p);
}

static int open_port(struct efvi_port *p, const struct mdfh_bypass_config *config,
    const struct efvi_options *options)
{
	int rc = mdfh_flow_table_compile(&p->flows, config->flows, config->flow_count);

	if (!rc)
		rc = mdfh_efvi_library_open(&p->api, options->library);
	if (!rc)
		rc = open_driver(p, options);
	if (!rc)
		rc = open_queue(p, config, options);
	if (!rc)
		rc = map_buffers(p, config);
	if (!rc)
		rc = fill_ring(p, config);
	if (!rc)
		rc = map_copies(p, config);
	if (!rc)
		rc = mdfh_membership_open(&p->membership, "ef_vi", config);
	if (!rc)
		rc = mdfh_efvi_filters_add(p, config, options);
	if (!rc)
		mdfh_efvi_report(p, config, options);
	return rc;
}

int mdfh_efvi_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	struct efvi_options options;
	struct efvi_port *p;
	int rc = read_options(config->backend_options, &options);

	*port = NULL;
	if (!rc)
		rc = check(config, &options);
	if (rc)
		return rc;
	p = mdfh_lines_alloc(1, sizeof(*p));
	if (!p)
		return mdfh_error(-ENOMEM, "ef_vi: %zu bytes", sizeof(*p));
	p->frame_size = config->frame_size;
	p->hold_max = config->hold_max ? config->hold_max : config->rx_ring_size;
	p->threshold =
	    config->enable_zero_copy == MDFH_OFF ? UINT32_MAX : config->zero_copy_threshold;
	p->trailer.kind = config->trailer;
	p->time_flags = config->timestamps != MDFH_TIMESTAMPS_OFF ? mdfh_app_time_flags() : 0;
	snprintf(p->device, sizeof(p->device), "%s", config->interface);
	rc = open_port(p, config, &options);
	if (rc) {
		mdfh_efvi_close(&p->base);
		return rc;
	}
	*port = &p->base;
	return 0;
}
