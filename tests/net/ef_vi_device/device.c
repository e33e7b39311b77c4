/* device.c - the parts of the software device: driver, protection domains, registered memory, queues; and
 * what a test sets and sees. */
#include "device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { HANDLES_MAX = 64, REGIONS_MAX = 64, PAGES_APART = 1 << 20 };

struct efdev_config efdev_settings;
struct efdev_queue *efdev_queues;

static struct {
	struct {
		int fd; /* readable when `event` is, or the wire of a queue that was primed */
		int event;
	} handles[HANDLES_MAX];
	uint32_t handle_count, domains, domain_number, primes;
	struct {
		uint8_t *memory;
		ef_addr first;
		size_t pages;
	} regions[REGIONS_MAX];
	uint32_t region_count, region_number;
	uint64_t faults;
	char last_fault[96];
} device;

static int (*striker)(const char *name);

/* A test's side ------------------------------------------------------------------------------- */

static int has_word(const char *list, const char *word)
{
	const char *at = list ? strstr(list, word) : NULL;

	return at != NULL;
}

static __attribute__((constructor)) void configure_by_environment(void)
{
	const char *words = getenv("EF_VI_DEVICE");

	efdev_settings.is_wired = has_word(words, "wired");
	efdev_settings.is_efct = has_word(words, "efct");
	efdev_settings.is_counted = has_word(words, "counted");
	efdev_settings.has_no_stamps = has_word(words, "no_stamps");
}

void efdev_configure(const struct efdev_config *config)
{
	efdev_settings = *config;
	device.faults = device.primes = 0;
	device.last_fault[0] = '\0';
}

struct efdev_config *efdev_config(void)
{
	return &efdev_settings;
}

void efdev_set_strike(int (*strike)(const char *name))
{
	striker = strike;
}

int efdev_strike(const char *name)
{
	return striker && striker(name);
}

void efdev_fault(const char *what)
{
	device.faults++;
	snprintf(device.last_fault, sizeof(device.last_fault), "%s", what);
}

static void count_filters(const struct efdev_queue *q, struct efdev_state *state)
{
	for (uint32_t i = 0; i < q->filter_count; i++) {
		const ef_filter_spec *spec = &q->filters[i].spec;

		state->exclusive_filters += (spec->flags & EF_FILTER_FLAG_EXCLUSIVE_RXQ) != 0;
		state->block_filters +=
		    (spec->fields & (EFDEV_BLOCK_UNICAST | EFDEV_BLOCK_MULTICAST)) != 0;
		state->full_filters += (spec->fields & EFDEV_REMOTE) != 0;
		state->vlan_filters += (spec->fields & EFDEV_VLAN) != 0;
		state->mac_filters += (spec->fields & EFDEV_MAC) != 0;
	}
	state->filters += q->filter_count;
}

struct efdev_state efdev_state(void)
{
	struct efdev_state state = {.drivers = device.handle_count,
	    .domains = device.domains,
	    .regions = device.region_count,
	    .primes = device.primes,
	    .faults = device.faults};

	snprintf(state.last_fault, sizeof(state.last_fault), "%s", device.last_fault);
	for (const struct efdev_queue *q = efdev_queues; q; q = q->next) {
		state.queues++;
		state.posted += q->pushed - q->used;
		state.unused_posts += q->added - q->pushed;
		state.no_buffers += q->no_buffers;
		for (uint32_t i = 0; i < q->superbuffer_count; i++)
			state.references += q->superbuffers[i].references;
		count_filters(q, &state);
	}
	return state;
}

int efdev_arrive(const struct efdev_frame *frame)
{
	int taken = 0;

	for (struct efdev_queue *q = efdev_queues; q; q = q->next)
		if (efdev_filters_match(q, frame->bytes, frame->length))
			taken += efdev_queue_take(q, frame);
	return taken;
}

/* Driver, domains, memory --------------------------------------------------------------------- */

const char *ef_vi_version_str(void)
{
	return efdev_settings.version ? efdev_settings.version : EF_VI_DEVICE_VERSION;
}

int ef_driver_open(ef_driver_handle *handle)
{
	struct epoll_event watched = {.events = EPOLLIN};
	int fd, event;

	if (efdev_strike("ef_driver_open") || device.handle_count == HANDLES_MAX)
		return -ENOENT;
	fd = epoll_create1(EPOLL_CLOEXEC);
	event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0 || event < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, event, &watched)) {
		close(fd);
		close(event);
		return -EMFILE;
	}
	device.handles[device.handle_count].fd = fd;
	device.handles[device.handle_count++].event = event;
	*handle = fd;
	return 0;
}

/* Its event's descriptor; -1 and a fault of one that is not open. */
static int event_of(ef_driver_handle handle)
{
	for (uint32_t i = 0; i < device.handle_count; i++)
		if (device.handles[i].fd == handle)
			return device.handles[i].event;
	efdev_fault("a driver handle that is not open");
	return -1;
}

