/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The one parse of a frame at XDP: Ethernet, IPv4 or IPv6, TCP.
 *
 * Functions that serve both families take `v6`, known at compile time, so that each family's
 * program holds only its own half.
 */
#ifndef POINTSMAN_PACKET_H
#define POINTSMAN_PACKET_H

#include "base.h"

struct packet {
	struct ethhdr *eth;
	struct iphdr *ip4; /* one of the two is set */
	struct ipv6hdr *ip6;
	struct tcphdr *tcp;
	__u32 ip_bytes; /* IP header to the end of the payload; the frame may be padded beyond */
	__u32 tcp_bytes; /* TCP header and payload */
	__u32 tcp_header; /* bytes */
};

static __always_inline __u32 ip_header_bytes(const bool v6)
{
	return v6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
}

static __always_inline __u32 payload_bytes(const struct packet *p)
{
	return p->tcp_bytes - p->tcp_header;
}

static __always_inline bool parse_ip4(struct packet *p, void *end, enum reason *why)
{
	struct iphdr *ip = p->ip4;

	if ((void *)(ip + 1) > end || ip->protocol != IPPROTO_TCP)
		return false;
	if (ip->version != 4 || ip->ihl < 5)
		goto malformed;
	if (ip->ihl != 5) {
		*why = REASON_IP_OPTIONS;
		return false;
	}
	if (ip->frag_off & bpf_htons(IP_FRAGMENT)) {
		*why = REASON_UNIT_FRAGMENT;
		return false;
	}
	p->ip_bytes = bpf_ntohs(ip->tot_len);
	if (p->ip_bytes < sizeof(*ip) + sizeof(struct tcphdr))
		goto malformed;
	p->tcp = (void *)(ip + 1);
	return true;
malformed:
	*why = REASON_UNIT_MALFORMED;
	return false;
}

static __always_inline bool parse_ip6(struct packet *p, void *end, enum reason *why)
{
	struct ipv6hdr *ip = p->ip6;

	if ((void *)(ip + 1) > end)
		return false;
	switch (ip->nexthdr) {
	case IPPROTO_TCP:
		break;
	case IPPROTO_FRAGMENT:
		*why = REASON_UNIT_FRAGMENT;
		return false;
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		*why = REASON_IP_OPTIONS;
		return false;
	default:
		return false;
	}
	p->ip_bytes = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	if (ip->version != 6 || p->ip_bytes < sizeof(*ip) + sizeof(struct tcphdr)) {
		*why = REASON_UNIT_MALFORMED;
		return false;
	}
	p->tcp = (void *)(ip + 1);
	return true;
}

/* Whether p is a whole TCP segment. If not, *why says what is wrong with it, should it be for one
 * of our VIPs; REASON_NOT_OURS if it is no TCP at all. The address is readable then only if
 * packet_has_address(). */
static __always_inline bool parse_segment(struct packet *p, void *data, void *end, const bool v6,
					  enum reason *why)
{
	*why = REASON_NOT_OURS;
	p->eth = data;
	p->ip4 = v6 ? NULL : data + ETH_HLEN;
	p->ip6 = v6 ? data + ETH_HLEN : NULL;
	if (v6 ? !parse_ip6(p, end, why) : !parse_ip4(p, end, why))
		return false;
	*why = REASON_UNIT_MALFORMED;
	if ((void *)(p->tcp + 1) > end || data + ETH_HLEN + p->ip_bytes > end)
		return false;
	p->tcp_bytes = p->ip_bytes - ip_header_bytes(v6);
	p->tcp_header = p->tcp->doff * 4;
	return p->tcp_header >= sizeof(struct tcphdr) && p->tcp_header <= p->tcp_bytes;
}

static __always_inline void flow_key4_from(struct flow_key4 *key, const struct packet *p)
{
	key->saddr = p->ip4->saddr;
	key->daddr = p->ip4->daddr;
	key->sport = p->tcp->source;
	key->dport = p->tcp->dest;
}

static __always_inline void flow_key6_from(struct flow_key6 *key, const struct packet *p)
{
	__builtin_memcpy(key->saddr, &p->ip6->saddr, 2 * sizeof(key->saddr));
	key->sport = p->tcp->source;
	key->dport = p->tcp->dest;
}

union flow_key {
	struct flow_key4 v4;
	struct flow_key6 v6;
};

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
