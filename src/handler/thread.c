/* thread.c - start a thread where it is to run, and stop it. */
#include "handler/thread.h"

#include <errno.h>
#include <semaphore.h>
#include <stdio.h>

#include "mdfh/cpu.h"
#include "mdfh/error.h"

struct start {
	struct mdfh_thread *thread;
	void (*run)(void *context);
	void *context;
	sem_t ready;
	int error;
	char text[512];
};

static void *enter(void *argument)
{
	struct start *start = argument;
	struct mdfh_thread *t = start->thread;
	void (*run)(void *context) = start->run;
	void *context = start->context;

	if (t->cpu_core)
		start->error = mdfh_cpu_pin(t->cpu_core - 1);
	if (start->error) {
		snprintf(start->text, sizeof(start->text), "%s", mdfh_error_text());
		atomic_store_explicit(&t->running, false, memory_order_release);
		sem_post(&start->ready);
		return NULL;
	}
	sem_post(&start->ready); /* start is gone from here on */
	run(context);
	atomic_store_explicit(&t->running, false, memory_order_release);
	return NULL;
}

int mdfh_thread_start(
    struct mdfh_thread *t, const char *what, void (*run)(void *context), void *context)
{
	struct start start = {.thread = t, .run = run, .context = context};
	int err;

	if (t->started)
		return mdfh_error(-EALREADY, "%s %s runs already", what, t->name);
	sem_init(&start.ready, 0, 0);
	atomic_store_explicit(&t->stop, false, memory_order_relaxed);
	atomic_store_explicit(&t->running, true, memory_order_relaxed);
	err = -pthread_create(&t->thread, NULL, enter, &start);
	if (err) {
		atomic_store_explicit(&t->running, false, memory_order_relaxed);
		sem_destroy(&start.ready);
		return mdfh_error_errno(err, "%s %s", what, t->name);
	}
	pthread_setname_np(t->thread, t->name);
	while (sem_wait(&start.ready) && errno == EINTR)
		;
	sem_destroy(&start.ready);
	if (start.error) {
		pthread_join(t->thread, NULL);
		return mdfh_error(start.error, "%s %s: %s", what, t->name, start.text);
	}
	t->started = 1;
	return 0;
}

int mdfh_thread_running(const struct mdfh_thread *t)
{
	return atomic_load_explicit(&t->running, memory_order_acquire);
}

int mdfh_thread_stop(struct mdfh_thread *t)
{
	if (!t->started)
		return 0;
	atomic_store_explicit(&t->stop, true, memory_order_relaxed);
	pthread_join(t->thread, NULL);
	t->started = 0;
	return 1;
}
