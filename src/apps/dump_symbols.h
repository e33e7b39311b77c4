/* dump_symbols.h - symbols that were met, by the numbers that stand for them. */
#ifndef MDFH_APPS_DUMP_SYMBOLS_H
#define MDFH_APPS_DUMP_SYMBOLS_H

#include <stddef.h>
#include <stdint.h>

enum { DUMP_SYMBOL_SIZE = 32 }; /* longest symbol kept, with its terminator */

struct dump_symbol {
	uint64_t key; /* 0 = free */
	char text[DUMP_SYMBOL_SIZE];
};

/* Zeroed: empty. Open addressing; slots is to be freed. */
struct dump_symbols {
	struct dump_symbol *slots;
	size_t size; /* a power of two */
	size_t count;
};

/* "" = not met. */
const char *dump_symbol_find(const struct dump_symbols *symbols, uint64_t key);

/* text has DUMP_SYMBOL_SIZE bytes. Out of memory: symbols learned from here on are not shown, which costs no
 * truth. */
void dump_symbol_learn(struct dump_symbols *symbols, uint64_t key, const char *text);

#endif
