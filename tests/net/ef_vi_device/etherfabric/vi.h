/* etherfabric/vi.h - of the software device; see ef_vi.h. */
#ifndef EF_VI_DEVICE_VI_H
#define EF_VI_DEVICE_VI_H

#include <netinet/in.h>

#include <etherfabric/pd.h>

int ef_vi_alloc_from_pd(ef_vi *vi, ef_driver_handle handle, struct ef_pd *pd,
    ef_driver_handle pd_handle, int events, int receives, int sends, ef_vi *other,
    ef_driver_handle other_handle, enum ef_vi_flags flags);
int ef_vi_free(ef_vi *vi, ef_driver_handle handle);
int ef_vi_prime(ef_vi *vi, ef_driver_handle handle, unsigned current);

enum ef_filter_flags { EF_FILTER_FLAG_NONE = 0, EF_FILTER_FLAG_EXCLUSIVE_RXQ = 0x40 };
enum { EF_FILTER_VLAN_ID_ANY = -1 };

typedef struct ef_filter_spec {
	unsigned fields; /* EFDEV_* */
	unsigned flags;
	int vlan;
	uint8_t mac[6];
	uint8_t host[16], remote[16]; /* of IPv4 the first four bytes */
	uint16_t port, remote_port;   /* in network order */
} ef_filter_spec;

typedef struct ef_filter_cookie {
	uint64_t number;
} ef_filter_cookie;

void ef_filter_spec_init(ef_filter_spec *spec, enum ef_filter_flags flags);
int ef_filter_spec_set_ip4_local(ef_filter_spec *spec, int protocol, unsigned host, int port);
int ef_filter_spec_set_ip4_full(
    ef_filter_spec *spec, int protocol, unsigned host, int port, unsigned remote, int remote_port);
int ef_filter_spec_set_ip6_local(
    ef_filter_spec *spec, int protocol, const struct in6_addr *host, int port);
int ef_filter_spec_set_ip6_full(ef_filter_spec *spec, int protocol, const struct in6_addr *host,
    int port, const struct in6_addr *remote, int remote_port);
int ef_filter_spec_set_vlan(ef_filter_spec *spec, int vlan);
int ef_filter_spec_set_eth_local(ef_filter_spec *spec, int vlan, const void *mac);
int ef_filter_spec_set_block_kernel(ef_filter_spec *spec);
int ef_filter_spec_set_block_kernel_unicast(ef_filter_spec *spec);
int ef_filter_spec_set_block_kernel_multicast(ef_filter_spec *spec);
int ef_vi_filter_add(
    ef_vi *vi, ef_driver_handle handle, const ef_filter_spec *spec, ef_filter_cookie *cookie);
int ef_vi_filter_del(ef_vi *vi, ef_driver_handle handle, ef_filter_cookie *cookie);

typedef struct {
	char *evsfl_name;
	int evsfl_offset, evsfl_size;
} ef_vi_stats_field_layout;

typedef struct {
	int evsl_fields_num, evsl_data_size;
	ef_vi_stats_field_layout evsl_fields[];
} ef_vi_stats_layout;

int ef_vi_stats_query_layout(ef_vi *vi, const ef_vi_stats_layout **const layout);
int ef_vi_stats_query(ef_vi *vi, ef_driver_handle handle, void *data, int reset);

#endif
