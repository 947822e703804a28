/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Choosing an endpoint is taking a card of its pool's deck (R-B11, R-B12): the next one, the one
 * that a hash points at, or the better of two drawn at random. One step, however many there are;
 * further steps only past endpoints that can't be reached.
 */
#ifndef POINTSMAN_DECK_H
#define POINTSMAN_DECK_H

#include "affinity.h"
#include "base.h"
#include "live.h"
#include "move.h"
#include "packet.h"
#include "siphash.h"

#define DEAL_TRIES 256 /* cards turned until one names an endpoint that can be reached */
#define NO_CARD (~0U)

static __always_inline bool endpoint_usable(__u32 endpoint, const bool v6)
{
	const void *ep = endpoint_get(endpoint, v6);

	return ep && endpoint_rest(ep, v6)->flags & ENDPOINT_USABLE;
}

/* One choice under way. */
struct deal {
	__u32 pool;
	__u32 first; /* the deck: cards[first ... first + size) */
	__u32 size;
	__u32 choose; /* enum choose */
	__u32 place; /* in the deck, of the next card to turn (by hash) */
	__u32 step; /* from one card to the next (by hash) */
	__u32 endpoint; /* that was found, or NO_CARD */
	bool v6;
};

/* The endpoint at a place of the deck if it can be reached, or NO_CARD. */
static __always_inline __u32 card_turn(const struct deal *d, __u32 place)
{
	__u32 index = d->first + place;
	__u32 *card = bpf_map_lookup_elem(&cards, &index);

	if (!card || !(d->v6 ? endpoint_usable(*card, true) : endpoint_usable(*card, false)))
		return NO_CARD;
	return *card;
}

static __always_inline __u32 next_place(const struct deal *d)
{
	__u32 *cursor = bpf_map_lookup_elem(&cursors, &d->pool);

	return cursor ? __sync_fetch_and_add(cursor, 1) % d->size : 0;
}

/* Of two different cards, the one whose endpoint has fewer connections for its weight
 * (Mitzenmacher: the power of two choices). */
static __always_inline __u32 better_of_two(const struct deal *d)
{
	__u32 at = bpf_get_prandom_u32() % d->size;
	__u32 apart = d->size > 1 ? 1 + bpf_get_prandom_u32() % (d->size - 1) : 0;
	__u32 one = card_turn(d, at), other = card_turn(d, (at + apart) % d->size);
	struct load of_one, of_other;

	if (one == NO_CARD || other == NO_CARD)
		return one == NO_CARD ? other : one;
	of_one = load_of(one);
	of_other = load_of(other);
	return less_loaded(&of_other, &of_one) ? other : one;
}

/* One try; returns whether it was the last. */
static long deal_try(__u32 try, void *context)
{
	struct deal *d = context;

	switch (d->choose) {
	case CHOOSE_IN_TURN:
		d->endpoint = card_turn(d, next_place(d));
		break;
	case CHOOSE_LESS_LOADED:
		d->endpoint = better_of_two(d);
		break;
	default:
		d->endpoint = card_turn(d, d->place);
		d->place = (d->place + d->step) % d->size;
	}
	return d->endpoint != NO_CARD;
}

/* What the hash is of: the client's address alone, or all that tells a connection from others. */
static __always_inline __u64 choice_hash(const union flow_key *key, enum choose choose, const bool v6)
{
	struct siphash_key secret = { config.choose_key.k0, config.choose_key.k1 };
	__u64 words[sizeof(struct flow_key6) / 8] = {};

	if (choose == CHOOSE_BY_CLIENT) {
		__builtin_memcpy(words, &key->v6.saddr, v6 ? 16 : 4);
		return siphash(words, v6 ? 2 : 1, &secret);
	}
	__builtin_memcpy(words, key, v6 ? sizeof(key->v6) : sizeof(key->v4));
	return siphash(words, v6 ? sizeof(key->v6) / 8 : sizeof(key->v4) / 8, &secret);
}

/* Where the hash points, and a step, so that the clients of an endpoint that can't be reached are
 * shared out among all others, and only they: tables have a prime number of places. */
static __always_inline void deal_aim(struct deal *d, __u64 hash)
{
	d->place = (__u32)hash % d->size;
	d->step = d->size > 1 ? 1 + (__u32)(hash >> 32) % (d->size - 1) : 0;
}

/* An endpoint of the pool that can be reached, for a connection; or NO_CARD. Global, so that the
 * verifier looks at it once, and not again on every way that leads here. */
__noinline __u32 deck_deal(__u32 pool_index, const union flow_key *key, bool v6)
{
	struct pool *pool = bpf_map_lookup_elem(&pools, &pool_index);
	struct deal d = { .pool = pool_index, .endpoint = NO_CARD, .v6 = v6 };
	struct pool deck;

	if (!pool || !key)
		return NO_CARD;
	/* One load, so that a deck flipped meanwhile is seen whole or not at all. */
	*(__u64 *)&deck = *(volatile __u64 *)pool;
	d.first = deck.first;
	d.size = deck.deck & ((1U << POOL_SIZE_BITS) - 1);
	d.choose = deck.deck >> POOL_SIZE_BITS;
	if (!d.size)
		return NO_CARD;
	if (d.choose == CHOOSE_BY_CLIENT || d.choose == CHOOSE_BY_FLOW)
		deal_aim(&d, v6 ? choice_hash(key, d.choose, true) : choice_hash(key, d.choose, false));
	bpf_loop(DEAL_TRIES, deal_try, &d, 0);
	return d.endpoint;
}

/* The next card of a deck that is dealt in turn, if its endpoint can be reached: nearly always, and
 * so at hand. NO_CARD: ask deck_deal(). */
static __always_inline __u32 deck_top(__u32 pool_index, const bool v6)
{
	struct pool *pool = bpf_map_lookup_elem(&pools, &pool_index);
	struct deal d = { .pool = pool_index, .v6 = v6 };
	struct pool deck;

	if (!pool)
		return NO_CARD;
	*(__u64 *)&deck = *(volatile __u64 *)pool;
	d.first = deck.first;
	d.size = deck.deck; /* with CHOOSE_IN_TURN, 0, above it */
	if (!d.size || deck.deck >> POOL_SIZE_BITS != CHOOSE_IN_TURN)
		return NO_CARD;
	return card_turn(&d, next_place(&d));
}

/* The endpoint for a connection with a service; or NO_CARD. Of a group: the one that has the
 * client's other flows, if it can be reached. */
static __always_inline __u32 endpoint_choose(const struct service *service, __u32 pool,
					     const union flow_key *key, const bool v6)
{
	const void *client = v6 ? (void *)key->v6.saddr : (void *)&key->v4.saddr;
	struct affinity *a;
	__u32 endpoint;

	if (!(service->flags & SERVICE_GROUP)) {
		endpoint = deck_top(pool, v6);
		return endpoint == NO_CARD ? deck_deal(pool, key, v6) : endpoint;
	}
	a = affinity_find(client, service->id, v6);
	if (a && tick_now() - a->seen <= config.life[FLOW_OPEN] && endpoint_usable(a->endpoint, v6)) {
		a->seen = tick_now();
		return a->endpoint;
	}
	endpoint = deck_deal(pool, key, v6);
	if (endpoint != NO_CARD && affinity_store(client, service->id, endpoint, v6))
		return NO_CARD;
	return endpoint;
}

#endif
