/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The parse of a plain frame at XDP: Ethernet, IPv4 or IPv6 with nothing between, TCP or UDP.
 *
 * Functions that serve both families take `v6`, known at compile time, so that each family's
 * program holds only its own half.
 */
#ifndef POINTSMAN_PACKET_H
#define POINTSMAN_PACKET_H

#include "base.h"

#define IP4_PLAIN 0x45 /* version 4, no options */

struct packet {
	struct ethhdr *eth;
	struct iphdr *ip4; /* one of the two is set */
	struct ipv6hdr *ip6;
	union {
		struct tcphdr *tcp;
		struct udphdr *udp;
		void *l4;
	};
	__u32 ip_bytes; /* IP header to the end of the payload; the frame may be padded beyond */
	__u32 l4_bytes; /* TCP or UDP header and payload */
	__u32 l4_header; /* bytes */
	__u8 proto;
};

union ports {
	__be16 port[2]; /* source, destination */
	__be32 word;
};

union flow_key {
	struct flow_key4 v4;
	struct flow_key6 v6;
};

static __always_inline __u32 ip_header_bytes(const bool v6)
{
	return v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
}

static __always_inline __u32 payload_bytes(const struct packet *p)
{
	return p->l4_bytes - p->l4_header;
}

static __always_inline bool parse_ip4(struct packet *p, void *end)
{
	struct iphdr *ip = p->ip4;

	if ((void *)(ip + 1) > end || *(__u8 *)ip != IP4_PLAIN || ip->frag_off & bpf_htons(IP_FRAGMENT))
		return false;
	p->proto = ip->protocol;
	p->ip_bytes = bpf_ntohs(ip->tot_len);
	return true;
}

static __always_inline bool parse_ip6(struct packet *p, void *end)
{
	struct ipv6hdr *ip = p->ip6;

	if ((void *)(ip + 1) > end || ip->version != 6)
		return false;
	p->proto = ip->nexthdr;
	p->ip_bytes = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	return true;
}

/* Whether the frame is of so many bytes at least. Of a long one, drivers keep the end in buffers of
 * their own, which lie behind no pointer of ours. */
static __always_inline bool frame_holds(struct xdp_md *ctx, __u32 bytes)
{
	return (void *)(long)ctx->data + bytes <= (void *)(long)ctx->data_end || bytes <= bpf_xdp_get_buff_len(ctx);
}

/* Whether p is a plain, whole TCP segment or UDP datagram. What is not goes to lib/rest.h, which
 * finds out what it is. */
static __always_inline bool parse_plain(struct packet *p, struct xdp_md *ctx, const bool v6)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	p->eth = data;
	p->ip4 = v6 ? NULL : data + ETH_HLEN;
	p->ip6 = v6 ? data + ETH_HLEN : NULL;
	p->l4 = data + ETH_HLEN + ip_header_bytes(v6);
	if (!(v6 ? parse_ip6(p, end) : parse_ip4(p, end)) || (void *)(p->udp + 1) > end)
		return false;
	if (p->ip_bytes < ip_header_bytes(v6) + sizeof(struct udphdr) || !frame_holds(ctx, ETH_HLEN + p->ip_bytes))
		return false;
	p->l4_bytes = p->ip_bytes - ip_header_bytes(v6);
	if (p->proto == IPPROTO_UDP) {
		p->l4_header = sizeof(struct udphdr);
		return p->l4_bytes == bpf_ntohs(p->udp->len);
	}
	if (p->proto != IPPROTO_TCP || (void *)(p->tcp + 1) > end)
		return false;
	p->l4_header = p->tcp->doff * 4;
	return p->l4_header >= sizeof(struct tcphdr) && p->l4_header <= p->l4_bytes;
}

static __always_inline void flow_key4_from(struct flow_key4 *key, const struct packet *p)
{
	*key = (struct flow_key4){ .saddr = p->ip4->saddr,
				   .daddr = p->ip4->daddr,
				   .sport = p->udp->source,
				   .dport = p->udp->dest,
				   .proto = p->proto };
}

static __always_inline void flow_key6_from(struct flow_key6 *key, const struct packet *p)
{
	__builtin_memcpy(key->saddr, &p->ip6->saddr, 2 * sizeof(key->saddr));
	key->sport = p->udp->source;
	key->dport = p->udp->dest;
	key->proto = p->proto;
}

static __always_inline void flow_key_from(union flow_key *key, const struct packet *p, const bool v6)
{
	if (v6)
		flow_key6_from(&key->v6, p);
	else
		flow_key4_from(&key->v4, p);
}

/* Sequence arithmetic (RFC 9293 §3.4): a after b. */
static __always_inline bool seq_after(__u32 a, __u32 b)
{
	return (__s32)(a - b) > 0;
}

#endif
