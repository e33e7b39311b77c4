/* bytes.h - integers of a given byte order at any address.
 *
 * The compiler turns each into one load or store plus a byte swap where the host needs it.
 * The caller has checked that the bytes are there. */
#ifndef MDFH_CORE_BYTES_H
#define MDFH_CORE_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

/* Big-endian ------------------------------------------------------------ */

static inline uint16_t mdfh_load_be16(const void *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return be16toh(value);
}

static inline uint32_t mdfh_load_be32(const void *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return be32toh(value);
}

static inline uint64_t mdfh_load_be64(const void *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return be64toh(value);
}

static inline uint64_t mdfh_load_be48(const void *at)
{
	const uint8_t *bytes = at;

	return (uint64_t)mdfh_load_be16(bytes) << 32 | mdfh_load_be32(bytes + 2);
}

static inline void mdfh_store_be16(void *at, uint16_t value)
{
	value = htobe16(value);
	memcpy(at, &value, sizeof(value));
}

static inline void mdfh_store_be32(void *at, uint32_t value)
{
	value = htobe32(value);
	memcpy(at, &value, sizeof(value));
}

static inline void mdfh_store_be64(void *at, uint64_t value)
{
	value = htobe64(value);
	memcpy(at, &value, sizeof(value));
}

static inline void mdfh_store_be48(void *at, uint64_t value)
{
	uint8_t *bytes = at;

	mdfh_store_be16(bytes, (uint16_t)(value >> 32));
	mdfh_store_be32(bytes + 2, (uint32_t)value);
}

/* Little-endian --------------------------------------------------------- */

static inline uint16_t mdfh_load_le16(const void *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return le16toh(value);
}

static inline uint32_t mdfh_load_le32(const void *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return le32toh(value);
}

static inline uint64_t mdfh_load_le64(const void *at)
{
	uint64_t value;

	memcpy(&value, at, sizeof(value));
	return le64toh(value);
}

static inline void mdfh_store_le16(void *at, uint16_t value)
{
	value = htole16(value);
	memcpy(at, &value, sizeof(value));
}

static inline void mdfh_store_le32(void *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof(value));
}

static inline void mdfh_store_le64(void *at, uint64_t value)
{
	value = htole64(value);
	memcpy(at, &value, sizeof(value));
}

#endif
