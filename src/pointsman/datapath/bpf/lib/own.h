/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Endpoints of their own: what the client addressed to a virtual IP, the application gets at its own
 * address and port (R-E12, figure 30). */
#ifndef POINTSMAN_OWN_H
#define POINTSMAN_OWN_H

#include "base.h"
#include "open_bundle.h"
#include "quote.h"
#include "sockets.h"

#define STATE_TIME_WAIT 6

/* Whether a connection with this 4-tuple, last seen then, may still exchange packets. */
static __always_inline bool tuple_lives(struct __sk_buff *skb, const void *key, __u32 proto, __u32 seen,
					const bool v6)
{
	struct bpf_sock *skc;
	__u32 state;

	if (proto != IPPROTO_TCP)
		return tick_now() - seen <= config.datagram_life;
	skc = socket_find(skb, key, v6);
	if (!skc)
		return false;
	state = skc->state;
	bpf_sk_release(skc);
	return state != STATE_LISTEN && state != STATE_TIME_WAIT;
}

/* Notes what the client of a connection believes to talk to. One tuple can't serve two of them. */
static __always_inline enum reason vip_claim4(struct __sk_buff *skb, const struct flow_key4 *key,
					      const struct vip4 *vip)
{
	const struct vip4 *old = bpf_map_lookup_elem(&vips4, key);

	if (old && (old->addr != vip->addr || old->port != vip->port) &&
	    tuple_lives(skb, key, key->proto, old->seen, false))
		return REASON_TUPLE_TAKEN;
	return bpf_map_update_elem(&vips4, key, vip, BPF_ANY) ? REASON_HOST_INTERNAL : REASON_COUNT;
}

static __always_inline enum reason vip_claim6(struct __sk_buff *skb, const struct flow_key6 *key,
					      const struct vip6 *vip)
{
	const struct vip6 *old = bpf_map_lookup_elem(&vips6, key);

	if (old && (__builtin_memcmp(old->addr, vip->addr, 16) || old->port != vip->port) &&
	    tuple_lives(skb, key, key->proto, old->seen, true))
		return REASON_TUPLE_TAKEN;
	return bpf_map_update_elem(&vips6, key, vip, BPF_ANY) ? REASON_HOST_INTERNAL : REASON_COUNT;
}

/* Turns what is known of the carried packet, not yet itself, to the endpoint that the bundle names.
 * REASON_COUNT: all is well. */
static __always_inline enum reason parcel_aim4(struct __sk_buff *skb, struct parcel *in)
{
	const struct own_endpoint4 *own = bpf_map_lookup_elem(&endpoints4, &in->head.endpoint);
	struct vip4 vip = { .addr = in->key.v4.daddr, .port = in->key.v4.dport, .seen = tick_now() };

	if (!own)
		return REASON_UNKNOWN_ENDPOINT;
	in->key.v4.daddr = own->addr;
	if (own->port)
		in->key.v4.dport = own->port;
	in->tcp.dest = in->key.v4.dport;
	return vip_claim4(skb, &in->key.v4, &vip);
}

static __always_inline enum reason parcel_aim6(struct __sk_buff *skb, struct parcel *in)
{
	const struct own_endpoint6 *own = bpf_map_lookup_elem(&endpoints6, &in->head.endpoint);
	struct vip6 vip = { .port = in->key.v6.dport, .seen = tick_now() };

	if (!own)
		return REASON_UNKNOWN_ENDPOINT;
	__builtin_memcpy(vip.addr, in->key.v6.daddr, 16);
	__builtin_memcpy(in->key.v6.daddr, own->addr, 16);
	if (own->port)
		in->key.v6.dport = own->port;
	in->tcp.dest = in->key.v6.dport;
	return vip_claim6(skb, &in->key.v6, &vip);
}

static __always_inline enum reason parcel_aim(struct __sk_buff *skb, struct parcel *in, const bool v6)
{
	if (!in->head.endpoint)
		return REASON_COUNT;
	return v6 ? parcel_aim6(skb, in) : parcel_aim4(skb, in);
}

/* Turns an ICMP error, which the unit believes to be about such an endpoint's answers, to what the stack
 * knows of them. REASON_COUNT: all is well. */
static __always_inline enum reason error_aim(struct __sk_buff *skb, __be32 id, const bool v6)
{
	const struct own_endpoint4 *own4 = NULL;
	const struct own_endpoint6 *own6 = NULL;
	struct quote q;
	__be16 port;
	long failed;

	if (v6)
		own6 = bpf_map_lookup_elem(&endpoints6, &id);
	else
		own4 = bpf_map_lookup_elem(&endpoints4, &id);
	if (!own4 && !own6)
		return REASON_UNKNOWN_ENDPOINT;
	if (!quote_read(skb, &q, ETH_HLEN + ip_header_bytes(v6), v6))
		return REASON_HOST_MALFORMED;
	if (own6) {
		port = own6->port ? own6->port : q.key.v6.sport;
		failed = quote_turn(skb, &q, own6->addr, port, true, v6);
	} else {
		port = own4->port ? own4->port : q.key.v4.sport;
		failed = quote_turn(skb, &q, &own4->addr, port, true, v6);
	}
	return failed ? REASON_HOST_INTERNAL : REASON_COUNT;
}

#endif
