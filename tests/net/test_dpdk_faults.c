/* test_dpdk_faults.c - make the calls of opening a port of backend dpdk fail in turn. EAL runs already:
 * it can be started once in a process. */
#include <errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "fault/faults.h"
#include "mdfh/clock.h"
#include "net/module_test.h"

/* clang-format off */
#define WRAP(name, parameters, arguments)                                                          \
	extern int __real_##name parameters;                                                       \
	extern int __wrap_##name parameters;                                                       \
	int __wrap_##name parameters                                                               \
	{                                                                                          \
		return faults_strike(#name) ? -ENOMEM : __real_##name arguments;                   \
	}

WRAP(rte_dev_probe, (const char *text), (text))
WRAP(rte_eth_dev_info_get, (uint16_t id, struct rte_eth_dev_info *info), (id, info))
WRAP(rte_eth_dev_configure,
    (uint16_t id, uint16_t rx, uint16_t tx, const struct rte_eth_conf *conf), (id, rx, tx, conf))
WRAP(rte_eth_dev_adjust_nb_rx_tx_desc, (uint16_t id, uint16_t *rx, uint16_t *tx), (id, rx, tx))
WRAP(rte_eth_rx_queue_setup,
    (uint16_t id, uint16_t queue, uint16_t n, unsigned node, const struct rte_eth_rxconf *conf,
	struct rte_mempool *pool),
    (id, queue, n, node, conf, pool))
WRAP(rte_eth_tx_queue_setup,
    (uint16_t id, uint16_t queue, uint16_t n, unsigned node, const struct rte_eth_txconf *conf),
    (id, queue, n, node, conf))
WRAP(rte_eth_dev_start, (uint16_t id), (id))
/* clang-format on */

struct rte_mempool *__real_rte_pktmbuf_pool_create(
    const char *name, unsigned n, unsigned cache, uint16_t own, uint16_t room, int node);
struct rte_mempool *__wrap_rte_pktmbuf_pool_create(
    const char *name, unsigned n, unsigned cache, uint16_t own, uint16_t room, int node);
struct rte_mempool *__wrap_rte_pktmbuf_pool_create(
    const char *name, unsigned n, unsigned cache, uint16_t own, uint16_t room, int node)
{
	return faults_strike("rte_pktmbuf_pool_create")
		   ? NULL
		   : __real_rte_pktmbuf_pool_create(name, n, cache, own, room, node);
}

static int open_it(void *context, void **opened)
{
	struct mdfh_bypass *port;
	int rc = module_open(context, &port);

	*opened = port;
	return rc;
}

static void close_it(void *opened)
{
	mdfh_bypass_close(opened);
}

static void fails_to_open(void **state)
{
	static const struct mdfh_flow flows[] = {
	    {.group = "239.1.1.1", .port = 5000}, {.group = "ff15::1", .port = 5001}};
	const struct mdfh_bypass_config config = {.size = sizeof(config),
	    .interface = "net_ring0",
	    .hugepages = MDFH_OFF,
	    .rx_ring_size = 256,
	    .backend_options = "queues=2",
	    .flows = flows,
	    .flow_count = 2};
	void *port;

	(void)state;
	/* EAL, and all that DPDK allocates once. */
	assert_ok(open_it((void *)(uintptr_t)&config, &port));
	close_it(port);
	faults_each(&(const struct faults_case){.name = "two queues",
	    .open = open_it,
	    .close = close_it,
	    .context = (void *)(uintptr_t)&config,
	    .spared = " fopen64 dlopen ", /* how many hugepages are free; libraries that print */
	    .least = 16});
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(fails_to_open)};

	return mdfh_clock_start() ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
