/* yaml.h - a YAML text into a structure by a libcyaml schema, with an error that a person can use.
 *
 * Threads: any, each call is its own. */
#ifndef MDFH_CORE_YAML_H
#define MDFH_CORE_YAML_H

#include <cyaml/cyaml.h>
#include <stddef.h>

/* name stands for the text in errors, hint says where its keys are explained. 0, or -EINVAL with
 * file, line and key, or -ENOMEM. */
int mdfh_yaml_parse(const char *text, size_t length, const char *name, const char *hint,
    const cyaml_schema_value_t *schema, void **loaded);

/* A whole file, to be freed, as it is: at most 16 MiB. what names the kind of file in errors. */
int mdfh_yaml_read(const char *path, const char *what, char **text, size_t *length);

void mdfh_yaml_free(const cyaml_schema_value_t *schema, void *loaded);

#endif
