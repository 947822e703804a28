/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Choosing an endpoint is dealing a card (R-B11, R-B12): one step, however many there are. */
#ifndef POINTSMAN_DECK_H
#define POINTSMAN_DECK_H

#include "base.h"
#include "move.h"

#define DEAL_TRIES 8 /* cards turned until one names an endpoint that can be reached */
#define NO_CARD (~0U)

static __always_inline bool endpoint_usable(__u32 endpoint, const bool v6)
{
	const void *ep = endpoint_get(endpoint, v6);

	return ep && endpoint_rest(ep, v6)->flags & ENDPOINT_USABLE;
}

/* The next usable endpoint of the pool, or NO_CARD. */
static __always_inline __u32 deck_deal(__u32 pool_index, const bool v6)
{
	struct pool *pool = bpf_map_lookup_elem(&pools, &pool_index);
	__u32 *cursor = bpf_map_lookup_elem(&cursors, &pool_index);
	struct pool deck;

	if (!pool || !cursor)
		return NO_CARD;
	/* One load, so that a deck flipped meanwhile is seen whole or not at all. */
	*(__u64 *)&deck = *(volatile __u64 *)pool;
	if (!deck.size)
		return NO_CARD;
#pragma unroll
	for (int i = 0; i < DEAL_TRIES; i++) {
		__u32 place = deck.first + __sync_fetch_and_add(cursor, 1) % deck.size;
		__u32 *card = bpf_map_lookup_elem(&cards, &place);

		if (card && endpoint_usable(*card, v6))
			return *card;
	}
	return NO_CARD;
}

#endif
