/* module.h - what the modules of this folder share.
 *
 * Such a module is written like a built-in backend: it calls mdfh_error(), mdfh_region_map() and so
 * on by their names. host.c gives it these names, and passes the calls on to the program that
 * loaded the module, which alone has the state behind them (the error sentence, the clock, what is
 * mapped). All else that a module uses of src/ is linked into it from the static library; module.map
 * keeps everything but the module's one symbol out of sight. */
#ifndef MDFH_MODULES_MODULE_H
#define MDFH_MODULES_MODULE_H

#include "mdfh/backend.h"

/* For the load field of struct mdfh_backend_module. */
int mdfh_module_load(const struct mdfh_backend_host *host);

#endif
