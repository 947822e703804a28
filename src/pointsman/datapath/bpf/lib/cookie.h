/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* SYN cookies of inspected services (R-E1): the handshake with nothing remembered.
 *
 * Our initial sequence number is 24 bits of SipHash over the 4-tuple and the client's own, under
 * a secret that changes, then 8 bits of what must outlive the handshake: MSS, window scale, SACK,
 * ECN. So clients that send no timestamps lose none of them, and only the first data segment
 * proves itself, for it alone has both numbers in it.
 */
#ifndef POINTSMAN_COOKIE_H
#define POINTSMAN_COOKIE_H

#include "base.h"
#include "siphash.h"
#include "tcp_options.h"

#define COOKIE_OPTION_BITS 8
#define COOKIE_SACK 2
#define COOKIE_ECN 1

struct cookie_input4 {
	struct flow_key4 key;
	__u32 client_isn;
	__u32 options;
};

struct cookie_input6 {
	struct flow_key6 key;
	__u32 client_isn;
	__u32 options;
};
_Static_assert(sizeof(struct cookie_input4) == 3 * 8 && sizeof(struct cookie_input6) == 6 * 8,
	       "whole words");

/* The MSS values that 2 bits can name; a client gets the largest that is not above its own. */
static __always_inline __u16 cookie_mss(__u32 index, const bool v6)
{
	switch (index & 3) {
	case 0:
		return 536;
	case 1:
		return v6 ? 1220 : 1300;
	case 2:
		return v6 ? 1420 : 1440;
	default:
		return v6 ? 1440 : 1460;
	}
}

static __always_inline __u8 cookie_options(const struct tcp_options *o, bool ecn, const bool v6)
{
	__u8 index = 0;

#pragma unroll
	for (int i = 1; i < 4; i++)
		if (o->mss >= cookie_mss(i, v6))
			index = i;
	return index << 6 | o->wscale << 2 | (o->sack ? COOKIE_SACK : 0) | (ecn ? COOKIE_ECN : 0);
}

static __always_inline __u8 cookie_wscale(__u8 options)
{
	return options >> 2 & 15;
}

/* Both are functions of their own, for the sake of their callers' stack. */
__noinline __u32 cookie_make4(const struct flow_key4 *key, __u32 client_isn, __u32 options, __u32 slot)
{
	struct cookie_input4 in = { .client_isn = client_isn, .options = options };
	struct siphash_key *secret;

	slot %= SECRET_SLOTS;
	secret = bpf_map_lookup_elem(&secrets, &slot);
	if (!secret || !key)
		return 0;
	in.key = *key;
	return (__u32)siphash((const __u64 *)&in, sizeof(in) / 8, secret) << COOKIE_OPTION_BITS | options;
}

__noinline __u32 cookie_make6(const struct flow_key6 *key, __u32 client_isn, __u32 options, __u32 slot)
{
	struct cookie_input6 in = { .client_isn = client_isn, .options = options };
	struct siphash_key *secret;

	slot %= SECRET_SLOTS;
	secret = bpf_map_lookup_elem(&secrets, &slot);
	if (!secret || !key)
		return 0;
	in.key = *key;
	return (__u32)siphash((const __u64 *)&in, sizeof(in) / 8, secret) << COOKIE_OPTION_BITS | options;
}

static __always_inline __u32 cookie_make(const void *key, __u32 client_isn, __u8 options, __u32 slot,
					 const bool v6)
{
	return v6 ? cookie_make6(key, client_isn, options, slot) :
		    cookie_make4(key, client_isn, options, slot);
}

static __always_inline __u32 cookie_slot(void)
{
	__u32 zero = 0;
	struct cookie_clock *clock = bpf_map_lookup_elem(&cookie_clock, &zero);

	return clock ? clock->slot : 0;
}

/* Whether isn is a cookie of ours for this client: of the present epoch, the one before, or the
 * one after (another unit's clock may be ahead). */
static __always_inline bool cookie_valid(const void *key, __u32 client_isn, __u32 isn, const bool v6)
{
	__u32 slot = cookie_slot();
	__u8 options = isn;

	return isn == cookie_make(key, client_isn, options, slot, v6) ||
	       isn == cookie_make(key, client_isn, options, slot + SECRET_SLOTS - 1, v6) ||
	       isn == cookie_make(key, client_isn, options, slot + 1, v6);
}

#endif