static int is_open(ef_driver_handle handle)
{
	return event_of(handle) >= 0;
}

int ef_driver_close(ef_driver_handle handle)
{
	for (uint32_t i = 0; i < device.handle_count; i++)
		if (device.handles[i].fd == handle) {
			close(device.handles[i].event);
			device.handles[i] = device.handles[--device.handle_count];
			close(handle);
			return 0;
		}
	efdev_fault("a driver handle closed twice");
	return -EBADF;
}

int ef_pd_alloc(ef_pd *pd, ef_driver_handle handle, int interface, enum ef_pd_flags flags)
{
	if (!is_open(handle))
		return -EBADF;
	if (efdev_strike("ef_pd_alloc"))
		return -ENODEV;
	*pd = (ef_pd){.interface = interface,
	    .number = (int)++device.domain_number,
	    .flags = (unsigned)flags};
	device.domains++;
	return 0;
}

int ef_pd_free(ef_pd *pd, ef_driver_handle handle)
{
	if (!is_open(handle) || !pd->number)
		efdev_fault("a protection domain freed twice");
	else
		device.domains--;
	pd->number = 0;
	return 0;
}

int ef_memreg_alloc(ef_memreg *region, ef_driver_handle handle, struct ef_pd *pd,
    ef_driver_handle pd_handle, void *memory, size_t bytes)
{
	uint32_t n = device.region_count;

	if (!is_open(handle) || !is_open(pd_handle) || !pd->number)
		return -EBADF;
	if ((uintptr_t)memory % EF_VI_NIC_PAGE_SIZE || bytes % EF_VI_NIC_PAGE_SIZE ||
	    bytes / EF_VI_NIC_PAGE_SIZE > PAGES_APART)
		return -EINVAL;
	if (efdev_strike("ef_memreg_alloc") || n == REGIONS_MAX)
		return -ENOMEM;
	region->pages = bytes / EF_VI_NIC_PAGE_SIZE;
	region->first =
	    ((ef_addr)++device.region_number * PAGES_APART + 7) * (ef_addr)EF_VI_NIC_PAGE_SIZE;
	device.regions[n].memory = memory;
	device.regions[n].first = region->first;
	device.regions[n].pages = region->pages;
	device.region_count++;
	return 0;
}

int ef_memreg_free(ef_memreg *region, ef_driver_handle handle)
{
	for (uint32_t i = 0; is_open(handle) && i < device.region_count; i++)
		if (device.regions[i].first == region->first) {
			device.regions[i] = device.regions[--device.region_count];
			return 0;
		}
	efdev_fault("memory that is not registered was freed");
	return -EINVAL;
}

uint8_t *efdev_memory(ef_addr address, uint32_t length)
{
	ef_addr within = address % EF_VI_NIC_PAGE_SIZE;

	for (uint32_t i = 0; i < device.region_count; i++) {
		ef_addr first = device.regions[i].first;
		size_t pages = device.regions[i].pages, page;

		if (address < first || address >= first + pages * EF_VI_NIC_PAGE_SIZE ||
		    within + length > EF_VI_NIC_PAGE_SIZE)
			continue;
		page = pages - 1 - (size_t)((address - first) / EF_VI_NIC_PAGE_SIZE);
		return device.regions[i].memory + page * EF_VI_NIC_PAGE_SIZE + within;
	}
	efdev_fault("a buffer outside of registered memory, or across pages");
	return NULL;
}

int ef_vi_capabilities_get(
    ef_driver_handle handle, int interface, enum ef_vi_capability capability, unsigned long *value)
{
	(void)interface;
	if (!is_open(handle))
		return -EBADF;
	*value = capability == EF_VI_CAP_HW_RX_TIMESTAMPING && !efdev_settings.has_no_stamps;
	return 0;
}

/* Queues -------------------------------------------------------------------------------------- */

static uint32_t power_of_two(int n)
{
	uint32_t power = 512;

	while (power < (uint32_t)n && power < EFDEV_SLOTS_MAX)
		power *= 2;
	return power;
}

