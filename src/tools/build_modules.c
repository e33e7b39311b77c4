/* build_modules.c - where a program that is run from the build tree finds its modules. */
#include "tools/build_modules.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mdfh/bypass.h"
#include "mdfh/error.h"

int build_modules_use(const char *folder)
{
	char path[PATH_MAX];
	char real[PATH_MAX];
	struct stat status;
	ssize_t length;
	char *end;

	if (folder) {
		if (!realpath(folder, real))
			return mdfh_error_errno(-errno, "modules folder %s", folder);
		return mdfh_bypass_set_modules_folder(real);
	}
	length = readlink("/proc/self/exe", path, sizeof(path) - sizeof("/modules"));
	if (length <= 0)
		return 0;
	path[length] = '\0';
	end = strrchr(path, '/'); /* the link is an absolute path */
	if (!end)
		return 0;
	snprintf(end, sizeof(path) - (size_t)(end - path), "/modules");
	if (stat(path, &status) || !S_ISDIR(status.st_mode))
		return 0;
	return mdfh_bypass_set_modules_folder(path);
}
