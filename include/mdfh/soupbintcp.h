/* mdfh/soupbintcp.h - SoupBinTCP 3.00, both ends, as state machines over bytes.
 *
 * A connection carries logical packets (u16 big-endian length, type, payload). After a login the
 * server sends sequenced messages, whose numbers are implicit: the first has the number of the
 * login's answer, each one more. Both sides send heartbeats when they have nothing else to say.
 * After a broken connection the client logs in again with the session and the next number.
 *
 *     bytes -> feed -> next -> items          (read side)
 *     output -> bytes -> sent                 (write side)
 *
 * There are no sockets and no clock in here: bytes come and go by calls, cut anywhere, and time
 * (ns, any epoch; from a step back on, silence is counted anew) is an argument. Whoever owns the connection tells when it
 * was made and lost, and closes it when reason() says why.
 *
 * Threads: one at a time for an object. Memory: taken by create; nothing allocates afterwards.
 *          One packet that was cut is put together in a buffer of 65,537 bytes.
 * Errors:  what a peer sends wrong ends the connection with a named reason and is counted. Calls
 *          return 0 or more, or a negative errno with mdfh_error_text().
 * Cost:    a run of sequenced packets is handed out where it lies and costs a few ns each; one
 *          that straddles two feeds is copied once. */
#ifndef MDFH_SOUPBINTCP_H
#define MDFH_SOUPBINTCP_H

#include "mdfh/session.h"

MDFH_BEGIN_DECLS

enum {
	MDFH_SOUP_PACKET_MAX = 65537, /* bytes of the longest packet, its length included */
	MDFH_SOUP_MESSAGE_MAX = 65534,
	MDFH_SOUP_SESSION = 10, /* characters of a session, a user name, a password */
	MDFH_SOUP_USERNAME = 6,
	MDFH_SOUP_PASSWORD = 10,
	MDFH_SOUP_OUTPUT_MAX = 64 << 20,
	MDFH_SOUP_CLIENTS_MAX = 1024, /* of one server */
};

/* Why a connection is to be closed, or was lost. Counted by each side. */
enum mdfh_soup_reason {
	MDFH_SOUP_NONE = 0,
	/* The peer broke the protocol. */
	MDFH_SOUP_LENGTH,        /* a length of 0, or not that of the packet's type */
	MDFH_SOUP_TYPE,          /* an unknown packet type */
	MDFH_SOUP_STATE,         /* a type that may not come now, or not from that side */
	MDFH_SOUP_NUMBER,        /* a sequence number that is none, or cannot be */
	MDFH_SOUP_SESSION_OTHER, /* client: logged in to one not asked for, or that has ended */
	/* The rest is part of it. */
	MDFH_SOUP_NOT_AUTHORIZED, /* login refused (A) */
	MDFH_SOUP_NO_SESSION,     /* login refused (S): session not available */
	MDFH_SOUP_REFUSED,        /* login refused, with a reason that 3.00 does not know */
	MDFH_SOUP_LOGIN_TIMEOUT,  /* no login, or no answer to it, in time */
	MDFH_SOUP_SILENT,         /* nothing came from the peer for silence_ns */
	MDFH_SOUP_SLOW,           /* server: the client took nothing for stall_ns */
	MDFH_SOUP_ENDED,          /* end of session */
	MDFH_SOUP_LOGOUT,         /* the client logged out */
	MDFH_SOUP_LOST,           /* the connection went away by itself */
	MDFH_SOUP_REASONS,
};

/* "login refused: not authorized (A)" and the like; a sentence's part, never NULL. */
MDFH_API const char *mdfh_soup_reason_text(unsigned reason);
/* One word for tables: "not-authorized". */
MDFH_API const char *mdfh_soup_reason_name(unsigned reason);

/* What next hands out. */
enum mdfh_soup_item_kind {
	MDFH_SOUP_ITEM_DATA = 1,    /* client: sequenced messages, framed MDFH_FRAMING_SOUPBIN */
	MDFH_SOUP_ITEM_UNSEQUENCED, /* one message, bare */
	MDFH_SOUP_ITEM_LOGIN,       /* client: accepted, sequence is the next to come; server: a
	                             * client is in, sequence is where it begins */
	MDFH_SOUP_ITEM_HEARTBEAT,
	MDFH_SOUP_ITEM_END,    /* client: end of session, sequence will not come */
	MDFH_SOUP_ITEM_LOGOUT, /* server */
	MDFH_SOUP_ITEM_DEBUG,  /* free text, not terminated */
};

