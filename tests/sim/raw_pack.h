/* raw_pack.h - ITCH 5.0 messages put together by hand, field after field in the order of the
 * specification's tables. Deliberately not the product's encoder: it judges that one. A letter that
 * a field may not have is counted. */
#ifndef MDFH_TESTS_SIM_RAW_PACK_H
#define MDFH_TESTS_SIM_RAW_PACK_H

#include <stdint.h>
#include <string.h>

#include "itch50.h"

struct raw_pack {
	uint8_t bytes[64];
	uint32_t length;
	uint32_t odd; /* letters that stand in no table */
};

static inline void pack_number(struct raw_pack *p, uint64_t value, unsigned bytes)
{
	while (bytes--)
		p->bytes[p->length++] = (uint8_t)(value >> 8 * bytes);
}

static inline void pack_text(struct raw_pack *p, const char *text, unsigned bytes)
{
	memcpy(p->bytes + p->length, text, bytes);
	p->length += bytes;
}

/* allowed: "" = any. */
static inline void pack_letter(struct raw_pack *p, char letter, const char *allowed)
{
	p->bytes[p->length++] = (uint8_t)letter;
	p->odd += *allowed && !strchr(allowed, letter);
}

static inline void pack_head(
    struct raw_pack *p, char type, uint16_t locate, uint16_t tracking, uint64_t timestamp)
{
	p->length = 0;
	p->odd = 0;
	pack_letter(p, type, "");
	pack_number(p, locate, 2);
	pack_number(p, tracking, 2);
	pack_number(p, timestamp, 6);
}

static inline void pack_system_event(struct raw_pack *p, const struct itch50_system_event *m)
{
	pack_head(p, 'S', m->locate, m->tracking, m->timestamp);
	pack_letter(p, m->event_code, "OSQMEC");
}

static inline void pack_stock_directory(struct raw_pack *p, const struct itch50_stock_directory *m)
{
	pack_head(p, 'R', m->locate, m->tracking, m->timestamp);
	pack_text(p, m->stock, 8);
	pack_letter(p, m->market_category, "QGSNAPZV");
	pack_letter(p, m->financial_status, "N");
	pack_number(p, m->round_lot_size, 4);
	pack_letter(p, m->round_lots_only, "YN");
	pack_letter(p, m->issue_classification, "");
	pack_text(p, m->issue_sub_type, 2);
	pack_letter(p, m->authenticity, "PT");
	pack_letter(p, m->short_sale_threshold, "YN");
	pack_letter(p, m->ipo_flag, "YN");
	pack_letter(p, m->luld_tier, "12");
	pack_letter(p, m->etp_flag, "YN");
	pack_number(p, m->etp_leverage_factor, 4);
	pack_letter(p, m->inverse_indicator, "YN");
}

static inline void pack_stock_trading_action(
    struct raw_pack *p, const struct itch50_stock_trading_action *m)
{
	pack_head(p, 'H', m->locate, m->tracking, m->timestamp);
	pack_text(p, m->stock, 8);
	pack_letter(p, m->trading_state, "HPQT");
	pack_letter(p, m->reserved, "");
	pack_text(p, m->reason, 4);
}

static inline void pack_reg_sho_restriction(
    struct raw_pack *p, const struct itch50_reg_sho_restriction *m)
{
	pack_head(p, 'Y', m->locate, m->tracking, m->timestamp);
	pack_text(p, m->stock, 8);
	pack_letter(p, m->reg_sho_action, "012");
}

static inline void pack_market_participant_position(
    struct raw_pack *p, const struct itch50_market_participant_position *m)
{
	pack_head(p, 'L', m->locate, m->tracking, m->timestamp);
	pack_text(p, m->mpid, 4);
	pack_text(p, m->stock, 8);
	pack_letter(p, m->primary_market_maker, "YN");
	pack_letter(p, m->market_maker_mode, "NPSRL");
	pack_letter(p, m->participant_state, "AEWSD");
}

static inline void pack_mwcb_decline_level(
    struct raw_pack *p, const struct itch50_mwcb_decline_level *m)
{
	pack_head(p, 'V', m->locate, m->tracking, m->timestamp);
	pack_number(p, m->level_1, 8);
	pack_number(p, m->level_2, 8);
	pack_number(p, m->level_3, 8);
}

static inline void pack_mwcb_status(struct raw_pack *p, const struct itch50_mwcb_status *m)
{
	pack_head(p, 'W', m->locate, m->tracking, m->timestamp);
	pack_letter(p, m->breached_level, "123");
}

static inline void pack_ipo_quoting_period(
    struct raw_pack *p, const struct itch50_ipo_quoting_period *m)
{
	pack_head(p, 'K', m->locate, m->tracking, m->timestamp);
	pack_text(p, m->stock, 8);
	pack_number(p, m->quotation_release_time, 4);
	pack_letter(p, m->release_qualifier, "AC");
	pack_number(p, m->ipo_price, 4);
}

static inline void pack_luld_auction_collar(
    struct raw_pack *p, const struct itch50_luld_auction_collar *m)
{
	pack_head(p, 'J', m->locate, m->tracking, m->timestamp);
	pack_text(p, m->stock, 8);
	pack_number(p, m->collar_reference_price, 4);
	pack_number(p, m->upper_collar_price, 4);
	pack_number(p, m->lower_collar_price, 4);
	pack_number(p, m->collar_extension, 4);
}

