/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ICMP and ICMPv6 errors: the start of a packet that they quote, and how to turn it (RFC 792, 4443). */
#ifndef POINTSMAN_QUOTE_H
#define POINTSMAN_QUOTE_H

#include "base.h"
#include "csum.h"
#include "packet.h"
#include "skb.h"

#define ICMP_HEADER 8
#define ICMP_CHECK_AT 2

struct quote {
	union flow_key key; /* as quoted */
	__u32 icmp_at; /* from the MAC header */
	__u32 ip_at; /* quoted IP header */
	__u32 l4_at; /* quoted ports */
};

static __always_inline bool is_icmp_error(__u8 type, const bool v6)
{
	if (v6)
		return type >= 1 && type <= 4;
	return type == 3 || type == 11 || type == 12;
}

/* Reads the quote of the error at icmp_at; false if it quotes neither TCP nor UDP. */
static __always_inline bool quote_read(struct __sk_buff *skb, struct quote *q, __u32 icmp_at, const bool v6)
{
	struct ipv6hdr ip6;
	struct iphdr ip4;
	void *ports;
	__u32 proto;
	__u8 type;

	__builtin_memset(q, 0, sizeof(*q));
	q->icmp_at = icmp_at;
	q->ip_at = icmp_at + ICMP_HEADER;
	if (bpf_skb_load_bytes(skb, icmp_at, &type, sizeof(type)) || !is_icmp_error(type, v6))
		return false;
	if (v6) {
		if (bpf_skb_load_bytes(skb, q->ip_at, &ip6, sizeof(ip6)) || ip6.version != 6)
			return false;
		__builtin_memcpy(q->key.v6.saddr, &ip6.saddr, 32);
		q->key.v6.proto = proto = ip6.nexthdr;
		q->l4_at = q->ip_at + sizeof(ip6);
		ports = &q->key.v6.sport;
	} else {
		if (bpf_skb_load_bytes(skb, q->ip_at, &ip4, sizeof(ip4)) || ip4.version != 4 || ip4.ihl < 5 ||
		    ip4.frag_off & bpf_htons(IP_OFFSET))
			return false;
		q->key.v4.saddr = ip4.saddr;
		q->key.v4.daddr = ip4.daddr;
		q->key.v4.proto = proto = ip4.protocol;
		q->l4_at = q->ip_at + ip4.ihl * 4;
		ports = &q->key.v4.sport;
	}
	return (proto == IPPROTO_TCP || proto == IPPROTO_UDP) && !bpf_skb_load_bytes(skb, q->l4_at, ports, 4);
}

/* Replaces an address of this frame; *sum becomes what that makes to a sum over it. */
static __always_inline long address_put(struct __sk_buff *skb, __u32 at, const void *address, __u32 *sum,
					const bool v6)
{
	__be32 old[4];

	if (bpf_skb_load_bytes(skb, at, old, address_bytes(v6)))
		return -1;
	*sum = csum_fold(bpf_csum_diff(old, address_bytes(v6), (void *)address, address_bytes(v6), 0));
	return bpf_skb_store_bytes(skb, at, address, address_bytes(v6), 0);
}

/* Mends the quoted checksum, as far as it is quoted and there is one. */
static __always_inline long quoted_check_mend(struct __sk_buff *skb, const struct quote *q, __u32 proto,
					      __u32 change, __u32 *sum)
{
	__u32 at = q->l4_at + (proto == IPPROTO_TCP ? offsetof(struct tcphdr, check) :
						      offsetof(struct udphdr, check));
	__u16 old, check;

	if (bpf_skb_load_bytes(skb, at, &old, sizeof(old)) || (proto == IPPROTO_UDP && !old))
		return 0;
	check = csum_apply(old, csum_fold(change));
	if (proto == IPPROTO_UDP && !check)
		check = 0xffff;
	*sum += (__u16)~old + check;
	return bpf_skb_store_bytes(skb, at, &check, sizeof(check), 0);
}

/* Turns the quoted packet's source (or else its destination) to this address and port, and with it the
 * error's own destination (or source): the same end of the conversation. Every change of the bytes is
 * taken back by some checksum, so a driver's sum over them all stays right. */
static __always_inline long quote_turn(struct __sk_buff *skb, const struct quote *q, const void *address,
				       __be16 port, const bool source, const bool v6)
{
	const __u32 bytes = address_bytes(v6), first = addresses_at(v6) - ETH_HLEN;
	const __u32 outer_at = ETH_HLEN + first + (source ? bytes : 0);
	__u32 port_at = q->l4_at + (source ? 0 : 2), proto = v6 ? q->key.v6.proto : q->key.v4.proto;
	__u32 outer, quoted, ports, sum;
	__be16 old_port;

	if (address_put(skb, outer_at, address, &outer, v6) ||
	    address_put(skb, q->ip_at + first + (source ? 0 : bytes), address, &quoted, v6) ||
	    bpf_skb_load_bytes(skb, port_at, &old_port, sizeof(old_port)) ||
	    bpf_skb_store_bytes(skb, port_at, &port, sizeof(port), 0))
		return -1;
	ports = (__u16)~old_port + port;
	/* ICMPv6 covers the addresses of its own IP header; an IPv4 header is covered by itself. */
	sum = v6 ? outer + quoted + ports : ports;
	if (!v6 && (bpf_l3_csum_replace(skb, ETH_HLEN + offsetof(struct iphdr, check), 0, csum_fold(outer), 0) ||
		    bpf_l3_csum_replace(skb, q->ip_at + offsetof(struct iphdr, check), 0, csum_fold(quoted), 0)))
		return -1;
	if (quoted_check_mend(skb, q, proto, quoted + ports, &sum))
		return -1;
	return bpf_l4_csum_replace(skb, q->icmp_at + ICMP_CHECK_AT, 0, csum_fold(sum), 0);
}

#endif