/* What next hands out. */
struct mdfh_soup_item {
	const uint8_t *data; /* valid until the next call of next, and while the fed bytes are */
	uint64_t sequence;   /* DATA: of the first message */
	uint32_t length;
	uint32_t messages;
	uint32_t kind; /* enum mdfh_soup_item_kind */
	uint32_t reserved;
};

/* Client -----------------------------------------------------------------------
 *
 *     mdfh_soup_client_connected(client, now);       sends the login
 *     send what mdfh_soup_client_output gives; mdfh_soup_client_sent(client, n, now)
 *     mdfh_soup_client_feed(client, bytes, n, now);
 *     while (mdfh_soup_client_next(client, &item)) ...
 *     mdfh_soup_client_poll(client, now) ten times a second or so
 *     if (mdfh_soup_client_reason(client)) close, wait for mdfh_soup_client_pause, connect again
 *
 * Logins after the first ask for the session that the server named, from the next number on. After
 * the end of a session, or when one that was not asked for by name is no longer there, the next
 * login asks for the current session from 1. */

/* Of a connection. */
enum mdfh_soup_state {
	MDFH_SOUP_DOWN = 0, /* no connection */
	MDFH_SOUP_LOGIN,    /* waiting for the answer to the login (server: for the login) */
	MDFH_SOUP_IN,       /* logged in */
	MDFH_SOUP_OVER,     /* end of session: the connection is of no more use */
	MDFH_SOUP_CLOSING,  /* to be closed: reason() says why */
};

/* "?" for what does not exist. */
MDFH_API const char *mdfh_soup_state_name(unsigned state);

/* Zero means "default" in every field but size. */
struct mdfh_soup_client_config {
	size_t size;
	const char *username; /* up to 6 characters; NULL = blank */
	const char *password; /* up to 10 characters; NULL = blank */
	const char *session;  /* up to 10 characters; NULL = the server's current one */
	uint64_t sequence;    /* of the first login; 0 = begin with the newest message */
	uint32_t run_max; /* most bytes of sequenced packets in one item, but for a longer packet;
	                       * 64..2^30; default 65536 */
	uint32_t output_bytes; /* room for what is to be sent; default 65,537 */
	uint64_t heartbeat_ns; /* silence of ours before a heartbeat; default 1 s */
	uint64_t silence_ns;   /* of the peer, before the connection counts as dead; default 15 s */
	uint64_t login_ns;     /* how long the answer to a login may take; default 15 s */
	uint64_t pause_ns;     /* least pause after a login that failed; default 1 s */
	uint64_t pause_max_ns; /* pauses double up to it; default 60 s */
};

/* 64-bit words only, so that a copy of it can be published word by word. */
struct mdfh_soup_client_stats {
	uint64_t state; /* enum mdfh_soup_state */
	uint64_t connections;
	uint64_t logins; /* sent */
	uint64_t accepted;
	uint64_t refused;
	uint64_t heartbeats_received;
	uint64_t heartbeats_sent;
	uint64_t sequenced;
	uint64_t unsequenced;
	uint64_t debugs;
	uint64_t straddled; /* packets that were put together out of two feeds or more */
	uint64_t ahead;  /* logins answered with a higher number than asked for: messages missed */
	uint64_t behind; /* ... with a lower one: messages repeated */
	uint64_t next_sequence; /* 0 = not known yet */
	uint64_t last_reason;   /* enum mdfh_soup_reason: why the newest connection ended */
	uint64_t given_up;      /* 1 = no more logins will be tried: see mdfh_soup_client_pause */
	uint64_t session[2];    /* text, zero-padded; '?' for what is not printable */
	uint64_t reasons[MDFH_SOUP_REASONS];
};

struct mdfh_soup_client;

/* -EINVAL names the field that is wrong (never the password). */
MDFH_API int mdfh_soup_client_create(
    const struct mdfh_soup_client_config *config, struct mdfh_soup_client **client);
MDFH_API void mdfh_soup_client_destroy(struct mdfh_soup_client *client);

