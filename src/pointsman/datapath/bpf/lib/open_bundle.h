/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A bundle, read from the skb and believed only as far as its tag goes (docs/wire/bundle.md). */
#ifndef POINTSMAN_OPEN_BUNDLE_H
#define POINTSMAN_OPEN_BUNDLE_H

#include "base.h"
#include "finish.h"
#include "quote.h"
#include "packet.h"
#include "tag.h"
#include "turn.h"

/* What a bundle says and carries. */
struct parcel {
	struct bundle head;
	union flow_key key; /* of the carried packet */
	struct tcphdr tcp; /* without options; of a datagram only the ports */
	__u32 l4_header; /* bytes */
	__u32 offset; /* of the carried IP header, from the MAC header */
};

static __always_inline __u32 parcel_proto(const struct parcel *in, const bool v6)
{
	return v6 ? in->key.v6.proto : in->key.v4.proto;
}

/* Reads the carried IP header; returns its total length, 0 if it can't be one. */
static __always_inline __u32 parcel_ip(struct __sk_buff *skb, struct parcel *in, const bool v6)
{
	struct ipv6hdr ip6;
	struct iphdr ip4;

	if (v6) {
		if (bpf_skb_load_bytes(skb, in->offset, &ip6, sizeof(ip6)) || ip6.version != 6)
			return 0;
		__builtin_memcpy(in->key.v6.saddr, &ip6.saddr, 32);
		in->key.v6.proto = ip6.nexthdr;
		return sizeof(ip6) + bpf_ntohs(ip6.payload_len);
	}
	if (bpf_skb_load_bytes(skb, in->offset, &ip4, sizeof(ip4)) || ip4.version != 4 || ip4.ihl != 5 ||
	    ip4.frag_off & bpf_htons(IP_FRAGMENT))
		return 0;
	in->key.v4.saddr = ip4.saddr;
	in->key.v4.daddr = ip4.daddr;
	in->key.v4.proto = ip4.protocol;
	return bpf_ntohs(ip4.tot_len);
}

/* Ports and, of TCP, the rest of the header; false if it is cut off, or what no bundle carries. */
static __always_inline bool parcel_l4(struct __sk_buff *skb, struct parcel *in, const bool v6)
{
	__u32 proto = parcel_proto(in, v6);
	__u32 at = in->offset + ip_header_bytes(v6);

	if (proto == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(skb, at, &in->tcp, sizeof(in->tcp)))
			return false;
		in->l4_header = in->tcp.doff * 4;
	} else if (proto == IPPROTO_UDP) {
		in->l4_header = sizeof(struct udphdr);
		if (bpf_skb_load_bytes(skb, at, &in->tcp, 2 * sizeof(__be16)))
			return false;
	} else {
		in->l4_header = ICMP_HEADER;
		return proto == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	}
	if (v6)
		__builtin_memcpy(&in->key.v6.sport, &in->tcp.source, 4);
	else
		__builtin_memcpy(&in->key.v4.sport, &in->tcp.source, 4);
	return proto == IPPROTO_UDP || in->l4_header >= sizeof(struct tcphdr);
}

static __always_inline bool parcel_tag_right(const struct parcel *in, const bool v6)
{
	struct bundle b = in->head;
	union tagged t;

	b.flags &= ~BUNDLE_AGAIN;
	if (v6)
		t.v6 = (struct tagged6){ .key = in->key.v6, .seq = in->tcp.seq, .ack = in->tcp.ack_seq };
	else
		t.v4 = (struct tagged4){ .key = in->key.v4, .seq = in->tcp.seq, .ack = in->tcp.ack_seq };
	return b.tag == tag_make(&t, &b, v6);
}

/* Whether the outer packet ends where the frame does: no bundle is so short that it is padded. */
static __always_inline bool fills_frame(struct __sk_buff *skb, const bool v6)
{
	const __u32 at = v6 ? offsetof(struct ipv6hdr, payload_len) : offsetof(struct iphdr, tot_len);
	__be16 bytes;

	if (bpf_skb_load_bytes(skb, ETH_HLEN + at, &bytes, sizeof(bytes)))
		return false;
	return ETH_HLEN + (v6 ? sizeof(struct ipv6hdr) : 0) + bpf_ntohs(bytes) == skb->len;
}

/* REASON_COUNT: all is well. Otherwise why the bundle is dropped. The outer IP header has been
 * checked against the skb's length. */
static __always_inline enum reason parcel_open(struct __sk_buff *skb, struct parcel *in, const bool v6)
{
	__u32 ip_bytes, carried, bundle_at = ETH_HLEN + ip_header_bytes(v6) + sizeof(struct udphdr);
	bool truncated;

	in->offset = ETH_HLEN + bundle_room(v6);
	if (!fills_frame(skb, v6) || bpf_skb_load_bytes(skb, bundle_at, &in->head, sizeof(in->head)))
		return REASON_HOST_MALFORMED;
	if (in->head.version != BUNDLE_VERSION)
		return REASON_BAD_TAG;
	ip_bytes = parcel_ip(skb, in, v6);
	if (!ip_bytes || !parcel_l4(skb, in, v6))
		return REASON_HOST_MALFORMED;
	if (!parcel_tag_right(in, v6))
		return REASON_BAD_TAG;
	carried = skb->len - in->offset;
	truncated = in->head.kind == BUNDLE_TEACH_ONLY;
	if (ip_header_bytes(v6) + in->l4_header > carried || (!truncated && ip_bytes != carried))
		return REASON_HOST_MALFORMED;
	return REASON_COUNT;
}

/* Takes off everything in front of the carried packet but the MAC header. */
static __always_inline long parcel_unwrap(struct __sk_buff *skb, const bool v6)
{
	return bpf_skb_adjust_room(skb, -(__s32)bundle_room(v6), BPF_ADJ_ROOM_MAC, 0);
}

/* The same, and turns the packet to its endpoint, if that has an address of its own (own.h). */
static __always_inline long parcel_strip(struct __sk_buff *skb, const struct parcel *in, const bool v6)
{
	if (parcel_unwrap(skb, v6))
		return -1;
	return in->head.endpoint ? tuple_turn(skb, ETH_HLEN + ip_header_bytes(v6), &in->key, parcel_proto(in, v6),
					      v6) : 0;
}

/* Gives the carried packet to the stack. */
static __always_inline int parcel_pass(struct __sk_buff *skb, const struct parcel *in, enum reason reason,
				       const bool v6)
{
	return parcel_strip(skb, in, v6) ? finish(REASON_HOST_INTERNAL, TC_DROP) : finish(reason, TC_NEXT);
}

#endif
