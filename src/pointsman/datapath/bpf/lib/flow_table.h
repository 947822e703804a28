/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The table of routes: a set-associative one, in an array map (decision 9).
 *
 * A hash of the key names a bucket, whose fingerprints share a cache line; so a route costs no
 * helper call and, cold, two or three misses. A bucket that is full gives up what is worth least:
 * a dead route, else the oldest of those that no answer was ever acknowledged on (so a flood of
 * SYNs pushes out its own kind), else the one idle for longest.
 *
 * Whoever puts a route in holds the bucket's lock, for some ten stores. Whoever reads holds
 * nothing: should its route be evicted that very moment, one packet may go astray, as with the
 * kernel's own LRU maps.
 */
#ifndef POINTSMAN_FLOW_TABLE_H
#define POINTSMAN_FLOW_TABLE_H

#include "base.h"
#include "live.h"
#include "packet.h"

#define LOCK_TRIES 128 /* each some ns; a holder needs about 50 */
#define FREE_PRINT 0
#define AGE_DEAD (2U << 30) /* more than any number of ticks */
#define AGE_OPENING (1U << 30)

struct flow_place {
	__u32 bucket;
	__u16 print;
};

/* Python has the same in datapath/flow_table.py. */
static __always_inline struct flow_place flow_place_of(const union flow_key *key, const bool v6)
{
	const __u64 *words = (const __u64 *)key;
	__u64 hash = config.flow_seed;

#pragma unroll
	for (int i = 0; i < (int)(v6 ? sizeof(key->v6) : sizeof(key->v4)) / 8; i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 32;
	}
	hash *= 0xd6e8feb86659fd93ULL;
	struct flow_place place = { .bucket = (hash >> 32) & config.flow_masks[v6],
				    .print = (__u16)(hash >> 16) };

	if (place.print == FREE_PRINT)
		place.print = 1;
	return place;
}

/* Buckets and slots of both families are alike but for the length of the key. */
static __always_inline void *bucket_get(__u32 bucket, const bool v6)
{
	return v6 ? bpf_map_lookup_elem(&flows6, &bucket) : bpf_map_lookup_elem(&flows4, &bucket);
}

static __always_inline void *slot_at(void *bucket, __u32 i, const bool v6)
{
	return bucket + sizeof(struct flow_head) +
	       i * (v6 ? sizeof(struct flow_slot6) : sizeof(struct flow_slot4));
}

static __always_inline struct flow *slot_flow(void *slot, const bool v6)
{
	return slot + (v6 ? sizeof(struct flow_key6) : sizeof(struct flow_key4));
}

static __always_inline bool slot_is(const void *slot, const union flow_key *key, const bool v6)
{
	const __u64 *a = slot, *b = (const __u64 *)key;

	return a[0] == b[0] && a[1] == b[1] && (!v6 || (a[2] == b[2] && a[3] == b[3] && a[4] == b[4]));
}
_Static_assert(sizeof(struct flow_key4) == 16 && sizeof(struct flow_key6) == 40, "whole words");

/* Which slots have a fingerprint, a bit each. Four at a time, and with no branch: a branch a slot
 * would have the verifier walk the rest of the program once for each. */
static __always_inline __u32 slots_with(const struct flow_head *head, __u16 print)
{
	const __u64 lanes = 0x0001000100010001ULL, low = 0x7fff * lanes;
	const __u64 *words = (const __u64 *)head->prints;
	__u32 slots = 0;

#pragma unroll
	for (int i = 0; i < FLOW_WAYS / 4; i++) {
		__u64 x = words[i] ^ print * lanes;
		__u64 equal = ~(((x & low) + low) | x | low) >> 15; /* lowest bit of each lane */

		slots |= (equal * 0x0001000200040008ULL >> 48 & 15) << 4 * i;
	}
	return slots;
}

/* The number of the lowest of at most 16 bits: of those below it, counted. */
static __always_inline __u32 first_slot(__u32 slots)
{
	__u32 below = ((slots & -slots) - 1) & 0xffff;

	below -= below >> 1 & 0x5555;
	below = (below & 0x3333) + (below >> 2 & 0x3333);
	below = (below + (below >> 4)) & 0x0f0f;
	return (below + (below >> 8)) & (FLOW_WAYS - 1);
}
_Static_assert(FLOW_WAYS == 16 && offsetof(struct flow_head, prints) % 8 == 0, "as the bits are counted");

/* The slot of a connection, or NULL. */
static __always_inline void *bucket_find(void *bucket, __u16 print, const union flow_key *key, __u32 *at,
					 const bool v6)
{
	__u32 slots = slots_with(bucket, print);

	for (int i = 0; i < FLOW_WAYS && slots; i++) {
		void *slot = slot_at(bucket, *at = first_slot(slots), v6);

		if (slot_is(slot, key, v6))
			return slot;
		slots &= slots - 1;
	}
	return NULL;
}

