/* memory.c - regions: mmap(2) with reserved hugepages, else transparent ones, else neither.
 *
 * Every page is there before the call returns: MADV_POPULATE_WRITE reports the lack of memory
 * as an error where touching by hand would end the process with SIGBUS. The node is a
 * preference, because a hugepage that its node cannot give would be such a SIGBUS too.
 *
 * A shared region is a POSIX shared memory object on which its maker holds a flock(2). The
 * mapping keeps the lock until the maker unmaps or dies, so a name left behind by a process
 * that was killed is told from one in use, and replaced. */
#include "mdfh/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <numa.h>
#include <numaif.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mdfh/error.h"

#ifndef MAP_HUGE_2MB
#define MAP_HUGE_2MB (21 << 26)
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

#define HUGE_BYTES ((size_t)2 << 20)
/* A region smaller than this would leave more than half of its hugepage unused. */
#define HUGE_FROM (HUGE_BYTES / 2)

enum { SHARED_NONE, SHARED_MADE, SHARED_ATTACHED };

/* Setup --------------------------------------------------------------- */

static size_t round_up(size_t bytes, size_t unit)
{
	return (bytes + unit - 1) & ~(unit - 1);
}

static size_t small_page(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

static int check_name(const char *name)
{
	size_t length = strlen(name);

	if (length < 2 || length >= sizeof(((struct mdfh_region *)0)->shared_name) ||
	    name[0] != '/' || strchr(name + 1, '/'))
		return mdfh_error(-EINVAL,
		    "memory: shared_name is '%.80s'; it must be '/' and 1 to 62 characters other "
		    "than '/'",
		    name);
	return 0;
}

static int check(const struct mdfh_region_config *config)
{
	size_t machine = (size_t)sysconf(_SC_PHYS_PAGES) * small_page();

	if (!config || config->size != sizeof(*config))
		return mdfh_error(-EINVAL, "memory: size is %zu; it must be %zu",
		    config ? config->size : 0, sizeof(*config));
	if (!config->bytes)
		return mdfh_error(-EINVAL, "memory: bytes is 0; it must be 1 or more");
	if (config->bytes > machine)
		return mdfh_error(-ENOMEM, "memory: bytes is %zu, but this machine has only %zu",
		    config->bytes, machine);
	if (config->hugepages > MDFH_OFF)
		return mdfh_error(-EINVAL,
		    "memory: hugepages is %u; it must be 0 (default), 1 (on) or 2 (off)",
		    (unsigned)config->hugepages);
	if (config->touch > MDFH_OFF)
		return mdfh_error(-EINVAL,
		    "memory: touch is %u; it must be 0 (default), 1 (on) or 2 (off)",
		    (unsigned)config->touch);
	if (config->numa_node < 0 ||
	    (config->numa_node &&
		(numa_available() < 0 || config->numa_node - 1 > numa_max_node())))
		return mdfh_error(-EINVAL,
		    "memory: numa_node is %d (node %d); it must be 0 (no preference) or node + 1, "
		    "where the highest node is %d",
		    config->numa_node, config->numa_node - 1,
		    numa_available() < 0 ? -1 : numa_max_node());
	if (config->shared_name && config->hugepages == MDFH_ON)
		return mdfh_error(-ENOTSUP,
		    "memory: %.64s: POSIX shared memory cannot use reserved hugepages; set "
		    "hugepages to default to ask for transparent ones",
		    config->shared_name);
	return config->shared_name ? check_name(config->shared_name) : 0;
}

static int map_reserved(const struct mdfh_region_config *config, struct mdfh_region *region)
{
	size_t bytes = round_up(config->bytes, HUGE_BYTES);
	void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);

	if (base == MAP_FAILED)
		return mdfh_error_errno(-errno,
		    "memory: %zu bytes need %zu hugepages of 2 MB, and fewer are free; raise "
		    "vm.nr_hugepages",
		    config->bytes, bytes / HUGE_BYTES);
	region->base = base;
	region->bytes = bytes;
	region->page_bytes = HUGE_BYTES;
	region->reserved_hugepages = 1;
	return 0;
}

