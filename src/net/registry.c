/* registry.c - which backends there are: the built-in table, and modules.
 *
 * A module is looked for in one folder, that of the installation unless the program names another,
 * or at an absolute path: never in the working folder, along a search path or where the environment
 * says, so that nobody but the program decides what code runs here. What a
 * module says of itself is checked against its symbol table before it is read. It stays loaded
 * while a port of it is open. */
#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mdfh/clock.h"
#include "mdfh/cpu.h"
#include "mdfh/error.h"
#include "mdfh_build.h"
#include "net/net.h"

/* In the order of `mdfh backends`. */
static const struct mdfh_bypass_ops *const builtins[] = {
    &mdfh_socket_ops,
    &mdfh_pcap_ops,
    &mdfh_fault_ops,
    &mdfh_null_ops,
};

static const struct {
	const char *alias, *name;
} aliases[] = {
    {"asio", "socket"},
};

/* Backends that are modules, for what to say where one is missing. */
static const struct {
	const char *name, *description, *needs;
} known[] = {
    {"io_uring", "kernel sockets through io_uring", "liburing (Debian package mdfh-io-uring)"},
    {"xdp", "AF_XDP sockets", "libxdp and libbpf (Debian package mdfh-xdp)"},
    {"dpdk", "DPDK poll-mode drivers", "libdpdk (Debian package mdfh-dpdk)"},
    {"ef_vi", "Solarflare and AMD NICs by ef_vi",
	"Onload's headers when it is built (meson option ef_vi_headers)"},
    {"verbs", "RDMA verbs: InfiniBand, RoCE, raw Ethernet",
	"libibverbs and librdmacm (Debian package mdfh-verbs)"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct library {
	struct library *next;
	void *handle;
	const struct mdfh_backend_module *module;
	unsigned users;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all that follows */
static struct library *libraries;
static char folder[PATH_MAX] = MDFH_MODULES_DIR;

static const struct mdfh_backend_host host = {
    .size = sizeof(host),
    .error = mdfh_error,
    .error_errno = mdfh_error_errno,
    .error_text = mdfh_error_text,
    .clock_ns = mdfh_clock_now_ns,
    .region_map = mdfh_region_map,
    .region_unmap = mdfh_region_unmap,
    .interface_node = mdfh_interface_node,
};

int mdfh_bypass_set_modules_folder(const char *absolute_folder)
{
	const char *path = absolute_folder ? absolute_folder : MDFH_MODULES_DIR;

	if (path[0] != '/')
		return mdfh_error(
		    -EINVAL, "the modules folder is '%.200s'; it must be an absolute path", path);
	if (strlen(path) >= sizeof(folder))
		return mdfh_error(-ENAMETOOLONG, "the modules folder: its path is too long");
	pthread_mutex_lock(&lock);
	memcpy(folder, path, strlen(path) + 1);
	pthread_mutex_unlock(&lock);
	return 0;
}

/* Modules -------------------------------------------------------------- */

/* The operations that no port can do without, in a table of the size of this build. */
static int check_ops(const char *path, const struct mdfh_bypass_ops *ops)
{
	if (!ops)
		return mdfh_error(-ENOEXEC, "module %s: it has no operations table", path);
	if (ops->size < sizeof(*ops))
		return mdfh_error(-ENOEXEC,
		    "module %s: its operations table has %zu bytes, this mdfh needs %zu; build the "
		    "module against this version",
		    path, ops->size, sizeof(*ops));
	if (ops->size > 4096)
		return mdfh_error(-ENOEXEC,
		    "module %s: its operations table claims %zu bytes, which cannot be right", path,
		    ops->size);
	if (!ops->name || !ops->description || !ops->open || !ops->recv || !ops->release ||
	    !ops->close)
		return mdfh_error(-ENOEXEC,
		    "module %s: its operations table lacks %s; name, description, open, recv, "
		    "release and close are needed",
		    path,
		    !ops->name          ? "name"
		    : !ops->description ? "description"
		    : !ops->open        ? "open"
		    : !ops->recv        ? "recv"
		    : !ops->release     ? "release"
					: "close");
	return 0;
}

/* found is the size of the symbol by the module's own symbol table: it bounds what may be read. */
static int check_module(
    const char *path, const struct mdfh_backend_module *module, unsigned long long found)
{
	if (found < sizeof(module->abi))
		return mdfh_error(-ENOEXEC, "module %s: its symbol %s has only %llu bytes", path,
		    MDFH_BACKEND_MODULE_SYMBOL, found);
	if (module->abi != MDFH_BACKEND_ABI)
		return mdfh_error(-ENOEXEC,
		    "module %s: built for ABI version %u, this mdfh has version %d; build it "
		    "against this version",
		    path, module->abi, MDFH_BACKEND_ABI);
	if (found < sizeof(*module) || module->size < sizeof(*module) || module->size > found)
		return mdfh_error(-ENOEXEC,
		    "module %s: its symbol %s has %llu bytes and claims %u; at least %zu are "
		    "needed",
		    path, MDFH_BACKEND_MODULE_SYMBOL, found,
		    found < sizeof(*module) ? 0 : module->size, sizeof(*module));
	return check_ops(path, module->ops);
}

static int library_check(const char *path, void *handle, const struct mdfh_backend_module **module)
{
	const ElfW(Sym) *symbol = NULL;
	Dl_info info;

	*module = dlsym(handle, MDFH_BACKEND_MODULE_SYMBOL);
	if (!*module)
		return mdfh_error(-ENOEXEC,
		    "module %s: it has no symbol %s, so it is no backend of mdfh", path,
		    MDFH_BACKEND_MODULE_SYMBOL);
	if (!dladdr1(*module, &info, (void **)&symbol, RTLD_DL_SYMENT) || !symbol ||
	    info.dli_saddr != (const void *)*module)
		return mdfh_error(-ENOEXEC, "module %s: its symbol %s is not where it should be",
		    path, MDFH_BACKEND_MODULE_SYMBOL);
	return check_module(path, *module, symbol->st_size);
}

/* Load path, or count one more user of it. */
static int library_open(const char *path, struct library **result)
{
	const struct mdfh_backend_module *module;
	struct library *library;
	/* dlopen gives the same handle for the same file, so that is how it is known again. */
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	int rc;

	if (!handle)
		return mdfh_error(-ENOEXEC, "module %s: cannot be loaded: %s", path, dlerror());
	for (library = libraries; library; library = library->next)
		if (library->handle == handle) {
			dlclose(handle);
			library->users++;
			*result = library;
			return 0;
		}
	rc = library_check(path, handle, &module);
	if (rc)
		goto fail_close;
	library = calloc(1, sizeof(*library));
	if (!library) {
		rc = mdfh_error(-ENOMEM, "module %s: %zu bytes", path, sizeof(*library));
		goto fail_close;
	}
	if (module->load) {
		rc = module->load(&host);
		if (rc < 0)
			goto fail_free;
	}
	*library =
	    (struct library){.next = libraries, .handle = handle, .module = module, .users = 1};
	libraries = library;
	*result = library;
	return 0;

fail_free:
	free(library);
fail_close:
	dlclose(handle);
	return rc;
}

static void library_close(struct library *library)
{
	if (--library->users)
		return;
	for (struct library **at = &libraries; *at; at = &(*at)->next)
		if (*at == library) {
			*at = library->next;
			break;
		}
	dlclose(library->handle);
	free(library);
}

/* Finding -------------------------------------------------------------- */

static const struct mdfh_bypass_ops *builtin_find(const char *name)
{
	for (size_t i = 0; i < COUNT(aliases); i++)
		if (!strcmp(name, aliases[i].alias))
			name = aliases[i].name;
	for (size_t i = 0; i < COUNT(builtins); i++)
		if (!strcmp(name, builtins[i]->name))
			return builtins[i];
	return NULL;
}

static int name_is_plain(const char *name)
{
	size_t length = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return length && length < sizeof((struct mdfh_bypass_backend *)0)->name && !name[length];
}

static int module_path(const char *name, char *path, size_t size)
{
	int length;

	pthread_mutex_lock(&lock);
	length = snprintf(path, size, "%s/mdfh_%s.so", folder, name);
	pthread_mutex_unlock(&lock);
	return length < 0 || (size_t)length >= size
		   ? mdfh_error(
			 -ENAMETOOLONG, "backend %s: the path of its module is too long", name)
		   : 0;
}

static int not_found(const char *name, const char *path)
{
	for (size_t i = 0; i < COUNT(known); i++)
		if (!strcmp(name, known[i].name))
			return mdfh_error(-ENOTSUP,
			    "backend %s (%s) is not in this build: it needs %s, and there is no %s",
			    name, known[i].description, known[i].needs, path);
	return mdfh_error(-ENOENT,
	    "there is no backend '%s': it is not built in, and there is no %s; `mdfh backends` "
	    "lists what there is",
	    name, path);
}

int mdfh_registry_find(const char *name, const struct mdfh_bypass_ops **ops, void **library)
{
	char path[PATH_MAX];
	struct library *found = NULL;
	int rc;

	*library = NULL;
	*ops = builtin_find(name);
	if (*ops)
		return 0;
	if (name[0] == '/') {
		if (strlen(name) >= sizeof(path))
			return mdfh_error(-ENAMETOOLONG, "backend: its path is too long");
		snprintf(path, sizeof(path), "%s", name);
		if (access(path, F_OK))
			return mdfh_error_errno(-errno, "module %s", path);
	} else if (!name_is_plain(name)) {
		return mdfh_error(-EINVAL,
		    "backend is '%.100s'; it must be a name of a-z, 0-9 and _ (up to 31), or the "
		    "absolute path of a module",
		    name);
	} else {
		rc = module_path(name, path, sizeof(path));
		if (rc)
			return rc;
		if (access(path, F_OK))
			return not_found(name, path);
	}

	pthread_mutex_lock(&lock);
	rc = library_open(path, &found);
	pthread_mutex_unlock(&lock);
	if (rc)
		return rc;
	*ops = found->module->ops;
	*library = found;
	return 0;
}

void mdfh_registry_drop(void *library)
{
	if (!library)
		return;
	pthread_mutex_lock(&lock);
	library_close(library);
	pthread_mutex_unlock(&lock);
}

int mdfh_backend_is_exclusive(const char *name)
{
	const struct mdfh_bypass_ops *ops;
	void *library;
	int is_exclusive;

	if (mdfh_registry_find(name, &ops, &library))
		return 0;
	is_exclusive = ops->is_exclusive;
	mdfh_registry_drop(library);
	return is_exclusive;
}

/* Listing -------------------------------------------------------------- */

static void copy_text(char *to, size_t size, const char *from)
{
	size_t length = strnlen(from, size - 1);

	memcpy(to, from, length);
	to[length] = '\0';
}

static void describe(struct mdfh_bypass_backend *entry, const struct mdfh_bypass_ops *ops)
{
	copy_text(entry->description, sizeof(entry->description), ops->description);
	entry->available = !ops->probe || ops->probe() >= 0;
	if (!entry->available)
		copy_text(entry->reason, sizeof(entry->reason), mdfh_error_text());
}

static void describe_module(struct mdfh_bypass_backend *entry)
{
	char path[PATH_MAX];
	struct library *library;

	entry->is_module = 1;
	if (module_path(entry->name, path, sizeof(path)))
		goto fail;
	pthread_mutex_lock(&lock);
	if (library_open(path, &library)) {
		pthread_mutex_unlock(&lock);
		goto fail;
	}
	describe(entry, library->module->ops);
	library_close(library);
	pthread_mutex_unlock(&lock);
	return;

fail:
	copy_text(entry->reason, sizeof(entry->reason), mdfh_error_text());
}

/* "mdfh_NAME.so" to NAME; 1, or 0 if the file is no module. */
static int module_name(const char *file, char *name, size_t size)
{
	size_t length = strlen(file);

	if (length < 9 || strncmp(file, "mdfh_", 5) != 0 || strcmp(file + length - 3, ".so") != 0)
		return 0;
	length -= 8;
	if (length >= size)
		return 0;
	memcpy(name, file + 5, length);
	name[length] = '\0';
	return name_is_plain(name);
}

static int is_module_file(const struct dirent *entry)
{
	char name[sizeof((struct mdfh_bypass_backend *)0)->name];

	return module_name(entry->d_name, name, sizeof(name));
}

int mdfh_bypass_backends(struct mdfh_bypass_backend *backends, int max)
{
	char modules[PATH_MAX];
	struct dirent **files = NULL;
	struct mdfh_bypass_backend entry;
	uint32_t installed = 0; /* bit i: known[i] has a module */
	int files_count, count = 0;

	for (size_t i = 0; i < COUNT(builtins); i++, count++) {
		if (count >= max)
			continue;
		entry = (struct mdfh_bypass_backend){0};
		copy_text(entry.name, sizeof(entry.name), builtins[i]->name);
		describe(&entry, builtins[i]);
		backends[count] = entry;
	}

	pthread_mutex_lock(&lock);
	memcpy(modules, folder, sizeof(modules));
	pthread_mutex_unlock(&lock);
	/* A missing folder holds no modules. */
	files_count = scandir(modules, &files, is_module_file, alphasort);
	for (int i = 0; i < files_count; i++) {
		entry = (struct mdfh_bypass_backend){0};
		module_name(files[i]->d_name, entry.name, sizeof(entry.name));
		free(files[i]);
		if (builtin_find(entry.name)) /* never loaded by that name */
			continue;
		for (size_t k = 0; k < COUNT(known); k++)
			if (!strcmp(entry.name, known[k].name))
				installed |= UINT32_C(1) << k;
		if (count < max) {
			describe_module(&entry);
			backends[count] = entry;
		}
		count++;
	}
	free(files);

	for (size_t i = 0; i < COUNT(known); i++) {
		if (installed & UINT32_C(1) << i)
			continue;
		if (count < max) {
			entry = (struct mdfh_bypass_backend){.is_module = 1};
			copy_text(entry.name, sizeof(entry.name), known[i].name);
			copy_text(
			    entry.description, sizeof(entry.description), known[i].description);
			snprintf(entry.reason, sizeof(entry.reason),
			    "not in this build: it needs %s, and there is no module mdfh_%s.so",
			    known[i].needs, known[i].name);
			backends[count] = entry;
		}
		count++;
	}
	return count;
}