/* The route of a connection, be it alive or dead, or NULL. */
static __always_inline struct flow *flow_find(const union flow_key *key, const bool v6)
{
	struct flow_place place = flow_place_of(key, v6);
	void *bucket = bucket_get(place.bucket, v6), *slot;
	__u32 at;

	if (!bucket)
		return NULL;
	slot = bucket_find(bucket, place.print, key, &at, v6);
	return slot ? slot_flow(slot, v6) : NULL;
}

static __always_inline bool flow_alive(const struct flow *flow, __u32 now)
{
	return flow->state < FLOW_STATES && now - flow->seen <= config.life[flow->state];
}

/* How gladly a route is given up, from 1 on. */
static __always_inline __u32 flow_age(const struct flow *flow, __u32 now)
{
	if (!flow_alive(flow, now))
		return AGE_DEAD;
	return (flow->state == FLOW_OPENING ? AGE_OPENING : 1) + now - flow->seen;
}

/* The slot to put a route into: a free one, or that of the route worth least. */
static __always_inline __u32 bucket_victim(void *bucket, __u32 now, const bool v6)
{
	__u32 oldest = 0, victim = 0, free = slots_with(bucket, FREE_PRINT);

	if (free)
		return first_slot(free);
	for (__u32 i = 0; i < FLOW_WAYS; i++) {
		__u32 age = flow_age(slot_flow(slot_at(bucket, i, v6), v6), now);

		if (age > oldest) {
			oldest = age;
			victim = i;
		}
	}
	return victim;
}

static __always_inline bool bucket_lock(struct flow_head *head)
{
	for (int i = 0; i < LOCK_TRIES; i++)
		if (!__sync_val_compare_and_swap(&head->lock, 0, 1))
			return true;
	return false;
}

static __always_inline void bucket_unlock(struct flow_head *head)
{
	__sync_fetch_and_and(&head->lock, 0);
}

static __always_inline void count_eviction(const struct flow *flow, __u32 now)
{
	__u32 zero = 0;
	__u64 *count = bpf_map_lookup_elem(&evicted, &zero);

	if (count && flow_alive(flow, now))
		*count += 1;
}

static __always_inline void count_live(const struct flow *flow, __s32 number)
{
	if (state_counts(flow->state))
		live_add(flow->endpoint, number);
}

static __always_inline int bucket_store(const union flow_key *key, const struct flow *flow, const bool v6)
{
	struct flow_place place = flow_place_of(key, v6);
	void *bucket = bucket_get(place.bucket, v6), *slot;
	struct flow_head *head = bucket;
	__u32 at;

	if (!bucket || !bucket_lock(head))
		return -1;
	slot = bucket_find(bucket, place.print, key, &at, v6);
	if (slot) {
		count_live(slot_flow(slot, v6), -1);
	} else {
		at = bucket_victim(bucket, flow->seen, v6) & (FLOW_WAYS - 1);
		slot = slot_at(bucket, at, v6);
		if (head->prints[at] != FREE_PRINT) {
			count_eviction(slot_flow(slot, v6), flow->seen);
			count_live(slot_flow(slot, v6), -1);
		}
	}
	count_live(flow, 1);
	head->prints[at] = FREE_PRINT; /* nobody finds it half written */
	barrier();
	__builtin_memcpy(slot, key, v6 ? sizeof(key->v6) : sizeof(key->v4));
	*slot_flow(slot, v6) = *flow;
	barrier();
	head->prints[at] = place.print;
	bucket_unlock(head);
	return place.bucket;
}

/* Functions that the verifier walks once, for the sake of their callers. */
__noinline int flow_store4(const struct flow_key4 *key, const struct flow *flow)
{
	return key && flow ? bucket_store((const union flow_key *)key, flow, false) : -1;
}

__noinline int flow_store6(const struct flow_key6 *key, const struct flow *flow)
{
	return key && flow ? bucket_store((const union flow_key *)key, flow, true) : -1;
}

/* Puts a route in, over the one that its connection had. Its bucket, or -1 if that stayed locked. */
static __always_inline int flow_store(const union flow_key *key, const struct flow *flow, const bool v6)
{
	return v6 ? flow_store6(&key->v6, flow) : flow_store4(&key->v4, flow);
}

/* Forgets a route, if there is one. */
static __always_inline void flow_delete(const union flow_key *key, const bool v6)
{
	struct flow_place place = flow_place_of(key, v6);
	void *bucket = bucket_get(place.bucket, v6), *slot;
	struct flow_head *head = bucket;
	__u32 at;

	if (!bucket || !bucket_lock(head))
		return;
	slot = bucket_find(bucket, place.print, key, &at, v6);
	if (slot) {
		count_live(slot_flow(slot, v6), -1);
		head->prints[at] = FREE_PRINT;
	}
	bucket_unlock(head);
}

#endif
