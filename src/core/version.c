/* version.c - the version of the library in use. */
#include "mdfh/version.h"

const char *mdfh_version(void)
{
	return MDFH_VERSION;
}
