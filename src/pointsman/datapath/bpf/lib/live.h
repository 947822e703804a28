/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* How many connections each endpoint has, as far as packets of its clients tell (R-B12).
 *
 * A connection counts from its plumbing until its client's FIN or RST, and again if it turns out
 * that the RST was not the client's; anything but TCP, while it has a route. Those that end without
 * a word are found by Python, which counts the routes now and then and writes the difference into
 * standings. Where no pool asks for it, that count alone is there.
 */
#ifndef POINTSMAN_LIVE_H
#define POINTSMAN_LIVE_H

#include "base.h"

/* States in which a connection counts; Python's recount asks the same. */
static __always_inline bool state_counts(__u8 state)
{
	return state <= FLOW_OPEN || state == FLOW_DATAGRAM;
}

static __always_inline void live_add(__u32 endpoint, __s32 number)
{
	__u32 *count;

	if (!(config.flags & UNIT_COUNTS_LIVE)) /* an atomic step is dear */
		return;
	count = bpf_map_lookup_elem(&live, &endpoint);
	if (count)
		__sync_fetch_and_add(count, number);
}

/* An endpoint's connections, and how many it should have relative to others. */
struct load {
	__u32 connections;
	__u32 weight;
};

static __always_inline struct load load_of(__u32 endpoint)
{
	struct standing *standing = bpf_map_lookup_elem(&standings, &endpoint);
	__u32 *count = bpf_map_lookup_elem(&live, &endpoint);
	struct load load = {};
	__s32 connections;

	if (!count || !standing)
		return load;
	connections = *count - standing->lost;
	/* Between two counts it may fall below. */
	load.connections = connections > 0 ? connections : 0;
	load.weight = standing->weight;
	return load;
}

/* Whether a would be the less loaded of the two, for its weight, if it took one more. */
static __always_inline bool less_loaded(const struct load *a, const struct load *b)
{
	return (a->connections + 1ULL) * b->weight < (b->connections + 1ULL) * a->weight;
}

#endif
