/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Choosing a host is dealing a card (R-B11, R-B12): one step, however many hosts there are. */
#ifndef POINTSMAN_DECK_H
#define POINTSMAN_DECK_H

#include "base.h"

#define DEAL_TRIES 8 /* cards turned until one names a host that can be reached */
#define NO_CARD (~0U)

static __always_inline bool host_usable(__u32 host, const bool v6)
{
	struct host4 *h4;
	struct host6 *h6;

	if (v6) {
		h6 = bpf_map_lookup_elem(&hosts6, &host);
		return h6 && h6->flags & HOST_USABLE;
	}
	h4 = bpf_map_lookup_elem(&hosts4, &host);
	return h4 && h4->flags & HOST_USABLE;
}

/* The next usable host of the pool, or NO_CARD. */
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

		if (card && host_usable(*card, v6))
			return *card;
	}
	return NO_CARD;
}

#endif
