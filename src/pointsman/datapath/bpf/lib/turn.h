/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Gives a packet in an skb other addresses and ports, whatever the state of its checksums: whole, left
 * to the device (CHECKSUM_PARTIAL) or summed by it (CHECKSUM_COMPLETE). For what is not in a hurry;
 * restore.h does the same to most packets, faster. */
#ifndef POINTSMAN_TURN_H
#define POINTSMAN_TURN_H

#include "base.h"
#include "packet.h"
#include "skb.h"

#define IP4_CHECK_AT (ETH_HLEN + offsetof(struct iphdr, check))

/* Writes both addresses of the IP header; *diff becomes what that makes to a sum over them. */
static __always_inline long addresses_store(struct __sk_buff *skb, const void *addresses, __s64 *diff,
					    const bool v6)
{
	const __u32 bytes = 2 * address_bytes(v6);
	__be32 old[8];

	if (bpf_skb_load_bytes(skb, addresses_at(v6), old, bytes))
		return -1;
	*diff = bpf_csum_diff(old, bytes, (void *)addresses, bytes, 0);
	/* A driver's sum sees no change over IPv4, whose header has a checksum of its own. */
	if (!v6 && bpf_l3_csum_replace(skb, IP4_CHECK_AT, 0, *diff, 0))
		return -1;
	return bpf_skb_store_bytes(skb, addresses_at(v6), addresses, bytes, v6 ? BPF_F_RECOMPUTE_CSUM : 0);
}

/* The same where nothing behind the IP header depends on it: in a later fragment. */
static __always_inline long addresses_turn(struct __sk_buff *skb, const void *addresses, const bool v6)
{
	__s64 diff;

	return addresses_store(skb, addresses, &diff, v6);
}

/* to: addresses, then ports. l4_at: of a TCP or UDP header, from the MAC header. A UDP checksum of
 * zero, none, stays zero. */
static __always_inline long tuple_turn(struct __sk_buff *skb, __u32 l4_at, const union flow_key *to,
				       __u32 proto, const bool v6)
{
	const __be32 *ports = v6 ? (void *)&to->v6.sport : (void *)&to->v4.sport;
	__u32 check_at = l4_at + offsetof(struct udphdr, check);
	__u64 zero = BPF_F_MARK_MANGLED_0;
	__u64 ports_flags = 0;
	__be32 old_ports;
	__u16 check;
	__s64 diff;

	if (proto == IPPROTO_TCP) {
		check_at = l4_at + offsetof(struct tcphdr, check);
		zero = 0;
	}
	if (bpf_skb_load_bytes(skb, l4_at, &old_ports, sizeof(old_ports)) ||
	    bpf_skb_load_bytes(skb, check_at, &check, sizeof(check)) ||
	    addresses_store(skb, to, &diff, v6))
		return -1;
	if (proto == IPPROTO_UDP && !check)
		ports_flags = BPF_F_RECOMPUTE_CSUM; /* no checksum takes their change back */
	/* The kernel takes it for granted that the addresses are IPv4's, and mends a driver's sum by their
	 * difference once more: over IPv6 that takes back what BPF_F_RECOMPUTE_CSUM added above. */
	else if (bpf_l4_csum_replace(skb, check_at, 0, diff, BPF_F_PSEUDO_HDR | zero) ||
		 bpf_l4_csum_replace(skb, check_at, old_ports, *ports, sizeof(old_ports) | zero))
		return -1;
	return bpf_skb_store_bytes(skb, l4_at, ports, sizeof(*ports), ports_flags);
}

#endif
