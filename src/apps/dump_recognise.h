/* dump_recognise.h - of which protocol bytes are, by what they hold. */
#ifndef MDFH_APPS_DUMP_RECOGNISE_H
#define MDFH_APPS_DUMP_RECOGNISE_H

#include <stddef.h>
#include <stdint.h>

#include "mdfh/schema.h"

/* The one schema that a packet's payload fits; NULL = none, or more than one. */
const struct mdfh_schema *dump_recognise(const uint8_t *payload, uint32_t length);

/* The schema that the first records of a BinaryFILE fit, if it is one. Only protocols with messages behind a
 * big-endian length, as in MoldUDP64, are stored in such files. */
const struct mdfh_schema *dump_recognise_file(const uint8_t *data, size_t size);

#endif
