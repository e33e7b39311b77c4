/* book_check.c - `mdfh book --check`: the rules of the day, and what broke them. */
#include <inttypes.h>
#include <stdio.h>

#include "apps/book_run.h"

void book_check_event(struct book_rules *rules, const struct mdfh_event *event)
{
	switch (event->kind) {
	case MDFH_EVENT_STATUS:
		switch (event->code) {
		case MDFH_STATUS_START_OF_MARKET:
			rules->market_open = 1;
			break;
		case MDFH_STATUS_END_OF_MARKET:
			rules->market_open = 0;
			break;
		case MDFH_STATUS_HALTED:
		case MDFH_STATUS_PAUSED:
		case MDFH_STATUS_QUOTATION:
			rules->halted[event->instrument] = 1;
			break;
		case MDFH_STATUS_TRADING:
			rules->halted[event->instrument] = 0;
			break;
		default:
			break;
		}
		break;
	case MDFH_EVENT_GAP:
		rules->gaps++;
		rules->missing += event->gap.count;
		break;
	default:
		if (event->flags & MDFH_EVENT_CROSSED && rules->market_open &&
		    !rules->halted[event->instrument])
			rules->crossed++;
		break;
	}
}

int book_check_print(const struct book_run *run)
{
	const struct mdfh_books_stats *stats = mdfh_books_stats(run->books);
	const struct mdfh_decoder_stats *decoded = mdfh_decoder_stats(run->decoder);
	uint64_t broken = run->rules->crossed + run->rules->missing;
	uint64_t not_at_head = stats->errors[MDFH_BOOK_NOT_AT_HEAD];
	const char *separator = run->options->json ? "," : "\n";

	if (run->options->json)
		printf("{\"messages\":%" PRIu64 ",\"executions\":%" PRIu64
		       ",\"crossed-in-market-hours\":%" PRIu64 ",\"missing-messages\":%" PRIu64,
		    decoded->messages, stats->executions, run->rules->crossed, run->rules->missing);
	else
		printf("messages %" PRIu64 "\ncrossed-in-market-hours %" PRIu64
		       "\nmissing-messages %" PRIu64,
		    decoded->messages, run->rules->crossed, run->rules->missing);
	for (unsigned i = 0; i < MDFH_BOOK_ERRORS; i++) {
		printf(run->options->json ? "%s\"%s\":%" PRIu64 : "%s%s %" PRIu64, separator,
		    mdfh_book_error_name(i), stats->errors[i]);
		/* A book may be crossed before the open and in a halt. */
		if (i != MDFH_BOOK_CROSSED)
			broken += stats->errors[i];
	}
	for (unsigned i = MDFH_DECODE_OK + 1; i < MDFH_DECODE_ERRORS; i++) {
		printf(run->options->json ? "%s\"decode-%s\":%" PRIu64 : "%sdecode-%s %" PRIu64,
		    separator, mdfh_decode_error_name(i), decoded->errors[i]);
		if (i != MDFH_DECODE_UNKNOWN)
			broken += decoded->errors[i];
	}
	puts(run->options->json ? "}" : "");
	printf("%" PRIu64 " executions, %" PRIu64 " not at the head of the queue\n",
	    stats->executions, not_at_head);
	return broken != 0;
}
