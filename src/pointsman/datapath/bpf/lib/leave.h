/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The way out of the host: what an endpoint of its own sends, the client gets from the virtual IP. */
#ifndef POINTSMAN_LEAVE_H
#define POINTSMAN_LEAVE_H

#include "base.h"
#include "finish.h"
#include "host_fragments.h"
#include "quote.h"
#include "turn.h"

/* The virtual IP and port of a connection, key as in vips4; false if it has none. */
static __always_inline bool vip_find(const union flow_key *key, void *address, __be16 *port, const bool v6)
{
	__u32 now = tick_now();

	if (v6) {
		struct vip6 *vip = bpf_map_lookup_elem(&vips6, &key->v6);

		if (!vip)
			return false;
		__builtin_memcpy(address, vip->addr, 16);
		*port = vip->port;
		if (vip->seen != now) /* spare the cache line */
			vip->seen = now;
		return true;
	}
	struct vip4 *vip = bpf_map_lookup_elem(&vips4, &key->v4);

	if (!vip)
		return false;
	*(__be32 *)address = vip->addr;
	*port = vip->port;
	if (vip->seen != now)
		vip->seen = now;
	return true;
}

/* A TCP segment or UDP datagram, or the first fragment of one. */
static __always_inline int leave_packet(struct __sk_buff *skb, const struct fragment *f, bool more,
					const bool v6)
{
	union flow_key key = {}, to = {};
	__be16 ports[2], port;
	__be32 vip[4];

	if (!fragment_has_header(skb, f) || bpf_skb_load_bytes(skb, f->l4_at, ports, sizeof(ports)))
		return finish(REASON_OUT_OTHER, TC_NEXT);
	/* As the mapping has it: from the client. */
	if (v6) {
		__builtin_memcpy(key.v6.saddr, f->key.v6.daddr, 16);
		__builtin_memcpy(key.v6.daddr, f->key.v6.saddr, 16);
		key.v6.sport = ports[1];
		key.v6.dport = ports[0];
		key.v6.proto = f->proto;
	} else {
		key.v4 = (struct flow_key4){ f->key.v4.daddr, f->key.v4.saddr, ports[1], ports[0], f->proto };
	}
	if (!vip_find(&key, vip, &port, v6))
		return finish(REASON_OUT_OTHER, TC_NEXT);
	if (v6) {
		__builtin_memcpy(to.v6.saddr, vip, 16);
		__builtin_memcpy(to.v6.daddr, key.v6.saddr, 16);
		to.v6.sport = port;
		to.v6.dport = ports[1];
	} else {
		to.v4 = (struct flow_key4){ vip[0], key.v4.saddr, port, ports[1], 0 };
	}
	if ((more && fragment_remember(f, &to, v6)) || tuple_turn(skb, f->l4_at, &to, f->proto, v6))
		return finish(REASON_HOST_INTERNAL, TC_DROP);
	return finish(REASON_OUT_TURNED, TC_NEXT);
}

static __always_inline int leave_later(struct __sk_buff *skb, const struct fragment *f, const bool v6)
{
	const void *to = fragment_recall(f, v6);

	if (!to)
		return finish(REASON_OUT_OTHER, TC_NEXT);
	return addresses_turn(skb, to, v6) ? finish(REASON_HOST_INTERNAL, TC_DROP) :
					     finish(REASON_OUT_TURNED, TC_NEXT);
}

/* The stack tells a client of an error: in the client's own words. */
static __always_inline int leave_error(struct __sk_buff *skb, __u32 icmp_at, const bool v6)
{
	struct quote q;
	__be32 vip[4];
	__be16 port;

	if (!quote_read(skb, &q, icmp_at, v6) || !vip_find(&q.key, vip, &port, v6))
		return finish(REASON_OUT_OTHER, TC_NEXT);
	return quote_turn(skb, &q, vip, port, false, v6) ? finish(REASON_HOST_INTERNAL, TC_DROP) :
							   finish(REASON_OUT_TURNED, TC_NEXT);
}

/* The rest: what leave_family() does not send on its way at once. */
static __always_inline int leave_rest(struct __sk_buff *skb, const bool v6)
{
	struct fragment f;
	__u8 next;

	if (v6) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct ipv6hdr, nexthdr), &next, sizeof(next)))
			return finish(REASON_OUT_OTHER, TC_NEXT);
		if (next == IPPROTO_ICMPV6)
			return leave_error(skb, ETH_HLEN + sizeof(struct ipv6hdr), v6);
	}
	if (!fragment_read(skb, &f, v6))
		return finish(REASON_OUT_OTHER, TC_NEXT);
	if (!f.first)
		return leave_later(skb, &f, v6);
	if (!v6 && f.proto == IPPROTO_ICMP)
		return leave_error(skb, f.l4_at, v6);
	return leave_packet(skb, &f, true, v6);
}

static __always_inline int leave_family(struct __sk_buff *skb, const bool v6)
{
	void *data = linear(skb, ETH_HLEN + ip_header_bytes(v6));
	struct fragment f = {};
	struct ipv6hdr *ip6;
	struct iphdr *ip4;

	if (!data)
		return finish(REASON_OUT_OTHER, TC_NEXT);
	ip6 = data + ETH_HLEN;
	ip4 = data + ETH_HLEN;
	f.proto = v6 ? ip6->nexthdr : ip4->protocol;
	if ((!v6 && (ip4->frag_off & bpf_htons(IP_FRAGMENT) || f.proto == IPPROTO_ICMP)) ||
	    (v6 && (f.proto == IPPROTO_FRAGMENT || f.proto == IPPROTO_ICMPV6))) {
		bpf_tail_call(skb, &programs, v6 ? HOST_LEAVE_REST6 : HOST_LEAVE_REST4);
		return finish(REASON_HOST_INTERNAL, TC_DROP); /* Python fills the map before it attaches us */
	}
	if (v6)
		__builtin_memcpy(f.key.v6.saddr, &ip6->saddr, 32);
	else
		__builtin_memcpy(&f.key.v4.saddr, &ip4->saddr, 8);
	f.l4_at = ETH_HLEN + (v6 ? sizeof(*ip6) : ip4->ihl * 4);
	/* What is to be sent in segments may be longer than the header can tell. */
	f.l4_bytes = skb->len - f.l4_at;
	return leave_packet(skb, &f, false, v6);
}

#endif
