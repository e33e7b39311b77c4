/* host_clock.c - adjtimex(2), read only. */
#include "core/host_clock.h"

#include <sys/timex.h>

int mdfh_host_clock_judge(int result, int status, long maxerror_us, uint32_t *error_ns)
{
	*error_ns = UINT32_MAX;
	/* While a leap second is being inserted or has just been (TIME_OOP, TIME_WAIT), the time is
	 * still what the daemon says; TIME_ERROR is no more than STA_UNSYNC or a lost pulse. */
	if (result < 0 || status & STA_UNSYNC || maxerror_us < 0 ||
	    maxerror_us >= UINT32_MAX / 1000)
		return 0;
	*error_ns = (uint32_t)maxerror_us * 1000;
	return 1;
}

int mdfh_host_clock_sync(uint32_t *error_ns)
{
	struct timex t = {0};
	int result = adjtimex(&t);

	return mdfh_host_clock_judge(result, t.status, t.maxerror, error_ns);
}
