/* protocols.h - the protocols that are mapped to ops, one file each. */
#ifndef MDFH_PROTO_PROTOCOLS_H
#define MDFH_PROTO_PROTOCOLS_H

#include "proto/decoder.h"

extern const struct mdfh_protocol mdfh_protocol_itch50;

#endif
