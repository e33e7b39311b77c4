/* instrument.h - what decoders ask of the instrument table and users need not. */
#ifndef MDFH_PROTO_INSTRUMENT_H
#define MDFH_PROTO_INSTRUMENT_H

#include "mdfh/instrument.h"

/* The lowest row of that symbol on that channel, or 0: another channel may have one, too. */
uint32_t mdfh_instruments_find_symbol_on(
    const struct mdfh_instruments *table, uint16_t channel, const char *symbol);

#endif
