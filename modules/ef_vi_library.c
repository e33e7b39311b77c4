/* ef_vi_library.c - Onload's library, loaded when it is needed, and only in the version that the module
 * was built for: the headers lay the library's structures open, and they differ from version to version. */
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "mdfh/error.h"
#include "modules/ef_vi.h"

#ifndef MDFH_EF_VI_VERSION
#include <onload/onload_version.h>
#define MDFH_EF_VI_VERSION ONLOAD_VERSION
#endif

#define LIBRARY "libciul.so.1"

static const struct {
	const char *name;
	size_t offset;
	int may_lack;
} symbols[] = {
#define SYMBOL(member, symbol)                                                                     \
	{                                                                                          \
		symbol, offsetof(struct efvi_api, member), 0                                       \
	}
    SYMBOL(version_str, "ef_vi_version_str"),
    SYMBOL(driver_open, "ef_driver_open"),
    SYMBOL(driver_close, "ef_driver_close"),
    SYMBOL(pd_alloc, "ef_pd_alloc"),
    SYMBOL(pd_free, "ef_pd_free"),
    SYMBOL(vi_alloc, "ef_vi_alloc_from_pd"),
    SYMBOL(vi_free, "ef_vi_free"),
    SYMBOL(prime, "ef_vi_prime"),
    SYMBOL(memreg_alloc, "ef_memreg_alloc"),
    SYMBOL(memreg_free, "ef_memreg_free"),
    SYMBOL(unbundle, "ef_vi_receive_unbundle"),
    SYMBOL(get_bytes, "ef_vi_receive_get_bytes"),
    SYMBOL(next_id, "ef_vi_rxq_next_desc_id"),
    SYMBOL(reference_get, "efct_vi_rxpkt_get"),
    SYMBOL(reference_release, "efct_vi_rxpkt_release"),
    SYMBOL(get_discard_flags, "ef_vi_receive_get_discard_flags"),
    SYMBOL(get_time, "ef_vi_receive_get_timestamp_with_sync_flags"),
    SYMBOL(filter_init, "ef_filter_spec_init"),
    SYMBOL(filter_ip4_local, "ef_filter_spec_set_ip4_local"),
    SYMBOL(filter_ip4_full, "ef_filter_spec_set_ip4_full"),
    SYMBOL(filter_ip6_local, "ef_filter_spec_set_ip6_local"),
    SYMBOL(filter_ip6_full, "ef_filter_spec_set_ip6_full"),
    SYMBOL(filter_vlan, "ef_filter_spec_set_vlan"),
    SYMBOL(filter_mac, "ef_filter_spec_set_eth_local"),
    SYMBOL(filter_block, "ef_filter_spec_set_block_kernel"),
    SYMBOL(filter_block_unicast, "ef_filter_spec_set_block_kernel_unicast"),
    SYMBOL(filter_block_multicast, "ef_filter_spec_set_block_kernel_multicast"),
    SYMBOL(filter_add, "ef_vi_filter_add"),
    SYMBOL(filter_delete, "ef_vi_filter_del"),
    SYMBOL(stats_layout, "ef_vi_stats_query_layout"),
    SYMBOL(stats_query, "ef_vi_stats_query"),
    SYMBOL(capabilities_get, "ef_vi_capabilities_get"),
    {"efct_vi_rxpkt_get_timestamp", offsetof(struct efvi_api, reference_get_time), 1},
#undef SYMBOL
};

static int find_symbols(struct efvi_api *api, const char *path)
{
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		void *found = dlsym(api->handle, symbols[i].name);

		if (!found && !symbols[i].may_lack)
			return mdfh_error(-ENOTSUP,
			    "ef_vi: %s has no function %s; the module was built for that of Onload "
			    "%s: install it, or build mdfh against the headers of the one that is "
			    "there",
			    path, symbols[i].name, MDFH_EF_VI_VERSION);
		memcpy((char *)api + symbols[i].offset, &found, sizeof(found));
	}
	return 0;
}

int mdfh_efvi_library_open(struct efvi_api *api, const char *path)
{
	const char *name = *path ? path : LIBRARY;
	const char *why;
	int rc;

	api->handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (!api->handle) {
		why = dlerror();
		return mdfh_error(-ENOTSUP,
		    "ef_vi: %s; install Onload %s, or name its library (option library)",
		    why ? why : name, MDFH_EF_VI_VERSION);
	}
	rc = find_symbols(api, name);
	if (!rc && strcmp(api->version_str(), MDFH_EF_VI_VERSION) != 0)
		rc = mdfh_error(-ENOTSUP,
		    "ef_vi: %s is of Onload %s, and the module was built for %s; build mdfh "
		    "against the headers of the former",
		    name, api->version_str(), MDFH_EF_VI_VERSION);
	if (rc)
		mdfh_efvi_library_close(api);
	return rc;
}

void mdfh_efvi_library_close(struct efvi_api *api)
{
	if (api->handle)
		dlclose(api->handle);
	*api = (struct efvi_api){0};
}

int mdfh_efvi_driver_refused(int error)
{
	mdfh_error_errno(error, "ef_vi: the driver of Onload, /dev/sfc_char");
	switch (error) {
	case -ENOENT:
	case -ENODEV:
	case -ENXIO:
		return mdfh_error(error,
		    "%s; load it (`modprobe sfc_char`), it comes with Onload's kernel modules",
		    mdfh_error_text());
	case -EACCES:
	case -EPERM:
		return mdfh_error(error,
		    "%s; give this user the right to read and write it (a udev rule)",
		    mdfh_error_text());
	default:
		return error;
	}
}
