/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The start of a packet that an ICMP error quotes: read, and turned into another one's at XDP.
 *
 * Where it lies depends on the packet, so helpers read and write it: this is rare, and need not be fast.
 */
#ifndef POINTSMAN_UNIT_QUOTE_H
#define POINTSMAN_UNIT_QUOTE_H

#include "base.h"
#include "csum.h"
#include "fragment.h"
#include "packet.h"

#define ICMP_HEADER 8

struct icmp_header {
	__u8 type;
	__u8 code;
	__u16 check;
	__be32 rest; /* of packet too big and fragmentation needed: the MTU */
};

struct quote {
	union flow_key key; /* as quoted: the source is the quoted packet's */
	__u32 ip_at; /* from the MAC header */
	__u32 l4_at;
	__u32 end; /* of what is quoted */
};

static __always_inline bool is_icmp_error(__u8 type, const bool v6)
{
	/* Unreachable, too big, time exceeded, parameter problem. */
	return v6 ? type >= 1 && type <= 4 : type == 3 || type == 11 || type == 12;
}

/* The start of an ICMP message behind a bare IP header; its end may be missing. */
static __always_inline bool parse_icmp_at(struct packet *p, void *data, void *end, const bool v6)
{
	p->eth = data;
	p->ip4 = v6 ? NULL : data + ETH_HLEN;
	p->ip6 = v6 ? data + ETH_HLEN : NULL;
	p->l4 = data + ETH_HLEN + ip_header_bytes(v6);
	p->l4_header = ICMP_HEADER;
	if (!(v6 ? parse_ip6(p, end) : parse_ip4(p, end)) || p->proto != (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) ||
	    p->l4 + ICMP_HEADER > end || p->ip_bytes < ip_header_bytes(v6) + ICMP_HEADER)
		return false;
	p->l4_bytes = p->ip_bytes - ip_header_bytes(v6);
	return true;
}

/* A whole one. */
static __always_inline bool parse_icmp(struct packet *p, struct xdp_md *ctx, const bool v6)
{
	return parse_icmp_at(p, (void *)(long)ctx->data, (void *)(long)ctx->data_end, v6) &&
	       frame_holds(ctx, ETH_HLEN + p->ip_bytes);
}

static __always_inline bool quote_ip4(struct xdp_md *ctx, struct quote *q)
{
	struct iphdr ip;

	if (q->ip_at + sizeof(ip) > q->end || bpf_xdp_load_bytes(ctx, q->ip_at, &ip, sizeof(ip)) ||
	    ip.version != 4 || ip.ihl < 5 || ip.frag_off & bpf_htons(IP_OFFSET))
		return false;
	q->key.v4.saddr = ip.saddr;
	q->key.v4.daddr = ip.daddr;
	q->key.v4.proto = ip.protocol;
	q->l4_at = q->ip_at + ip.ihl * 4;
	return true;
}

/* A fragment header is the only extension that packets of ours have. */
static __always_inline bool quote_ip6(struct xdp_md *ctx, struct quote *q)
{
	struct fragment_header fragment;
	struct ipv6hdr ip;

	if (q->ip_at + sizeof(ip) > q->end || bpf_xdp_load_bytes(ctx, q->ip_at, &ip, sizeof(ip)) || ip.version != 6)
		return false;
	__builtin_memcpy(q->key.v6.saddr, &ip.saddr, 32);
	q->key.v6.proto = ip.nexthdr;
	q->l4_at = q->ip_at + sizeof(ip);
	if (ip.nexthdr != IPPROTO_FRAGMENT)
		return true;
	if (bpf_xdp_load_bytes(ctx, q->l4_at, &fragment, sizeof(fragment)) ||
	    fragment.offset & bpf_htons(IP6_OFFSET))
		return false;
	q->key.v6.proto = fragment.nexthdr;
	q->l4_at += sizeof(fragment);
	return true;
}

