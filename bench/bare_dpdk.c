/* bare_dpdk.c - see bare_dpdk.h. */
#include "bare_dpdk.h"

#include <errno.h>
#include <stdio.h>

#include "mdfh/error.h"

#ifdef MDFH_BENCH_DPDK
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

enum { DESCRIPTORS = 1024, MBUFS = 8191, CACHE = 256, BURST_MAX = 256, UDP_PORT = 36 };

static int is_open;
static volatile unsigned ports_seen; /* or the compiler would leave the look out */

int bare_dpdk_open(const char *device)
{
	char vdev[256];
	char *arguments[] = {"bench", "--no-huge", "--no-pci", "--no-shconf", "-m", "256", "-l",
	    "1", "--log-level", "error", "--no-telemetry", vdev};
	const struct rte_eth_conf config = {0};
	struct rte_mempool *pool;
	int rc;

	snprintf(vdev, sizeof(vdev), "--vdev=%s", device);
	if (rte_eal_init(sizeof(arguments) / sizeof(arguments[0]), arguments) < 0)
		return mdfh_error(-rte_errno, "EAL does not start with %s", vdev);
	pool = rte_pktmbuf_pool_create(
	    "bench", MBUFS, CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	if (!pool)
		return mdfh_error(-rte_errno, "no pool of %d packets", MBUFS);
	rc = rte_eth_dev_configure(0, 1, 1, &config);
	if (!rc)
		rc = rte_eth_rx_queue_setup(0, 0, DESCRIPTORS, (unsigned)SOCKET_ID_ANY, NULL, pool);
	if (!rc)
		rc = rte_eth_tx_queue_setup(0, 0, DESCRIPTORS, (unsigned)SOCKET_ID_ANY, NULL);
	if (!rc)
		rc = rte_eth_dev_start(0);
	if (rc)
		return mdfh_error(rc, "%s does not start", device);
	is_open = 1;
	return 0;
}

int bare_dpdk_receive(int n, int read)
{
	struct rte_mbuf *packets[BURST_MAX];
	uint16_t got = rte_eth_rx_burst(0, 0, packets, (uint16_t)n);

	for (uint16_t i = 0; read && i < got; i++)
		ports_seen += *rte_pktmbuf_mtod_offset(packets[i], const uint16_t *, UDP_PORT);
	if (got)
		rte_pktmbuf_free_bulk(packets, got);
	return got;
}

void bare_dpdk_close(void)
{
	if (!is_open)
		return;
	rte_eth_dev_stop(0);
	rte_eth_dev_close(0);
}
#else
int bare_dpdk_open(const char *device)
{
	return mdfh_error(-ENOTSUP, "%s: this build has no DPDK; install libdpdk-dev", device);
}

int bare_dpdk_receive(int n, int read)
{
	(void)n;
	(void)read;
	return 0;
}

void bare_dpdk_close(void)
{
}
#endif
