/* mdfh/cpu.h - which core a thread runs on, and which NUMA node things belong to. */
#ifndef MDFH_CPU_H
#define MDFH_CPU_H

#include "mdfh/base.h"

MDFH_BEGIN_DECLS

/* Pin the calling thread to one core. -EINVAL names the cores that this process may use. */
MDFH_API int mdfh_cpu_pin(unsigned core);
MDFH_API int mdfh_cpu_count(void);                       /* cores this process may use */
MDFH_API int mdfh_cpu_current(void);                     /* core the calling thread is on */
MDFH_API int mdfh_cpu_node(unsigned core);               /* NUMA node, -1 = unknown */
MDFH_API int mdfh_interface_node(const char *interface); /* of a network device, -1 = none */

MDFH_END_DECLS
#endif
