/* module.c - a small backend as a module, built once well and once for each way to be refused.
 * Gives one packet of five bytes per recv, and links to nothing of mdfh. */
#include <errno.h>
#include <stdlib.h>

#include "mdfh/backend.h"

/* What MODULE, from the command line, may be. */
#define MODULE_GOOD        0
#define MODULE_WRONG_ABI   1
#define MODULE_NO_SYMBOL   2
#define MODULE_SHORT_OPS   3 /* a table of an earlier version */
#define MODULE_NO_RECV     4 /* a table with a hole */
#define MODULE_LIES        5 /* says that its symbol is larger than it is */
#define MODULE_STUB        6 /* a symbol of four bytes */
#define MODULE_REFUSES     7 /* its load function fails */
#define MODULE_UNAVAILABLE 8 /* its probe fails */

static const struct mdfh_backend_host *host;

static int module_load(const struct mdfh_backend_host *given)
{
	host = given;
	if (MODULE == MODULE_REFUSES)
		return host->error(-ENODEV, "module: there is no device %d", 7);
	return 0;
}

static int module_probe(void)
{
	return MODULE == MODULE_UNAVAILABLE ? host->error(-ENODEV, "module: no device here") : 0;
}

static int module_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	if (config->backend_options)
		return host->error(-EINVAL, "module: it has no options");
	*port = calloc(1, sizeof(**port));
	if (!*port)
		return host->error(-ENOMEM, "module: memory");
	(*port)->capabilities = (struct mdfh_bypass_capabilities){
	    .size = sizeof((*port)->capabilities), .poll_fd = -1, .warning = "", .copy_reason = ""};
	return 0;
}

static int module_recv(struct mdfh_bypass *port, struct mdfh_packet *packets, int n)
{
	(void)n;
	packets[0] = (struct mdfh_packet){.data = (const uint8_t *)"hello",
	    .length = 5,
	    .receive_ns = host->clock_ns(),
	    .flags = MDFH_PACKET_TIME_APP};
	port->stats.rx_packets++;
	return 1;
}

static void module_release(struct mdfh_bypass *port, const struct mdfh_packet *packets, int n)
{
	(void)port;
	(void)packets;
	(void)n;
}

static int module_counters(struct mdfh_bypass *port, struct mdfh_bypass_counter *counters, int max)
{
	if (max > 0)
		counters[0] = (struct mdfh_bypass_counter){"packets made", port->stats.rx_packets};
	return 1;
}

static void module_close(struct mdfh_bypass *port)
{
	free(port);
}

static const struct mdfh_bypass_ops ops = {
    .size = MODULE == MODULE_SHORT_OPS ? sizeof(ops) - 8 : sizeof(ops),
    .name = "test module",
    .description = "one packet a call",
    .probe = module_probe,
    .open = module_open,
    .recv = MODULE == MODULE_NO_RECV ? NULL : module_recv,
    .release = module_release,
    .close = module_close,
    .counters = module_counters,
    .is_exclusive = 1,
};

#if MODULE == MODULE_STUB
extern const uint32_t mdfh_backend_module;
MDFH_API const uint32_t mdfh_backend_module = MDFH_BACKEND_ABI;
/* Keep the rest in use. */
extern const struct mdfh_backend_module module_rest;
const struct mdfh_backend_module module_rest = {.ops = &ops, .load = module_load};
#else
#if MODULE == MODULE_NO_SYMBOL
#define EXPORT
#else
#define EXPORT MDFH_API
#endif
extern const struct mdfh_backend_module mdfh_backend_module;
EXPORT const struct mdfh_backend_module mdfh_backend_module = {
    .abi = MODULE == MODULE_WRONG_ABI ? MDFH_BACKEND_ABI + 41 : MDFH_BACKEND_ABI,
    .size = sizeof(mdfh_backend_module) + (MODULE == MODULE_LIES ? 64 : 0),
    .ops = &ops,
    .load = module_load,
};
#endif