/* Ask for this number at the next login: of a channel whose other line was ahead. 0 is ignored. */
MDFH_API void mdfh_soup_client_resume(struct mdfh_soup_client *client, uint64_t sequence);

/* A connection was made: the login goes out. */
MDFH_API void mdfh_soup_client_connected(struct mdfh_soup_client *client, int64_t now_ns);
/* What was cut is forgotten, and so is what had not been sent. */
MDFH_API void mdfh_soup_client_disconnected(struct mdfh_soup_client *client, int64_t now_ns);

/* Bytes of the connection. Call next until it returns 0 before the next feed. */
MDFH_API void mdfh_soup_client_feed(
    struct mdfh_soup_client *client, const uint8_t *data, uint32_t length, int64_t now_ns);
/* 1, or 0 when the bytes are used up. */
MDFH_API int mdfh_soup_client_next(struct mdfh_soup_client *client, struct mdfh_soup_item *item);
/* What a channel needs of an item: 1 and a unit for mdfh_channel_push_unit, or 0. */
MDFH_API int mdfh_soup_client_unit(const struct mdfh_soup_client *client,
    const struct mdfh_soup_item *item, struct mdfh_unit *unit);

/* Let time pass: heartbeats, a login or a peer that takes too long. */
MDFH_API void mdfh_soup_client_poll(struct mdfh_soup_client *client, int64_t now_ns);

/* Whole packets that are to be sent; 0 = none. They stay until sent says how many bytes went. */
MDFH_API uint32_t mdfh_soup_client_output(
    const struct mdfh_soup_client *client, const uint8_t **data);
MDFH_API void mdfh_soup_client_sent(
    struct mdfh_soup_client *client, uint32_t bytes, int64_t now_ns);

/* One unsequenced message. 0, -ENOTCONN (not logged in), -EMSGSIZE, -EAGAIN (no room now). */
MDFH_API int mdfh_soup_client_send(
    struct mdfh_soup_client *client, const uint8_t *message, uint32_t length);
/* Ask the server to end the connection. 0, -ENOTCONN or -EAGAIN. */
MDFH_API int mdfh_soup_client_logout(struct mdfh_soup_client *client);

/* MDFH_SOUP_NONE, or why the connection is to be closed now. */
MDFH_API enum mdfh_soup_reason mdfh_soup_client_reason(const struct mdfh_soup_client *client);
/* How long to wait before the next connection: 0 after a login that had been good, else doubled
 * from pause_ns on with each failure. UINT64_MAX = never: a login that was refused for its user
 * or password would be refused again, and exchanges lock accounts. */
MDFH_API uint64_t mdfh_soup_client_pause(const struct mdfh_soup_client *client);

/* Owned by the client. */
MDFH_API const struct mdfh_soup_client_stats *mdfh_soup_client_stats(
    const struct mdfh_soup_client *client);

/* Server ---------------------------------------------------------------------------
 *
 * One session, many clients. The server keeps no messages: whoever does writes to each client the
 * number that it wants, as far as there is room.
 *
 *     c = mdfh_soup_server_connected(server, now);
 *     mdfh_soup_server_feed(server, c, bytes, n, now);
 *     while (mdfh_soup_server_next(server, c, &item)) ...
 *     while ((number = mdfh_soup_server_wanted(server, c)) &&
 *            mdfh_soup_server_write(server, c, message[number], its length) == 0) ...
 *     send what mdfh_soup_server_output gives; mdfh_soup_server_sent(...)
 *     mdfh_soup_server_poll(server, c, now)
 *     if (mdfh_soup_server_reason(server, c) && there is no output, or it cannot be sent)
 *             close; mdfh_soup_server_disconnected(server, c) */

/* Zero means "default" everywhere but in size and session. */
struct mdfh_soup_server_config {
	size_t size;
	const char *session;   /* 1 to 10 characters, no spaces at its ends */
	const char *username;  /* NULL = any; compared without case, as passwords are */
	const char *password;  /* NULL = any */
	uint32_t clients_max;  /* 1..1024; default 16 */
	uint32_t output_bytes; /* room for what a client has not taken yet; default 256 KiB */
	uint64_t heartbeat_ns; /* default 1 s */
	uint64_t silence_ns;   /* default 15 s */
	uint64_t login_ns;     /* a connection without a login; default 30 s */
	uint64_t stall_ns;     /* a client that takes nothing of its output; default 15 s */
};

