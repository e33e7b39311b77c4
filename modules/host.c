/* host.c - functions of mdfh that a module calls and its host carries out.
 *
 * A source of the static library that defines one of these names too cannot slip into a module by
 * mistake: the linker would find the name twice. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "mdfh/clock.h"
#include "mdfh/cpu.h"
#include "mdfh/error.h"
#include "mdfh/memory.h"
#include "modules/module.h"

#undef mdfh_error /* defined for the static analyzer only */
#undef mdfh_error_errno

enum { SENTENCE_MAX = 512 };

static const struct mdfh_backend_host *host;

int mdfh_module_load(const struct mdfh_backend_host *given)
{
	if (given->size < sizeof(*given))
		return given->error(-ENOEXEC,
		    "module: it needs %zu bytes of host functions and this mdfh has %zu; use a "
		    "newer mdfh",
		    sizeof(*given), given->size);
	host = given;
	return 0;
}

int mdfh_error(int error, const char *format, ...)
{
	char sentence[SENTENCE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	return host->error(error, "%s", sentence);
}

int mdfh_error_errno(int error, const char *format, ...)
{
	char sentence[SENTENCE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	return host->error_errno(error, "%s", sentence);
}

const char *mdfh_error_text(void)
{
	return host->error_text();
}

uint64_t mdfh_clock_now_ns(void)
{
	return host->clock_ns();
}

int mdfh_region_map(const struct mdfh_region_config *config, struct mdfh_region *region)
{
	return host->region_map(config, region);
}

void mdfh_region_unmap(struct mdfh_region *region)
{
	host->region_unmap(region);
}

int mdfh_interface_node(const char *interface)
{
	return host->interface_node(interface);
}
