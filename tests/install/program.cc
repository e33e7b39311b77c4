// program.cc - a C++ program outside the tree: a port, a ring, an ingest and a handler read the
// same capture. Prints what each has seen, for test_outside.py to compare.
//
//     program CAPTURE
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include <mdfh/error.h>
#include <mdfh/handler.h>
#include <mdfh/ingest.h>
#include <mdfh/ring.h>
#include <mdfh/version.h>

namespace
{

struct counts {
	uint64_t events = 0;
	uint64_t trades = 0;
	uint64_t gaps = 0;

	void add(const mdfh_event *events_in, int n)
	{
		events += static_cast<uint64_t>(n);
		for (int i = 0; i < n; i++) {
			trades += events_in[i].kind == MDFH_EVENT_TRADE;
			gaps += events_in[i].kind == MDFH_EVENT_GAP;
		}
	}
};

[[noreturn]] void fail(const char *what)
{
	std::fprintf(stderr, "%s: %s\n", what, mdfh_error_text());
	std::exit(1);
}

uint64_t port_packets(const char *path)
{
	mdfh_bypass_config config = {};
	mdfh_bypass *port = nullptr;
	mdfh_packet packets[64];
	uint64_t count = 0;
	int n;

	config.size = sizeof(config);
	config.backend = "pcap";
	config.file = path;
	if (mdfh_bypass_open(&config, &port) != 0)
		fail("mdfh_bypass_open");
	while ((n = mdfh_bypass_recv(port, packets, 64)) >= 0) {
		count += static_cast<uint64_t>(n);
		mdfh_bypass_release(port, packets, n);
	}
	if (n != -ENODATA)
		fail("mdfh_bypass_recv");
	mdfh_bypass_close(port);
	return count;
}

// Numbers from one thread to another through the inline calls of the ring.
uint64_t ring_sum(uint64_t items)
{
	mdfh_ring_config config = {};
	mdfh_ring *ring = nullptr;
	uint64_t sum = 0;

	config.size = sizeof(config);
	config.slots = 1024;
	config.slot_size = sizeof(uint64_t);
	if (mdfh_ring_create(&config, &ring) != 0)
		fail("mdfh_ring_create");
	std::thread producer([ring, items] {
		for (uint64_t i = 1; i <= items;)
			if (mdfh_ring_push(ring, &i))
				i++;
			else
				std::this_thread::yield();
	});
	for (uint64_t taken = 0; taken < items;) {
		std::vector<uint64_t> batch(64);
		uint32_t n = mdfh_ring_pop_batch(ring, batch.data(), 64);

		for (uint32_t i = 0; i < n; i++)
			sum += batch[i];
		taken += n;
		if (n == 0)
			std::this_thread::yield();
	}
	producer.join();
	mdfh_ring_destroy(ring);
	return sum;
}

counts ingest(const char *path, struct mdfh_ingest_stats *stats)
{
	mdfh_ingest_config config = {};
	mdfh_ingest *feed = nullptr;
	mdfh_event events[64];
	counts seen;
	int n;

	config.size = sizeof(config);
	config.bypass.size = sizeof(config.bypass);
	config.bypass.backend = "pcap";
	config.bypass.file = path;
	config.wait_when_full = MDFH_ON;
	if (mdfh_ingest_open(&config, &feed) != 0 || mdfh_ingest_start(feed) != 0)
		fail("mdfh_ingest_open");
	while ((n = mdfh_ingest_next(feed, events, 64)) >= 0) {
		seen.add(events, n);
		if (n == 0)
			std::this_thread::yield();
	}
	if (n != -ENODATA || mdfh_ingest_stats(feed, stats) != 0)
		fail("mdfh_ingest_next");
	mdfh_ingest_close(feed);
	return seen;
}

counts handler(const char *path)
{
	const std::string yaml =
	    std::string("channels: [{protocol: itch50, lines: [{file: ") + path + "}]}]\n";
	mdfh_handler_config *config = nullptr;
	mdfh_handler *handler = nullptr;
	counts seen;

	if (mdfh_handler_config_parse(yaml.data(), yaml.size(), "program.cc", &config) != 0 ||
	    mdfh_handler_create(config, &handler) != 0)
		fail("mdfh_handler_create");
	mdfh_handler_config_free(config);
	auto on_events = [](void *context, const mdfh_event *events, int n, const mdfh_books *) {
		static_cast<counts *>(context)->add(events, n);
	};
	if (mdfh_handler_on_events(handler, 0, on_events, &seen) != 0 ||
	    mdfh_handler_start(handler) != 0)
		fail("mdfh_handler_start");
	while (mdfh_handler_running(handler))
		std::this_thread::sleep_for(std::chrono::milliseconds(1));
	if (mdfh_handler_stop(handler) != 0)
		fail("mdfh_handler_stop");
	mdfh_handler_destroy(handler);
	return seen;
}

void print(const char *name, const counts &seen)
{
	std::printf(", \"%s\": {\"events\": %llu, \"trades\": %llu, \"gaps\": %llu}", name,
	    static_cast<unsigned long long>(seen.events),
	    static_cast<unsigned long long>(seen.trades),
	    static_cast<unsigned long long>(seen.gaps));
}

} // namespace

int main(int argc, char **argv)
{
	struct mdfh_ingest_stats stats = {};

	if (argc != 2) {
		std::fprintf(stderr, "usage: program CAPTURE\n");
		return 2;
	}
	std::printf("{\"headers\": \"%s\", \"library\": \"%s\"", MDFH_VERSION, mdfh_version());
	std::printf(", \"packets\": %llu", static_cast<unsigned long long>(port_packets(argv[1])));
	std::printf(", \"ring\": %llu", static_cast<unsigned long long>(ring_sum(100000)));
	print("ingest", ingest(argv[1], &stats));
	std::printf(", \"messages\": %llu", static_cast<unsigned long long>(stats.messages));
	print("handler", handler(argv[1]));
	std::printf("}\n");
	return 0;
}
