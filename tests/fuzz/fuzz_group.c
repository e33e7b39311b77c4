/* fuzz_group.c - any text as ADDRESS:PORT, as a line of a configuration has it. First byte: room for the
 * address. */
#include "fuzz.h"

#include <errno.h>

#include "handler/ports.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text, *address;
	uint16_t port = 0;
	size_t room;
	int err;

	if (size < 1 || size > 300)
		return 0;
	room = data[0] & 63;
	address = malloc(room ? room : 1);
	text = malloc(size);
	REQUIRE(address && text);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	err = mdfh_group_parse(text, address, room, &port);
	if (err) {
		REQUIRE(err == -EINVAL);
	} else {
		char again[320], host[64];
		uint16_t number;

		REQUIRE(port > 0 && strlen(address) < room && address[0]);
		snprintf(again, sizeof(again), text[0] == '[' ? "[%s]:%u" : "%s:%u", address,
		    (unsigned)port);
		REQUIRE(!mdfh_group_parse(again, host, sizeof(host), &number));
		REQUIRE(!strcmp(host, address) && number == port);
	}
	free(text);
	free(address);
	return 0;
}