static inline void pack_operational_halt(
    struct raw_pack *p, const struct itch50_operational_halt *m)
{
	pack_head(p, 'h', m->locate, m->tracking, m->timestamp);
	pack_text(p, m->stock, 8);
	pack_letter(p, m->market_code, "QBX");
	pack_letter(p, m->halt_action, "HT");
}

static inline void pack_add_order(struct raw_pack *p, const struct itch50_add_order *m)
{
	pack_head(p, 'A', m->locate, m->tracking, m->timestamp);
	pack_number(p, m->order_ref, 8);
	pack_letter(p, m->side, "BS");
	pack_number(p, m->shares, 4);
	pack_text(p, m->stock, 8);
	pack_number(p, m->price, 4);
}

static inline void pack_add_order_mpid(struct raw_pack *p, const struct itch50_add_order_mpid *m)
{
	pack_head(p, 'F', m->locate, m->tracking, m->timestamp);
	pack_number(p, m->order_ref, 8);
	pack_letter(p, m->side, "BS");
	pack_number(p, m->shares, 4);
	pack_text(p, m->stock, 8);
	pack_number(p, m->price, 4);
	pack_text(p, m->attribution, 4);
}

static inline void pack_order_executed(struct raw_pack *p, const struct itch50_order_executed *m)
{
	pack_head(p, 'E', m->locate, m->tracking, m->timestamp);
	pack_number(p, m->order_ref, 8);
	pack_number(p, m->executed_shares, 4);
	pack_number(p, m->match_number, 8);
}

static inline void pack_order_executed_price(
    struct raw_pack *p, const struct itch50_order_executed_price *m)
{
	pack_head(p, 'C', m->locate, m->tracking, m->timestamp);
	pack_number(p, m->order_ref, 8);
	pack_number(p, m->executed_shares, 4);
	pack_number(p, m->match_number, 8);
	pack_letter(p, m->printable, "YN");
	pack_number(p, m->execution_price, 4);
}

static inline void pack_order_cancel(struct raw_pack *p, const struct itch50_order_cancel *m)
{
	pack_head(p, 'X', m->locate, m->tracking, m->timestamp);
	pack_number(p, m->order_ref, 8);
	pack_number(p, m->canceled_shares, 4);
}

static inline void pack_order_delete(struct raw_pack *p, const struct itch50_order_delete *m)
{
	pack_head(p, 'D', m->locate, m->tracking, m->timestamp);
	pack_number(p, m->order_ref, 8);
}

static inline void pack_order_replace(struct raw_pack *p, const struct itch50_order_replace *m)
{
	pack_head(p, 'U', m->locate, m->tracking, m->timestamp);
	pack_number(p, m->original_order_ref, 8);
	pack_number(p, m->new_order_ref, 8);
	pack_number(p, m->shares, 4);
	pack_number(p, m->price, 4);
}

static inline void pack_trade(struct raw_pack *p, const struct itch50_trade *m)
{
	pack_head(p, 'P', m->locate, m->tracking, m->timestamp);
	pack_number(p, m->order_ref, 8);
	pack_letter(p, m->side, "B");
	pack_number(p, m->shares, 4);
	pack_text(p, m->stock, 8);
	pack_number(p, m->price, 4);
	pack_number(p, m->match_number, 8);
}

static inline void pack_cross_trade(struct raw_pack *p, const struct itch50_cross_trade *m)
{
	pack_head(p, 'Q', m->locate, m->tracking, m->timestamp);
	pack_number(p, m->shares, 8);
	pack_text(p, m->stock, 8);
	pack_number(p, m->cross_price, 4);
	pack_number(p, m->match_number, 8);
	pack_letter(p, m->cross_type, "OCH");
}

static inline void pack_broken_trade(struct raw_pack *p, const struct itch50_broken_trade *m)
{
	pack_head(p, 'B', m->locate, m->tracking, m->timestamp);
	pack_number(p, m->match_number, 8);
}

static inline void pack_noii(struct raw_pack *p, const struct itch50_noii *m)
{
	pack_head(p, 'I', m->locate, m->tracking, m->timestamp);
	pack_number(p, m->paired_shares, 8);
	pack_number(p, m->imbalance_shares, 8);
	pack_letter(p, m->imbalance_direction, "BSNOP");
	pack_text(p, m->stock, 8);
	pack_number(p, m->far_price, 4);
	pack_number(p, m->near_price, 4);
	pack_number(p, m->reference_price, 4);
	pack_letter(p, m->cross_type, "OCHA");
	pack_letter(p, m->price_variation, "L123456789ABC");
}

static inline void pack_rpii(struct raw_pack *p, const struct itch50_rpii *m)
{
	pack_head(p, 'N', m->locate, m->tracking, m->timestamp);
	pack_text(p, m->stock, 8);
	pack_letter(p, m->interest_flag, "BSAN");
}

static inline void pack_direct_listing(struct raw_pack *p, const struct itch50_direct_listing *m)
{
	pack_head(p, 'O', m->locate, m->tracking, m->timestamp);
	pack_text(p, m->stock, 8);
	pack_letter(p, m->open_eligibility, "YN");
	pack_number(p, m->minimum_price, 4);
	pack_number(p, m->maximum_price, 4);
	pack_number(p, m->near_execution_price, 4);
	pack_number(p, m->near_execution_time, 8);
	pack_number(p, m->lower_collar, 4);
	pack_number(p, m->upper_collar, 4);
}

#endif
