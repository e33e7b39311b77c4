/* fuzz_book.c - bytes become ops, applied to small books and to a plain model, in batches; after
 * each batch levels, queues and counters must agree, and so must a book rebuilt from the events.
 *
 * Ops of orders name instruments 1..3, ops of levels and quotes 4 and 5: a price that both kinds
 * claim is tested by hand. */
#include "../book/book_model.h"

enum { BATCH = 32, EVENTS = 16, INSTRUMENTS = 6 };

static const int64_t odd_prices[16] = {0, 1, 100, 50, 199999, 2000000000, 4294967295, 4294967296,
    -1, -100, INT64_C(1) << 62, -(INT64_C(1) << 62), INT64_MAX, INT64_MIN, 12345, 7};

static void read_op(const uint8_t *b, struct mdfh_op *op)
{
	static const uint8_t kinds[16] = {MDFH_OP_ADD, MDFH_OP_ADD, MDFH_OP_ADD, MDFH_OP_ADD,
	    MDFH_OP_ADD, MDFH_OP_EXECUTE, MDFH_OP_EXECUTE, MDFH_OP_REDUCE, MDFH_OP_DELETE,
	    MDFH_OP_DELETE, MDFH_OP_REPLACE, MDFH_OP_REPLACE, MDFH_OP_LEVEL, MDFH_OP_TRADE,
	    MDFH_OP_CLEAR, MDFH_OP_SESSION_BEGIN};
	static const uint64_t spread[4] = {1, 1000, UINT64_C(1) << 40, UINT64_C(1) << 62};

	memset(op, 0, sizeof(*op));
	op->kind = kinds[b[0] & 15];
	if (op->kind == MDFH_OP_SESSION_BEGIN && b[1])
		op->kind = MDFH_OP_DELETE;
	op->instrument = op->kind == MDFH_OP_LEVEL ? 4u + (b[0] >> 7) : b[0] >> 4 & 3;
	op->origin = (uint16_t)(op->instrument & 1);
	op->side = b[1] & 3;
	if (op->kind == MDFH_OP_LEVEL)
		op->side = (uint8_t)(1 + (b[1] & 1));
	op->flags = (uint16_t)(b[1] >> 2 & 3); /* PRICED, NOT_PRINTED */
	op->order_id = (b[2] & 63) * spread[b[2] >> 6];
	op->new_order_id = (b[3] & 63) * spread[b[3] >> 6];
	op->quantity64 = b[4];
	op->quantity2 = b[4];
	op->price = b[5] & 128 ? odd_prices[b[5] & 15] : 1000 + (b[5] & 127) * (b[6] & 15) * 25;
	if (op->kind == MDFH_OP_LEVEL)
		op->price = 100 * (b[5] & 63);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Made once; each input begins with new sessions. */
	static struct mdfh_instruments *table;
	static struct mdfh_books *books;
	struct mdfh_op begin[2] = {
	    {.kind = MDFH_OP_SESSION_BEGIN}, {.kind = MDFH_OP_SESSION_BEGIN, .origin = 1}};
	struct mdfh_origin origins[2] = {{.channel = 0}, {.channel = 1}};
	struct mdfh_books_config config = {.size = sizeof(config),
	    .orders_max = 40,
	    .levels_max = 30,
	    .hugepages = MDFH_OFF,
	    .sound_at_start = MDFH_ON};
	struct model m = {.orders_max = 40, .levels_max = 30, .price_scale = 1};
	struct model seen = {.price_scale = 1};
	struct mdfh_event events[EVENTS];
	struct mdfh_op ops[BATCH];
	uint64_t sequence = 0;
	int done;

	if (!table) {
		MODEL_REQUIRE(!mdfh_instruments_create(INSTRUMENTS - 1, &table));
		for (uint32_t i = 1; i < INSTRUMENTS; i++)
			mdfh_instruments_at(table, mdfh_instruments_row(table, i & 1, i))
			    ->price_scale = 1;
		config.instruments = table;
		MODEL_REQUIRE(!mdfh_books_create(&config, &books));
	}
	for (uint32_t i = 1; i < INSTRUMENTS; i++)
		m.channel_of[i] = seen.channel_of[i] = i & 1;
	mdfh_books_origins(books, origins);
	mdfh_book_apply(books, begin, 2, NULL, 0, &done);
	MODEL_REQUIRE(mdfh_books_stats(books)->orders == 0 && mdfh_books_stats(books)->levels == 0);
	memcpy(m.errors, mdfh_books_stats(books)->errors, sizeof(m.errors));
	while (size >= 8) {
		int n = 0, at = 0;

		for (int want = 1 + data[7] % BATCH; n < want && size >= 8; data += 8, size -= 8) {
			read_op(data, &ops[n]);
			if (ops[n].kind == MDFH_OP_TRADE && !ops[n].instrument)
				continue;
			ops[n].sequence = ++sequence;
			model_op(&m, &ops[n], origins[ops[n].origin].channel);
			n++;
		}
		while (at < n) {
			int made;

			made = mdfh_book_apply(books, ops + at, n - at, events, EVENTS, &done);
			MODEL_REQUIRE(done > 0);
			for (int i = 0; i < made; i++)
				model_event(&seen, &events[i]);
			at += done;
		}
		model_compare(&m, books, INSTRUMENTS);
		model_compare(&seen, books, INSTRUMENTS);
		for (int i = 0; i < MDFH_BOOK_ERRORS; i++)
			MODEL_REQUIRE(mdfh_books_stats(books)->errors[i] == m.errors[i]);
	}
	model_free(&m);
	model_free(&seen);
	mdfh_books_origins(books, NULL);
	return 0;
}