/* False if it quotes too little, or something without ports. */
static __always_inline bool quote_read(struct xdp_md *ctx, const struct packet *p, struct quote *q, const bool v6)
{
	__u32 proto;

	__builtin_memset(q, 0, sizeof(*q));
	q->ip_at = ETH_HLEN + ip_header_bytes(v6) + ICMP_HEADER;
	q->end = ETH_HLEN + p->ip_bytes;
	if (!(v6 ? quote_ip6(ctx, q) : quote_ip4(ctx, q)) || q->l4_at + 8 > q->end)
		return false;
	proto = v6 ? q->key.v6.proto : q->key.v4.proto;
	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return false;
	return !bpf_xdp_load_bytes(ctx, q->l4_at, v6 ? &q->key.v6.sport : &q->key.v4.sport, 4);
}

/* The key of the flow whose answers are like the quoted packet. */
static __always_inline void quote_reversed(const struct quote *q, union flow_key *key, const bool v6)
{
	if (v6) {
		__builtin_memcpy(key->v6.saddr, q->key.v6.daddr, 16);
		__builtin_memcpy(key->v6.daddr, q->key.v6.saddr, 16);
		key->v6.sport = q->key.v6.dport;
		key->v6.dport = q->key.v6.sport;
		key->v6.proto = q->key.v6.proto;
	} else {
		key->v4 = (struct flow_key4){ .saddr = q->key.v4.daddr,
					      .daddr = q->key.v4.saddr,
					      .sport = q->key.v4.dport,
					      .dport = q->key.v4.sport,
					      .proto = q->key.v4.proto };
	}
}

/* Mends the quoted header's checksum, as far as it is quoted and there is one. */
static __always_inline bool quote_mend(struct xdp_md *ctx, const struct quote *q, __u32 proto, __u32 change,
				       __u32 *sum)
{
	__u32 at = q->l4_at + (proto == IPPROTO_TCP ? offsetof(struct tcphdr, check) :
						      offsetof(struct udphdr, check));
	__u16 old, check;

	if (at + sizeof(old) > q->end)
		return true;
	if (bpf_xdp_load_bytes(ctx, at, &old, sizeof(old)))
		return false;
	if (proto == IPPROTO_UDP && !old)
		return true;
	check = csum_apply(old, csum_fold(change));
	if (proto == IPPROTO_UDP && !check)
		check = 0xffff;
	*sum += (__u16)~old + check;
	return !bpf_xdp_store_bytes(ctx, at, &check, sizeof(check));
}

/* Gives the quoted packet the addresses and ports of `to`. *sum grows by what that makes to a sum
 * over the whole message. False if the kernel refuses. */
static __always_inline bool quote_turn(struct xdp_md *ctx, const struct quote *q, const union flow_key *to,
				       __u32 *sum, const bool v6)
{
	const __u32 bytes = v6 ? 32 : 8;
	__u32 at = q->ip_at + (v6 ? offsetof(struct ipv6hdr, saddr) : offsetof(struct iphdr, saddr));
	__u32 addresses = csum_fold(csum_add_block(csum_sub_block(0, &q->key, bytes), to, bytes));
	const void *ports = (void *)to + bytes;
	__u32 change = csum_sub_block(addresses, (void *)&q->key + bytes, 4);
	__u16 check;

	change = csum_fold(csum_add_block(change, ports, 4));
	if (bpf_xdp_store_bytes(ctx, at, (void *)to, bytes) || bpf_xdp_store_bytes(ctx, q->l4_at, (void *)ports, 4))
		return false;
	if (v6) {
		*sum += change;
	} else { /* what the addresses do to the sum, their header's checksum takes back */
		at = q->ip_at + offsetof(struct iphdr, check);
		if (bpf_xdp_load_bytes(ctx, at, &check, sizeof(check)))
			return false;
		check = csum_apply(check, addresses);
		if (bpf_xdp_store_bytes(ctx, at, &check, sizeof(check)))
			return false;
		*sum += change + (__u16)~addresses;
	}
	return quote_mend(ctx, q, v6 ? q->key.v6.proto : q->key.v4.proto, change, sum);
}

#endif
