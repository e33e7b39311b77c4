/* own_namespace.h - a network namespace of this process's own, with nothing but loopback. */
#ifndef MDFH_TOOLS_OWN_NAMESPACE_H
#define MDFH_TOOLS_OWN_NAMESPACE_H

/* Go into one whose lo is up and does multicast. Before there is a second thread. 0, or a negative
 * error with its sentence. */
int own_namespace_enter(void);

#endif
