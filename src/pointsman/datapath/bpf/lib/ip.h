/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* IP headers of our own packets: bundles, notices, answers. */
#ifndef POINTSMAN_IP_H
#define POINTSMAN_IP_H

#include "base.h"
#include "csum.h"

#define OWN_TTL 64

/* Writes a whole header. bytes: of what follows it. */
static __always_inline void ip4_fill(struct iphdr *ip, __be32 saddr, __be32 daddr, __u8 protocol,
				     __u32 bytes)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = bpf_htons(sizeof(*ip) + bytes);
	ip->frag_off = bpf_htons(IP_DF);
	ip->ttl = OWN_TTL;
	ip->protocol = protocol;
	ip->saddr = saddr;
	ip->daddr = daddr;
	ip4_set_csum(ip);
}

/* saddr, daddr: 16 bytes each. */
static __always_inline void ip6_fill(struct ipv6hdr *ip, const void *saddr, const void *daddr,
				     __u8 protocol, __u32 bytes)
{
	*(__be32 *)ip = bpf_htonl(6 << 28);
	ip->payload_len = bpf_htons(bytes);
	ip->nexthdr = protocol;
	ip->hop_limit = OWN_TTL;
	__builtin_memcpy(&ip->saddr, saddr, sizeof(ip->saddr));
	__builtin_memcpy(&ip->daddr, daddr, sizeof(ip->daddr));
}

#endif
