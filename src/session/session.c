/* session.c - session protocols by name, and the names of their errors. */
#include <string.h>

#include "session/protocols.h"

static const struct mdfh_session_ops *const protocols[] = {
    &mdfh_session_moldudp64,
    &mdfh_session_binaryfile,
    &mdfh_session_iextp,
    &mdfh_session_mdp3,
    &mdfh_session_soupbintcp,
};

const struct mdfh_session_ops *mdfh_session_find(const char *name)
{
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++) {
		if (!strcmp(protocols[i]->name, name))
			return protocols[i];
	}
	return NULL;
}

const char *mdfh_session_error_name(unsigned error)
{
	static const char *const names[] = {
	    [MDFH_SESSION_OK] = "ok",
	    [MDFH_SESSION_SHORT] = "short",
	    [MDFH_SESSION_VERSION] = "version",
	    [MDFH_SESSION_OVERRUN] = "overrun",
	    [MDFH_SESSION_COUNT] = "count",
	    [MDFH_SESSION_TRAILING] = "trailing",
	    [MDFH_SESSION_SEQUENCE] = "sequence",
	    [MDFH_SESSION_FOREIGN] = "foreign",
	};

	return error < MDFH_SESSION_ERRORS ? names[error] : "?";
}
