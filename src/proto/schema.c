/* schema.c - the schemas of this build. A protocol is a file in protocols/ and a line here. */
#include "mdfh/schema.h"

#include <string.h>

#include "proto/codec.h"
#include "protocols/cme_mdp3.h"
#include "protocols/iex_tp.h"
#include "protocols/itch50.h"
#include "protocols/mdp3.h"
#include "protocols/moldudp64.h"
#include "protocols/tops16.h"

static const struct {
	const struct mdfh_schema *schema;
	const struct mdfh_codecs *codecs;
} schemas[] = {
    {&mdfh_schema_itch50, &mdfh_codecs_itch50},
    {&mdfh_schema_tops16, &mdfh_codecs_tops16},
    {&mdfh_schema_cme_mdp3, &mdfh_codecs_cme_mdp3},
    /* Packet headers. */
    {&mdfh_schema_moldudp64, &mdfh_codecs_moldudp64},
    {&mdfh_schema_iex_tp, &mdfh_codecs_iex_tp},
    {&mdfh_schema_mdp3, &mdfh_codecs_mdp3},
};

enum { SCHEMAS = sizeof(schemas) / sizeof(schemas[0]) };

const struct mdfh_schema *mdfh_schema_at(unsigned index)
{
	return index < SCHEMAS ? schemas[index].schema : NULL;
}

const struct mdfh_schema *mdfh_schema_find(const char *name)
{
	for (unsigned i = 0; i < SCHEMAS; i++) {
		if (!strcmp(schemas[i].schema->name, name))
			return schemas[i].schema;
	}
	return NULL;
}

const struct mdfh_schema *mdfh_schema_by_id(unsigned id)
{
	for (unsigned i = 0; i < SCHEMAS; i++) {
		if (schemas[i].schema->id == id)
			return schemas[i].schema;
	}
	return NULL;
}

const struct mdfh_codecs *mdfh_codecs_find(const struct mdfh_schema *schema)
{
	for (unsigned i = 0; i < SCHEMAS; i++) {
		if (schemas[i].schema == schema)
			return schemas[i].codecs;
	}
	return NULL;
}
