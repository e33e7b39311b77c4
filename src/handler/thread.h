/* thread.h - a thread of the handler: named, pinned, stopped. */
#ifndef MDFH_HANDLER_THREAD_H
#define MDFH_HANDLER_THREAD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "mdfh/handler.h"

struct mdfh_thread {
	char name[16];
	uint32_t cpu_core;   /* MDFH_CORE(n) or 0 */
	enum mdfh_idle idle; /* what it does without work */

	pthread_t thread;
	int started;
	_Alignas(MDFH_CACHE_LINE) atomic_bool stop; /* looked at by the thread at every turn */
	/* The thread's, at its end. The release store there pairs with the acquire load of
	 * mdfh_thread_running: a reader that sees 0 sees all that the thread did. */
	_Alignas(MDFH_CACHE_LINE) atomic_bool running;
};

/* what: "receive thread", for sentences. Returns when the thread has been pinned, or with the reason
 * why it could not be. run ends when stop is set, at the latest. */
int mdfh_thread_start(
    struct mdfh_thread *thread, const char *what, void (*run)(void *context), void *context);
int mdfh_thread_running(const struct mdfh_thread *thread);
/* Stop and join. 1, or 0 if it had not been started. */
int mdfh_thread_stop(struct mdfh_thread *thread);

/* Whether it is to spin without work. */
static inline int mdfh_thread_spins(const struct mdfh_thread *thread)
{
	return thread->idle == MDFH_IDLE_SPIN ||
	       (thread->idle == MDFH_IDLE_DEFAULT && thread->cpu_core != 0);
}

#endif
