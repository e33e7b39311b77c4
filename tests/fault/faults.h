/* faults.h - make the 1st, 2nd, 3rd ... allocation or system call of something fail, until none is
 * left to fail, and see what stays behind.
 *
 * The calls are interposed at link time (--wrap, the list stands in meson.build), so the code under
 * test is the code that ships; and only its own calls are: those inside of libpcap, libcyaml, zlib
 * and the C library are made by them and are theirs to test. */
#ifndef MDFH_TESTS_FAULTS_H
#define MDFH_TESTS_FAULTS_H

/* The nth call from now on fails, once; 0 = none does. */
void faults_arm(int nth);
/* For calls that a test interposes itself: 1 if this one is to fail. */
int faults_strike(const char *name);
/* The name of the call that failed since faults_arm, NULL = there were not so many. */
const char *faults_fired(void);

/* From here on allocations, mappings, descriptors, threads and names in shared memory count. */
void faults_mark(void);
/* What there is more of than at the mark, in words; NULL = nothing. */
const char *faults_left(void);

/* A name for shared memory that counts as this process's; valid until the next call. */
const char *faults_shared(const char *name);

/* What is opened, and how it is closed. Returns 0 or a negative errno value as the library does. */
struct faults_case {
	const char *name;
	int (*open)(void *context, void **opened);
	void (*close)(void *opened);
	void *context;
	/* Calls that it can do without, " name name ": it then succeeds. All others must be reported. */
	const char *spared;
	int least; /* calls that there must be at least, lest nothing be tested */
};

/* Each call fails in turn: a negative result, a sentence, nothing handed out, nothing left. Fails the
 * cmocka test that runs. Returns how many calls there were. */
int faults_each(const struct faults_case *c);

#endif
