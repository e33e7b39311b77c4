/* conformance_trial.h - what the checks of the conformance suite share: a trial of one check, its
 * verdict, and receiving. */
#ifndef MDFH_NET_CONFORMANCE_TRIAL_H
#define MDFH_NET_CONFORMANCE_TRIAL_H

#include "mdfh/conformance.h"

enum {
	DATAGRAMS_MAX = 512,
	LENGTH_MAX = 4096,
	PATIENCE = 200, /* waits of WAIT_US without a packet before a check gives up */
	WAIT_US = 10000,
};

struct trial {
	const struct mdfh_conformance_feed *feed;
	struct mdfh_conformance_result *result;
	struct mdfh_bypass *port;
	struct mdfh_packet packets[DATAGRAMS_MAX];
	int held;
	uint64_t bytes; /* of the packets that came */
	uint64_t batches, empty;

	/* packets */
	int sent;
	struct mdfh_conformance_datagram datagrams[DATAGRAMS_MAX];
	uint8_t seen[DATAGRAMS_MAX];
	int64_t last_serial[MDFH_CONFORMANCE_FLOWS];

	/* streams: of the newest connection */
	uint64_t connection;           /* its number, as the server accepted it */
	int connected;                 /* by its mark */
	uint64_t at;                   /* bytes that came */
	uint64_t written;              /* bytes that the server wrote */
	uint64_t marks;                /* of all connections */
	uint64_t at_of[DATAGRAMS_MAX]; /* of each packet held: where it begins */

	uint8_t data[DATAGRAMS_MAX][LENGTH_MAX]; /* not cleared between checks */
};

struct conformance_check {
	const char *name, *what;
	int (*check)(struct trial *t); /* 0 = passed, else decided */
};

extern const struct conformance_check mdfh_conformance_packet_checks[];
extern const int mdfh_conformance_packet_count;
extern const struct conformance_check mdfh_conformance_stream_checks[];
extern const int mdfh_conformance_stream_count;

/* Run one check: 0, or -ENOMEM; the verdict is in result. */
int mdfh_conformance_check(const struct mdfh_conformance_feed *feed,
    const struct conformance_check *check, struct mdfh_conformance_result *result);

/* Verdicts ------------------------------------------------------------- */

void mdfh_trial_decide(struct trial *t, enum mdfh_conformance_verdict verdict, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

/* Both end the check: in a function that returns 0 for "go on". */
#define FAIL(...) return (mdfh_trial_decide(t, MDFH_CONFORMANCE_FAILED, __VA_ARGS__), -1)
#define NOT_APPLICABLE(...)                                                                        \
	return (mdfh_trial_decide(t, MDFH_CONFORMANCE_NOT_APPLICABLE, __VA_ARGS__), -1)

#define REQUIRE(condition, ...)                                                                    \
	do {                                                                                       \
		if (!(condition))                                                                  \
			FAIL(__VA_ARGS__);                                                         \
	} while (0)

#define TRY(expression)                                                                            \
	do {                                                                                       \
		if (expression)                                                                    \
			return -1;                                                                 \
	} while (0)

/* Shared by both profiles (conformance.c) -------------------------------- */

/* The port of the trial, with the sizes and switches of wanted. */
int mdfh_trial_open(struct trial *t, struct mdfh_bypass_config wanted, int with);
/* One receive call of up to n packets behind those that are held. */
int mdfh_trial_receive(struct trial *t, int n);
void mdfh_trial_release_all(struct trial *t);
int mdfh_trial_stats(struct trial *t, struct mdfh_bypass_stats *stats);
int mdfh_trial_descriptors(void); /* that this process has open */

static inline const struct mdfh_bypass_capabilities *can(const struct trial *t)
{
	return mdfh_bypass_capabilities(t->port);
}

/* Packets (conformance_packets.c): a payload with its number; receive, verify and hold until want more
 * packets are there; nothing more has come. */
void mdfh_trial_fill(uint8_t *data, uint32_t serial, uint32_t length);
int mdfh_trial_collect(struct trial *t, int want);
int mdfh_trial_expect_none(struct trial *t);

/* conformance_mixed.c */
int mdfh_check_mixed(struct trial *t);
int mdfh_check_vlans(struct trial *t);
int mdfh_check_unicast(struct trial *t);

int mdfh_check_capabilities(struct trial *t);
int mdfh_check_configuration(struct trial *t);
int mdfh_check_zero_copy(struct trial *t);
int mdfh_check_two_ports(struct trial *t);
int mdfh_check_receive_only(struct trial *t);

#endif