/* Since create, of all clients together. */
struct mdfh_soup_server_stats {
	uint64_t connections;
	uint64_t rejected; /* connections beyond clients_max */
	uint64_t accepted; /* logins */
	uint64_t refused;
	uint64_t sequenced; /* written, all clients together */
	uint64_t unsequenced_received;
	uint64_t unsequenced_sent;
	uint64_t heartbeats_received;
	uint64_t heartbeats_sent;
	uint64_t ends; /* ends of session sent */
	uint64_t reasons[MDFH_SOUP_REASONS];
};

struct mdfh_soup_server;

/* -EINVAL names the field that is wrong (never the password). destroy: NULL is allowed. */
MDFH_API int mdfh_soup_server_create(
    const struct mdfh_soup_server_config *config, struct mdfh_soup_server **server);
MDFH_API void mdfh_soup_server_destroy(struct mdfh_soup_server *server);

/* Numbers below next exist: they can be asked for. Starts at 1, never falls. */
MDFH_API void mdfh_soup_server_publish(struct mdfh_soup_server *server, uint64_t next);
/* Nothing more will be published. Each client gets the end of session behind its last message.
 * Who comes back for the rest of it still gets in. */
MDFH_API void mdfh_soup_server_end(struct mdfh_soup_server *server);

/* The new client's number, or -EBUSY: clients_max are there. */
MDFH_API int mdfh_soup_server_connected(struct mdfh_soup_server *server, int64_t now_ns);
/* The number is free again. */
MDFH_API void mdfh_soup_server_disconnected(struct mdfh_soup_server *server, unsigned client);

/* As the client's. A login asks for a session (blank = this one) and a number: 0 = begin with the
 * newest message, higher than there is = the next to come. */
MDFH_API void mdfh_soup_server_feed(struct mdfh_soup_server *server, unsigned client,
    const uint8_t *data, uint32_t length, int64_t now_ns);
MDFH_API int mdfh_soup_server_next(
    struct mdfh_soup_server *server, unsigned client, struct mdfh_soup_item *item);

/* The number that the client is to be given next; 0 = none now. */
MDFH_API uint64_t mdfh_soup_server_wanted(const struct mdfh_soup_server *server, unsigned client);
/* Bytes of the longest message that write takes now; 0 = not even an empty one. */
MDFH_API uint32_t mdfh_soup_server_room(const struct mdfh_soup_server *server, unsigned client);
/* The wanted message. 0, -EAGAIN (no room, or none is wanted), -EMSGSIZE. */
MDFH_API int mdfh_soup_server_write(
    struct mdfh_soup_server *server, unsigned client, const uint8_t *message, uint32_t length);
/* An unsequenced one. 0, -ENOTCONN, -EAGAIN, -EMSGSIZE. */
MDFH_API int mdfh_soup_server_send(
    struct mdfh_soup_server *server, unsigned client, const uint8_t *message, uint32_t length);

/* Let time pass for a client: heartbeats, silence, a login that does not come. */
MDFH_API void mdfh_soup_server_poll(
    struct mdfh_soup_server *server, unsigned client, int64_t now_ns);

/* Bytes to be sent, as they lie; 0 = none. Unlike the client's they may begin inside a packet. */
MDFH_API uint32_t mdfh_soup_server_output(
    const struct mdfh_soup_server *server, unsigned client, const uint8_t **data);
MDFH_API void mdfh_soup_server_sent(
    struct mdfh_soup_server *server, unsigned client, uint32_t bytes, int64_t now_ns);

/* Why the connection is to be closed once its output has been sent; MDFH_SOUP_NONE = it is not. */
MDFH_API enum mdfh_soup_reason mdfh_soup_server_reason(
    const struct mdfh_soup_server *server, unsigned client);
MDFH_API enum mdfh_soup_state mdfh_soup_server_state(
    const struct mdfh_soup_server *server, unsigned client);

/* Owned by the server. */
MDFH_API const struct mdfh_soup_server_stats *mdfh_soup_server_stats(
    const struct mdfh_soup_server *server);

MDFH_END_DECLS
#endif