int ef_vi_alloc_from_pd(ef_vi *vi, ef_driver_handle handle, struct ef_pd *pd,
    ef_driver_handle pd_handle, int events, int receives, int sends, ef_vi *other,
    ef_driver_handle other_handle, enum ef_vi_flags flags)
{
	struct efdev_queue *q;
	int rc;

	if (!is_open(handle) || !is_open(pd_handle) || !pd->number || events != -1 || sends ||
	    other || other_handle != -1)
		return -EINVAL;
	if (flags & EF_VI_RX_TIMESTAMPS && efdev_settings.has_no_stamps)
		return -EOPNOTSUPP;
	if (efdev_strike("ef_vi_alloc_from_pd"))
		return -EBUSY;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->vi = vi;
	q->wire.fd = -1;
	q->interface = pd->interface;
	q->handle = handle;
	q->flags = (unsigned)flags;
	q->is_by_reference = efdev_settings.is_efct || pd->flags & EF_PD_EXPRESS;
	q->slot_count = power_of_two(receives);
	q->events_max = efdev_settings.events_max ? efdev_settings.events_max : q->slot_count + 64;
	rc = q->is_by_reference ? efdev_references_open(q) : 0;
	if (!rc && efdev_settings.is_wired)
		rc = efdev_wire_open(&q->wire, q->interface);
	if (rc) {
		efdev_references_close(q);
		free(q);
		return rc;
	}
	*vi = (ef_vi){.queue = q, .buffer = 1792, .slots = q->slot_count};
	/* Of references, every time says how good it is. */
	if (flags & EF_VI_RX_TIMESTAMPS && !q->is_by_reference && !efdev_settings.tells_no_sync)
		vi->vi_out_flags = EF_VI_OUT_CLOCK_SYNC_STATUS;
	if (!q->is_by_reference &&
	    (flags & (EF_VI_RX_TIMESTAMPS | EF_VI_RX_EVENT_MERGE) || efdev_settings.is_counted))
		vi->prefix = sizeof(struct efdev_prefix);
	efdev_queue_calls(vi);
	q->next = efdev_queues;
	efdev_queues = q;
	return 3;
}

int ef_vi_free(ef_vi *vi, ef_driver_handle handle)
{
	if (!is_open(handle))
		return -EBADF;
	for (struct efdev_queue **at = &efdev_queues; *at; at = &(*at)->next) {
		struct efdev_queue *q = *at;

		if (q != vi->queue)
			continue;
		*at = q->next;
		efdev_wire_close(&q->wire);
		efdev_references_close(q);
		free(q);
		return 0;
	}
	efdev_fault("a queue freed twice");
	return -EINVAL;
}

void efdev_wake(const struct efdev_queue *q)
{
	(void)eventfd_write(event_of(q->handle), 1);
}

/* Events that came after `current` count, too. */
int ef_vi_prime(ef_vi *vi, ef_driver_handle handle, unsigned current)
{
	struct efdev_queue *q = vi->queue;
	struct epoll_event watched = {.events = EPOLLIN};
	eventfd_t old;

	if (!is_open(handle) || handle != q->handle)
		return -EBADF;
	if (q->is_by_reference)
		return -ENOENT;
	if (efdev_strike("ef_vi_prime"))
		return -EIO;
	device.primes++;
	(void)eventfd_read(event_of(handle), &old);
	q->is_primed = current == q->event_head && !q->has_overflowed;
	if (!q->is_primed)
		efdev_wake(q);
	if (q->wire.fd >= 0 && epoll_ctl(handle, EPOLL_CTL_ADD, q->wire.fd, &watched) &&
	    errno != EEXIST)
		return -errno;
	return 0;
}

/* Counters have 32 bits; nobody sets them back when a queue is made. */
static const ef_vi_stats_layout *layout(void)
{
	static char names[3][32] = {"RX CRC errors", "RX no descriptor errors", "RX no desc drops"};
	static _Alignas(ef_vi_stats_layout) char
	    memory[sizeof(ef_vi_stats_layout) + 3 * sizeof(ef_vi_stats_field_layout)];
	ef_vi_stats_layout *made = (void *)memory;

	made->evsl_fields_num = efdev_settings.has_two_counters ? 3 : 2;
	made->evsl_data_size = 4 * made->evsl_fields_num;
	made->evsl_fields[0] = (ef_vi_stats_field_layout){names[0], 0, 4};
	made->evsl_fields[1] = (ef_vi_stats_field_layout){names[1], 4, 4};
	made->evsl_fields[2] = (ef_vi_stats_field_layout){names[2], 8, 4};
	return made;
}

int ef_vi_stats_query_layout(ef_vi *vi, const ef_vi_stats_layout **const result)
{
	(void)vi;
	if (efdev_settings.has_no_stats)
		return -EINVAL;
	*result = layout();
	return 0;
}

int ef_vi_stats_query(ef_vi *vi, ef_driver_handle handle, void *data, int reset)
{
	const uint32_t counters[] = {
	    0, efdev_settings.no_buffers + (uint32_t)vi->queue->no_buffers, 7};

	if (!is_open(handle) || efdev_settings.has_no_stats || reset)
		efdev_fault("counters of a queue that has none");
	if (efdev_strike("ef_vi_stats_query"))
		return -EIO;
	memcpy(data, counters, sizeof(counters[0]) * (size_t)layout()->evsl_fields_num);
	return 0;
}
