/* load.h - the share of its time that a thread is at work, by the cycle counter.
 *
 * A turn that found nothing costs no look at the counter. A turn that found something costs one, at
 * its end, and the first one after a turn in vain another at its begin: between turns with work there
 * is no other time. What such a first turn spent on asking counts as idle,
 * unless the thread had waited in the kernel and was woken. */
#ifndef MDFH_HANDLER_LOAD_H
#define MDFH_HANDLER_LOAD_H

#include "mdfh/clock.h"

struct mdfh_load {
	uint64_t busy; /* ticks */
	uint64_t run;
	uint64_t mark; /* end of the last turn with work; 0 = the last turn was in vain */
	uint64_t from; /* where run was last brought up to date; 0 = the thread does not run */
	uint64_t busy_before;
	uint64_t peak_ppm; /* busiest stretch between two mdfh_load_publish, millionths */
};

struct mdfh_load_words {
	uint64_t busy_ns;
	uint64_t run_ns;
	uint64_t peak_ppm;
};

static inline void mdfh_load_start(struct mdfh_load *load)
{
	load->from = mdfh_clock_ticks();
	load->mark = 0;
	load->busy_before = load->busy;
}

static inline void mdfh_load_idle(struct mdfh_load *load)
{
	load->mark = 0;
}

static inline void mdfh_load_work(struct mdfh_load *load)
{
	if (!load->mark)
		load->mark = mdfh_clock_ticks();
}

static inline void mdfh_load_worked(struct mdfh_load *load)
{
	uint64_t now = mdfh_clock_ticks();

	load->busy += now - load->mark;
	load->mark = now;
}

/* The state for others. Of a stretch that is too short to say something there is no peak. */
static inline struct mdfh_load_words mdfh_load_publish(struct mdfh_load *load)
{
	enum { LEAST_NS = 50000000 };
	uint64_t now = load->from ? mdfh_clock_ticks() : 0;
	uint64_t passed = now - load->from;

	load->run += passed;
	load->from = now;
	if (passed && mdfh_clock_ticks_to_ns(passed) >= LEAST_NS) {
		uint64_t ppm = (load->busy - load->busy_before) * 1000000 / passed;

		/* The turn that this is done in counts in the next stretch. */
		if (ppm > 1000000)
			ppm = 1000000;
		load->peak_ppm = ppm > load->peak_ppm ? ppm : load->peak_ppm;
	}
	load->busy_before = load->busy;
	return (struct mdfh_load_words){
	    .busy_ns = mdfh_clock_ticks_to_ns(load->busy),
	    .run_ns = mdfh_clock_ticks_to_ns(load->run),
	    .peak_ppm = load->peak_ppm,
	};
}

static inline void mdfh_load_stop(struct mdfh_load *load)
{
	(void)mdfh_load_publish(load);
	load->from = 0;
}

#endif
