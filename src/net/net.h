/* net.h - what the backends and the public calls share inside this layer. */
#ifndef MDFH_NET_NET_H
#define MDFH_NET_NET_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "mdfh/backend.h"

/* Built-in backends; the table that names them stands in registry.c. */
extern const struct mdfh_bypass_ops mdfh_socket_ops;
extern const struct mdfh_bypass_ops mdfh_null_ops;
extern const struct mdfh_bypass_ops mdfh_pcap_ops;
extern const struct mdfh_bypass_ops mdfh_fault_ops;

/* A numeric address and port, of either family. */
struct mdfh_address {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_storage storage;
	};
	socklen_t length;
};

/* 1 if text is a numeric IPv4 or IPv6 address, which is then filled in, else 0. */
int mdfh_address_parse(const char *text, uint16_t port, struct mdfh_address *address);
void mdfh_address_text(const struct mdfh_address *address, char *text, size_t size); /* no port */
int mdfh_address_is_multicast(const struct mdfh_address *address);
int mdfh_address_is_unspecified(const struct mdfh_address *address);
/* Equal hosts; ports are not looked at. */
int mdfh_address_same_host(const struct mdfh_address *a, const struct mdfh_address *b);

/* "key=value,key=value": value of key into text (cut at size). 1, or 0 if the key is absent.
 * The syntax has been checked with the rest of the configuration. */
int mdfh_option_get(const char *options, const char *key, char *text, size_t size);
/* The same as a number: 0 and *value kept if the key is absent, -EINVAL if it is no number or out
 * of range. */
int mdfh_option_number(
    const char *options, const char *key, uint64_t min, uint64_t max, uint64_t *value);
/* The same as one of a NULL-terminated list of words: 0 and *value the word's place, kept if the key is
 * absent, -EINVAL if it is none of them. */
int mdfh_option_word(const char *options, const char *backend, const char *key,
    const char *const *words, int *value);
/* -EINVAL if options has a key that is not in the NULL-terminated list. */
int mdfh_option_known(const char *options, const char *backend, const char *const *keys);

/* Flags of a packet that is stamped by mdfh_clock_now_ns: TIME_APP, and CLOCK_SYNC if the host's clock is
 * in sync now. One system call: at open, and again at stats. */
uint16_t mdfh_app_time_flags(void);

/* Find a backend by name or absolute path. *library is to be given to mdfh_registry_drop(). */
int mdfh_registry_find(const char *name, const struct mdfh_bypass_ops **ops, void **library);
void mdfh_registry_drop(void *library);

/* 1 if a queue of an interface has room for one port of this backend; 0 if it has not, or there is
 * no such backend: open says so better. */
int mdfh_backend_is_exclusive(const char *name);

/* 1 if nothing can arrive through a network device; text then says why and what to do. 0 if it
 * works, or cannot be asked. */
int mdfh_interface_trouble(const char *interface, char *text, size_t size);

/* 1 and the name of the kernel's device for a VLAN of interface, which may be that device itself; 0 = there is
 * none. device has room for IFNAMSIZ. */
int mdfh_vlan_device(const char *interface, uint16_t vlan, char *device, size_t size);

/* Packets dropped by the kernel's queues ahead of the sockets, of all cores, since boot. open: a
 * descriptor, or negative where the kernel does not say. read: 1 and the total, or 0. */
int mdfh_kernel_drops_open(void);
int mdfh_kernel_drops_read(int fd, uint64_t *total);
uint64_t mdfh_kernel_drops_parse(const char *text); /* of /proc/net/softnet_stat */

/* What a counter of a device has grown by since it stood at `before`. It may have 32 bits only, and
 * wrap; one of a device that was reset counts from 0 again. Which of them it was is not to be seen:
 * a step of less than 2^28 over the end is taken for a wrap. That is more than a second's packets of
 * the shortest kind at 100 Gbit/s (149 million), and a reset is mistaken only where a counter stood
 * in the last sixteenth of its range. */
static inline uint64_t mdfh_counter_growth(uint64_t before, uint64_t now)
{
	uint32_t wrapped = (uint32_t)now - (uint32_t)before;

	if (now >= before)
		return now - before;
	return before <= UINT32_MAX && wrapped < 1u << 28 ? wrapped : now;
}

/* Have the NIC stamp every packet that it receives. fd is any socket; backend stands in sentences. */
int mdfh_hardware_stamps_start(int fd, const char *backend, const char *interface);

/* Once a socket has asked for stamps: wait until the kernel makes them as packets come in, a second at
 * most. 0, also where there is no loopback to see it by. */
int mdfh_kernel_stamps_wait(void);

#endif
