/* dump_symbols.c - see dump_symbols.h. */
#include "apps/dump_symbols.h"

#include <stdlib.h>
#include <string.h>

static struct dump_symbol *slot_of(struct dump_symbol *slots, size_t size, uint64_t key)
{
	size_t at = (size_t)(key * 0x9e3779b97f4a7c15ull >> 20) & (size - 1);

	while (slots[at].key && slots[at].key != key)
		at = (at + 1) & (size - 1);
	return &slots[at];
}

const char *dump_symbol_find(const struct dump_symbols *symbols, uint64_t key)
{
	return symbols->size ? slot_of(symbols->slots, symbols->size, key)->text : "";
}

static int grow(struct dump_symbols *symbols)
{
	size_t size = symbols->size ? symbols->size * 2 : 4096;
	struct dump_symbol *slots = calloc(size, sizeof(*slots));

	if (!slots)
		return 0;
	for (size_t i = 0; i < symbols->size; i++)
		if (symbols->slots[i].key)
			*slot_of(slots, size, symbols->slots[i].key) = symbols->slots[i];
	free(symbols->slots);
	symbols->slots = slots;
	symbols->size = size;
	return 1;
}

void dump_symbol_learn(struct dump_symbols *symbols, uint64_t key, const char *text)
{
	struct dump_symbol *slot;

	if (symbols->count * 2 >= symbols->size && !grow(symbols))
		return;
	slot = slot_of(symbols->slots, symbols->size, key);
	symbols->count += slot->key == 0;
	slot->key = key;
	memcpy(slot->text, text, DUMP_SYMBOL_SIZE);
}
