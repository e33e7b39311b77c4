/* bench.h - what the measurements of `mdfh bench` share. */
#ifndef MDFH_APPS_BENCH_H
#define MDFH_APPS_BENCH_H

#include <stddef.h>
#include <stdint.h>

/* A BinaryFILE mapped with its pages in place; its bytes have not been looked at. */
struct bench_file {
	const uint8_t *data;
	size_t size;
};

int bench_file_open(struct bench_file *file, const char *path);
void bench_file_close(struct bench_file *file);

/* Around the timed part: time and page faults. */
struct bench_timer {
	uint64_t start_ns;
	uint64_t start_faults;
	uint64_t ns;
	uint64_t faults;
};

void bench_start(struct bench_timer *timer);
void bench_stop(struct bench_timer *timer);

/* Print the line: {"bench":NAME,"messages":...,"ns_per_message":...,"memory_bytes":...,
 * "page_faults":...EXTRA}. extra is "" or more members, each beginning with a comma. */
void bench_print(
    const char *name, const struct bench_timer *timer, uint64_t messages, const char *extra);

/* One measurement each: FILE in, the line out; 0, or 2 (could not be done). */
int bench_decode(const char *path);
int bench_book(const char *path);
int bench_pipeline(const char *path);
int bench_cores(const char *path);

#endif
