/* text_out.h - numbers as people read them.
 *
 * Each call's text has its own place, which later calls of the same thread use again: good for the
 * sixteen calls that one printf may need. */
#ifndef MDFH_APPS_TEXT_OUT_H
#define MDFH_APPS_TEXT_OUT_H

#include <stdint.h>

const char *text_grouped(uint64_t value); /* 1234567 as "1,234,567" */
const char *text_duration(uint64_t ns);   /* "950 ns", "12.3 us", "1954.0 ms" */

#endif
