/* yaml.c - libcyaml does the reading; its messages are turned into one sentence with file, line and
 * key. */
#include "core/yaml.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mdfh/error.h"

/* Messages ---------------------------------------------------------------------------------- */

/* libcyaml reports an error as a line of its own and then a backtrace, innermost first, such as
 *   Load: Invalid uint64_t value: 'many'
 *   Load: Backtrace:
 *     in mapping field 'thread' (line: 3, column: 13)
 * The first of each is what a person needs. */
struct complaint {
	char what[200];
	char key[96];
	unsigned line;
};

static const char unexpected[] = "Unexpected key: ";
static const char missing[] = "Missing required mapping field: ";

static void complain(cyaml_log_t level, void *context, const char *format, va_list args)
{
	struct complaint *complaint = context;
	char text[256];
	const char *start;
	const char *line;
	const char *field;

	if (level < CYAML_LOG_ERROR)
		return;
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	start = strncmp(text, "Load: ", 6) ? text : text + 6;
	line = strstr(start, "(line: ");
	if (!line) {
		if (complaint->what[0] || !strcmp(start, "Backtrace:"))
			return;
		snprintf(complaint->what, sizeof(complaint->what), "%.199s", start);
		/* These two name the key themselves. */
		if (!strncmp(start, unexpected, sizeof(unexpected) - 1))
			snprintf(complaint->key, sizeof(complaint->key), "%.95s",
			    start + sizeof(unexpected) - 1);
		else if (!strncmp(start, missing, sizeof(missing) - 1))
			snprintf(complaint->key, sizeof(complaint->key), "%.95s",
			    start + sizeof(missing) - 1);
		return;
	}
	if (!complaint->line)
		complaint->line = (unsigned)strtoul(line + 7, NULL, 10);
	field = strstr(start, "mapping field '");
	if (!complaint->key[0] && field) {
		field += 15;
		snprintf(complaint->key, sizeof(complaint->key), "%.*s", (int)strcspn(field, "'"),
		    field);
	}
}

/* Of an unexpected key libcyaml gives the line where its mapping begins: look for the key from
 * there on. */
static void find_key(struct complaint *complaint, const char *text, size_t length)
{
	const char *end = text + length;
	size_t size = strlen(complaint->key);
	unsigned line = 1;
	char before = '\n';

	if (strncmp(complaint->what, unexpected, sizeof(unexpected) - 1) != 0)
		return;
	for (const char *at = text; at < end; before = *at++) {
		if (*at == '\n')
			line++;
		else if (line >= complaint->line && (size_t)(end - at) > size && at[size] == ':' &&
			 !isalnum((unsigned char)before) && before != '_' &&
			 !memcmp(at, complaint->key, size)) {
			complaint->line = line;
			return;
		}
	}
}

/* Use --------------------------------------------------------------------------------------- */

static const cyaml_config_t base_config = {
    .log_fn = complain,
    .mem_fn = cyaml_mem,
    .log_level = CYAML_LOG_ERROR,
    .flags = CYAML_CFG_DEFAULT,
};

int mdfh_yaml_parse(const char *text, size_t length, const char *name, const char *hint,
    const cyaml_schema_value_t *schema, void **loaded)
{
	struct complaint complaint = {.line = 0};
	cyaml_config_t cyaml = base_config;
	cyaml_err_t err;

	*loaded = NULL;
	cyaml.log_ctx = &complaint;
	err = cyaml_load_data((const uint8_t *)text, length, &cyaml, schema, loaded, NULL);
	if (err == CYAML_ERR_OOM)
		return mdfh_error(-ENOMEM, "%s: out of memory", name);
	if (err == CYAML_OK && !*loaded) {
		snprintf(complaint.what, sizeof(complaint.what), "the file is empty");
		err = CYAML_ERR_INVALID_VALUE;
	}
	if (err == CYAML_OK)
		return 0;
	*loaded = NULL;
	find_key(&complaint, text, length);
	return mdfh_error(-EINVAL, "%s:%u: %s%s%s%s (%s)", name, complaint.line,
	    complaint.key[0] ? "key '" : "", complaint.key, complaint.key[0] ? "': " : "",
	    complaint.what[0] ? complaint.what : cyaml_strerror(err), hint);
}

int mdfh_yaml_read(const char *path, const char *what, char **text, size_t *length)
{
	enum { LONGEST = 16 << 20 };
	FILE *file = fopen(path, "re");
	int err = 0;

	*text = NULL;
	if (!file)
		return mdfh_error_errno(-errno, "%s %s", what, path);
	*text = malloc(LONGEST);
	if (!*text) {
		fclose(file);
		return mdfh_error(-ENOMEM, "%s %s: out of memory", what, path);
	}
	errno = 0;
	*length = fread(*text, 1, LONGEST, file);
	if (ferror(file))
		err = mdfh_error_errno(errno ? -errno : -EIO, "%s %s", what, path);
	else if (*length == LONGEST)
		err = mdfh_error(-EFBIG, "%s %s: longer than 16 MiB", what, path);
	fclose(file);
	if (err) {
		free(*text);
		*text = NULL;
	}
	return err;
}

void mdfh_yaml_free(const cyaml_schema_value_t *schema, void *loaded)
{
	cyaml_free(&base_config, schema, loaded, 0);
}