static int map_ordinary(const struct mdfh_region_config *config, struct mdfh_region *region)
{
	int huge = config->hugepages == MDFH_DEFAULT && config->bytes >= HUGE_FROM;
	size_t bytes = round_up(config->bytes, huge ? HUGE_BYTES : small_page());
	/* A transparent hugepage must be aligned: map one more and give back the ends. */
	size_t whole = huge ? bytes + HUGE_BYTES : bytes;
	uint8_t *base =
	    mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		return mdfh_error_errno(-errno, "memory: map %zu bytes", bytes);
	if (huge) {
		size_t before = round_up((size_t)base, HUGE_BYTES) - (size_t)base;

		if (before)
			munmap(base, before);
		base += before;
		if (whole - before - bytes)
			munmap(base + bytes, whole - before - bytes);
		/* Fails where the kernel was built without: ordinary pages then. */
		(void)madvise(base, bytes, MADV_HUGEPAGE);
	} else {
		(void)madvise(base, bytes, MADV_NOHUGEPAGE);
	}
	region->base = base;
	region->bytes = bytes;
	region->page_bytes = small_page();
	return 0;
}

/* A descriptor of a new object that we hold the lock of. */
static int open_new(const char *name)
{
	struct stat st;
	int fd;

	for (int attempt = 0; attempt < 3; attempt++) {
		fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd >= 0) {
			/* Another process may have taken the object for a dead one between the
			 * two calls: then its name is gone, or it is locked. */
			if (flock(fd, LOCK_EX | LOCK_NB)) {
				int err = -errno;

				close(fd);
				if (err == -EWOULDBLOCK)
					continue;
				shm_unlink(name);
				return mdfh_error_errno(err, "memory: lock shared memory %s", name);
			}
			if (!fstat(fd, &st) && st.st_nlink)
				return fd;
			close(fd);
			continue;
		}
		if (errno != EEXIST)
			return mdfh_error_errno(-errno, "memory: create shared memory %s", name);
		fd = shm_open(name, O_RDWR | O_CLOEXEC, 0);
		if (fd < 0) {
			if (errno == ENOENT)
				continue;
			return mdfh_error_errno(-errno, "memory: open shared memory %s", name);
		}
		/* Its maker is gone if the lock is free. */
		if (!flock(fd, LOCK_EX | LOCK_NB))
			shm_unlink(name);
		else
			attempt = 3;
		close(fd);
	}
	return mdfh_error(-EEXIST,
	    "memory: shared memory %s is in use by another process; choose another name", name);
}

static int prefer_node(const struct mdfh_region *region, int node)
{
	struct bitmask *nodes = numa_allocate_nodemask();
	long rc;

	if (!nodes)
		return mdfh_error(-ENOMEM, "memory: no memory for a mask of nodes");
	numa_bitmask_setbit(nodes, (unsigned)node);
	rc = mbind(region->base, region->bytes, MPOL_PREFERRED, nodes->maskp, nodes->size + 1, 0);
	numa_free_nodemask(nodes);
	if (rc)
		return mdfh_error_errno(
		    -errno, "memory: prefer node %d for %zu bytes", node, region->bytes);
	return 0;
}

static int map_shared(const struct mdfh_region_config *config, struct mdfh_region *region)
{
	size_t bytes = round_up(config->bytes, small_page());
	void *base;
	int fd, err = 0;

	fd = open_new(config->shared_name);
	if (fd < 0)
		return fd;
	if (ftruncate(fd, (off_t)bytes)) {
		err = mdfh_error_errno(
		    -errno, "memory: shared memory %s: %zu bytes", config->shared_name, bytes);
		goto fail;
	}
	base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED) {
		err = mdfh_error_errno(-errno, "memory: map %zu bytes of shared memory %s", bytes,
		    config->shared_name);
		goto fail;
	}
	if (config->hugepages == MDFH_DEFAULT && bytes >= HUGE_FROM)
		(void)madvise(base, bytes, MADV_HUGEPAGE);
	region->base = base;
	region->bytes = bytes;
	region->page_bytes = small_page();
	if (config->numa_node)
		err = prefer_node(region, config->numa_node - 1);
	/* Takes the memory, so that a full /dev/shm is an error here and not a SIGBUS later; from
	 * the node that is preferred by now. */
	if (!err) {
		err = posix_fallocate(fd, 0, (off_t)bytes);
		if (err)
			err = mdfh_error_errno(-err, "memory: shared memory %s: %zu bytes",
			    config->shared_name, bytes);
	}
	if (err) {
		munmap(base, bytes);
		region->base = NULL;
		goto fail;
	}
	close(fd); /* the mapping keeps the lock */
	region->shared = SHARED_MADE;
	snprintf(region->shared_name, sizeof(region->shared_name), "%s", config->shared_name);
	return 0;

