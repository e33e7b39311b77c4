/* module_test.h - a module's own sources linked into a test, because the calls of a module that is loaded
 * cannot be wrapped. One file of the program includes this. */
#ifndef MDFH_TESTS_MODULE_TEST_H
#define MDFH_TESTS_MODULE_TEST_H

#include "modules/module.h"
#include "net/net_test.h"

extern const struct mdfh_backend_module mdfh_backend_module;

/* In place of modules/host.c: the program has what the module calls. */
int mdfh_module_load(const struct mdfh_backend_host *host)
{
	(void)host;
	return 0;
}

/* As mdfh_bypass_open does it, as far as the module goes. On failure *port is NULL. */
static inline int module_open(const struct mdfh_bypass_config *config, struct mdfh_bypass **port)
{
	struct mdfh_bypass_config filled;
	int rc;

	*port = NULL;
	assert_ok(mdfh_bypass_config_defaults(config, &filled));
	rc = mdfh_backend_module.ops->open(&filled, port);
	if (*port)
		(*port)->ops = mdfh_backend_module.ops;
	return rc;
}

#endif
