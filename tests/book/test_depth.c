/* test_depth.c - depth snapshots: what is published is read, whole, by another thread and by
 * another process; what is no depth array is refused. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "mdfh/depth.h"
#include "mdfh/error.h"
#include "proto/op.h"

enum { ROUNDS = 20000, SCALE = 1000 };

struct fixture {
	struct mdfh_instruments *table;
	struct mdfh_books *books;
	struct mdfh_depth *depth;
	atomic_int done;
	uint64_t reads;
	uint64_t torn;
};

static void set_up(struct fixture *f, const char *name)
{
	struct mdfh_books_config books = {
	    .size = sizeof(books), .orders_max = 100, .levels_max = 100};
	struct mdfh_depth_config depth = {
	    .size = sizeof(depth), .instruments = 5, .levels = 3, .shared_name = name};
	uint32_t row;

	memset(f, 0, sizeof(*f));
	assert_int_equal(mdfh_instruments_create(4, &f->table), 0);
	row = mdfh_instruments_row(f->table, 0, 1);
	mdfh_instruments_at(f->table, row)->price_scale = SCALE;
	books.instruments = f->table;
	books.sound_at_start = MDFH_ON;
	assert_int_equal(mdfh_books_create(&books, &f->books), 0);
	assert_int_equal(mdfh_depth_create(&depth, &f->depth), 0);
}

static void tear_down(struct fixture *f)
{
	mdfh_depth_destroy(f->depth);
	mdfh_books_destroy(f->books);
	mdfh_instruments_destroy(f->table);
}

/* Levels whose prices and quantities all follow from n, so that a mixture shows. */
static void publish(struct fixture *f, uint64_t n)
{
	struct mdfh_op ops[7] = {{.kind = MDFH_OP_CLEAR, .instrument = 1}};
	int done;

	for (int i = 0; i < 6; i++)
		ops[1 + i] = (struct mdfh_op){
		    .kind = MDFH_OP_LEVEL,
		    .instrument = 1,
		    .side = (uint8_t)(1 + i % 2),
		    .price = (int64_t)n * 100 + (i % 2 ? 10 + i : -i),
		    .quantity64 = n + (uint64_t)i,
		    .quantity2 = (uint32_t)n,
		};
	assert_int_equal(mdfh_book_apply(f->books, ops, 7, NULL, 0, &done), 0);
	assert_int_equal(done, 7);
	assert_int_equal(mdfh_depth_publish(f->depth, f->books, 1, n, (int64_t)n * 3), 0);
}

static int is_whole(const struct mdfh_depth_view *v)
{
	uint64_t n = v->sequence;

	if (v->receive_ns != (int64_t)n * 3 || v->updates != n || v->bids != 3 || v->asks != 3 ||
	    !v->is_sound)
		return 0;
	for (int i = 0; i < 3; i++) {
		if (v->bid[i].price != ((int64_t)n * 100 - 2 * i) * SCALE ||
		    v->bid[i].quantity != n + 2 * (uint64_t)i || v->bid[i].orders != n ||
		    v->ask[i].price != ((int64_t)n * 100 + 11 + 2 * i) * SCALE ||
		    v->ask[i].quantity != n + 2 * (uint64_t)i + 1 || v->ask[i].orders != n)
			return 0;
	}
	return 1;
}

static void *read_all(void *argument)
{
	struct fixture *f = argument;
	struct mdfh_depth_view view;

	while (!atomic_load(&f->done)) {
		int result = mdfh_depth_read(f->depth, 1, &view);

		if (result == 1) {
			f->reads++;
			f->torn += !is_whole(&view);
		}
	}
	return NULL;
}

static void another_thread_reads_whole_entries(void **state)
{
	struct fixture f;
	struct mdfh_depth_view view;
	pthread_t thread;

	(void)state;
	set_up(&f, NULL);
	assert_int_equal(mdfh_depth_read(f.depth, 1, &view), 0);
	assert_int_equal(mdfh_depth_read(f.depth, 5, &view), -ERANGE);
	assert_int_equal(mdfh_depth_publish(f.depth, f.books, 5, 1, 1), -ERANGE);
	assert_int_equal(pthread_create(&thread, NULL, read_all, &f), 0);
	for (uint64_t n = 1; n <= ROUNDS; n++)
		publish(&f, n);
	atomic_store(&f.done, 1);
	pthread_join(thread, NULL);
	assert_int_equal(f.torn, 0);
	assert_int_equal(mdfh_depth_read(f.depth, 1, &view), 1);
	assert_int_equal(view.sequence, ROUNDS);
	assert_true(is_whole(&view));
	assert_int_equal(mdfh_depth_read(f.depth, 2, &view), 0);
	tear_down(&f);
}

static void another_process_reads(void **state)
{
	struct fixture f;
	char name[64];
	int status;
	pid_t pid;

	(void)state;
	snprintf(name, sizeof(name), "/mdfh-test-depth-%d", (int)getpid());
	set_up(&f, name);
	publish(&f, 1);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct mdfh_depth *depth;
		struct mdfh_depth_view view;
		int good = !mdfh_depth_attach(name, &depth) && mdfh_depth_instruments(depth) == 5 &&
			   mdfh_depth_levels(depth) == 3 && mdfh_depth_read(depth, 1, &view) == 1 &&
			   is_whole(&view);

		_exit(good ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	tear_down(&f);
}

static void what_is_no_depth_array_is_refused(void **state)
{
	struct mdfh_depth_config config = {.size = sizeof(config), .instruments = 1, .levels = 33};
	struct mdfh_depth *depth;
	char name[64];
	int fd;

	(void)state;
	assert_int_equal(mdfh_depth_create(&config, &depth), -EINVAL);
	assert_non_null(strstr(mdfh_error_text(), "levels is 33; it must be from 1 to 32"));
	config.levels = 0;
	config.instruments = 0;
	assert_int_equal(mdfh_depth_create(&config, &depth), -EINVAL);
	assert_int_equal(mdfh_depth_attach("/mdfh-test-depth-none", &depth), -ENOENT);
	assert_null(depth);

	snprintf(name, sizeof(name), "/mdfh-test-depth-bad-%d", (int)getpid());
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(mdfh_depth_attach(name, &depth), -EPROTO);
	assert_null(depth);
	close(fd);
	shm_unlink(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(another_thread_reads_whole_entries),
	    cmocka_unit_test(another_process_reads),
	    cmocka_unit_test(what_is_no_depth_array_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