fail:
	shm_unlink(config->shared_name);
	close(fd);
	return err;
}

static int touch(const struct mdfh_region *region)
{
	volatile uint8_t *bytes = region->base; /* so that the stores are really made */

	if (!madvise(region->base, region->bytes, MADV_POPULATE_WRITE))
		return 0;
	if (errno != EINVAL)
		return mdfh_error_errno(
		    -errno, "memory: %zu bytes could not be taken", region->bytes);
	for (size_t at = 0; at < region->bytes; at += region->page_bytes)
		bytes[at] = 0;
	return 0;
}

static int node_of(void *address)
{
	int node = -1;

	if (numa_available() < 0 ||
	    get_mempolicy(&node, NULL, 0, address, MPOL_F_NODE | MPOL_F_ADDR))
		return -1;
	return node;
}

int mdfh_region_map(const struct mdfh_region_config *config, struct mdfh_region *region)
{
	int err;

	memset(region, 0, sizeof(*region));
	region->node = -1;
	err = check(config);
	if (err)
		return err;

	if (config->shared_name) {
		err = map_shared(config, region);
	} else {
		err = -ENOMEM;
		if (config->hugepages == MDFH_ON ||
		    (config->hugepages == MDFH_DEFAULT && config->bytes >= HUGE_FROM))
			err = map_reserved(config, region);
		if (err && config->hugepages != MDFH_ON)
			err = map_ordinary(config, region);
	}
	if (err)
		return err;

	if (config->numa_node && !config->shared_name)
		err = prefer_node(region, config->numa_node - 1);
	if (!err && config->touch != MDFH_OFF) {
		err = touch(region);
		if (!err)
			region->node = node_of(region->base);
	}
	if (err)
		mdfh_region_unmap(region);
	return err;
}

int mdfh_region_attach(const char *shared_name, struct mdfh_region *region)
{
	struct stat st;
	void *base;
	int fd, err;

	memset(region, 0, sizeof(*region));
	region->node = -1;
	if (!shared_name)
		return mdfh_error(-EINVAL, "memory: shared_name is NULL");
	err = check_name(shared_name);
	if (err)
		return err;
	fd = shm_open(shared_name, O_RDWR | O_CLOEXEC, 0);
	if (fd < 0)
		return mdfh_error_errno(-errno, "memory: open shared memory %s", shared_name);
	if (fstat(fd, &st)) {
		err = mdfh_error_errno(-errno, "memory: shared memory %s", shared_name);
		goto out;
	}
	if (!S_ISREG(st.st_mode) || st.st_size <= 0) {
		err = mdfh_error(-EPROTO,
		    "memory: shared memory %s has %lld bytes; its maker has not finished or it is "
		    "damaged",
		    shared_name, (long long)st.st_size);
		goto out;
	}
	base = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (base == MAP_FAILED) {
		err = mdfh_error_errno(-errno, "memory: map %lld bytes of shared memory %s",
		    (long long)st.st_size, shared_name);
		goto out;
	}
	region->base = base;
	region->bytes = (size_t)st.st_size;
	region->page_bytes = small_page();
	region->node = node_of(base);
	region->shared = SHARED_ATTACHED;
out:
	close(fd);
	return err;
}

void mdfh_region_unmap(struct mdfh_region *region)
{
	if (!region || !region->base)
		return;
	if (region->shared == SHARED_MADE)
		shm_unlink(region->shared_name);
	munmap(region->base, region->bytes);
	memset(region, 0, sizeof(*region));
}
