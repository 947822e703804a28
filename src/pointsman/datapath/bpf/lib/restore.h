/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Turns a flow id back into the client's addresses and ports, or asks the unit what it means. */
#ifndef POINTSMAN_RESTORE_H
#define POINTSMAN_RESTORE_H

#include "base.h"
#include "csum.h"
#include "finish.h"
#include "ip.h"
#include "mappings.h"
#include "skb.h"
#include "sockets.h"
#include "tag.h"

#define EARLY_TICKS 3 /* an upload is over long before, or never */

/* A segment that overtakes its connection's upload would draw a RST that ends it. */
static __always_inline bool is_early(struct __sk_buff *skb, const void *client, __u32 learnt,
				     __u32 *flags, const bool v6)
{
	if ((*flags & (MAPPING_UPLOADED | MAPPING_CONFIRMED)) != MAPPING_UPLOADED)
		return false;
	if (socket_lives(skb, client, v6)) {
		*flags |= MAPPING_CONFIRMED;
		return false;
	}
	return tick_now() - learnt < EARLY_TICKS;
}

/* The TCP checksum field after the addresses and the rest have changed by these sums. What GRO has
 * put together has the sum of its pseudo-header there, for whoever sends it on (CHECKSUM_PARTIAL). */
static __always_inline __u16 tcp_check_after(const struct __sk_buff *skb, __u16 check, __u32 addresses,
					     __u32 rest)
{
	return skb->gso_size ? csum_fold(check + addresses) :
			       csum_apply(check, csum_fold(addresses + rest));
}

/* Both write into the packet, whose headers are in its linear part (skb.h). `client` is the
 * client's 4-tuple, addresses then ports, as the packet had them before the unit turned them. */
static __always_inline void restore4(struct __sk_buff *skb, struct iphdr *ip, struct tcphdr *tcp,
				     const struct flow_key4 *client)
{
	__u32 addresses = csum_add_block(csum_sub_block(0, &ip->saddr, 8), client, 8);
	__u32 ports = csum_add_block(csum_sub_block(0, &tcp->source, 4), &client->sport, 4);

	tcp->check = tcp_check_after(skb, tcp->check, addresses, ports);
	ip->check = csum_apply(ip->check, csum_fold(addresses));
	__builtin_memcpy(&ip->saddr, client, 8);
	__builtin_memcpy(&tcp->source, &client->sport, 4);
	/* A driver's sum over the whole packet (CHECKSUM_COMPLETE) has changed by what the TCP
	 * checksum took of the addresses; in the IP header, address and checksum cancel out. */
	bpf_csum_update(skb, (__u16)~csum_fold(addresses));
}

/* Without an IP checksum, the addresses and the TCP checksum cancel out in such a sum. */
static __always_inline void restore6(struct __sk_buff *skb, struct ipv6hdr *ip, struct tcphdr *tcp,
				     const struct flow_key6 *client)
{
	__u32 addresses = csum_add_block(csum_sub_block(0, &ip->saddr, 32), client, 32);
	__u32 ports = csum_add_block(csum_sub_block(0, &tcp->source, 4), &client->sport, 4);

	tcp->check = tcp_check_after(skb, tcp->check, addresses, ports);
	__builtin_memcpy(&ip->saddr, client, 32);
	__builtin_memcpy(&tcp->source, &client->sport, 4);
}

/* ---- unknown flow ids ---- */

/* Turns the packet, whose outer addresses are given, into a notice to where it came from. */
static __always_inline int notify(struct __sk_buff *skb, const union flow_key *outer, __be32 flow_id,
				  const bool v6)
{
	const __u32 ip_bytes = ip_header_bytes(v6), at = ETH_HLEN + ip_bytes;
	struct {
		struct udphdr udp;
		struct notice notice;
	} n = { .udp = { .source = config.bundle_port, .dest = config.bundle_port,
			 .len = bpf_htons(sizeof(n)) },
		.notice = { .version = BUNDLE_VERSION, .kind = NOTICE_UNKNOWN, .flow_id = flow_id,
			    .nonce = config.nonce } };
	struct ipv6hdr ip6;
	struct iphdr ip4;
	struct siphash_key secret = TAG_KEY();
	__u8 macs[2 * ETH_ALEN];

	if (v6) {
		ip6_fill(&ip6, outer->v6.daddr, outer->v6.saddr, IPPROTO_UDP, sizeof(n));
		n.notice.tag = notice_tag(&n.notice, &ip6.saddr, true, &secret);
	} else {
		ip4_fill(&ip4, outer->v4.daddr, outer->v4.saddr, IPPROTO_UDP, sizeof(n));
		n.notice.tag = notice_tag(&n.notice, &ip4.saddr, false, &secret);
	}
	if (bpf_skb_load_bytes(skb, 0, macs, sizeof(macs)) ||
	    bpf_skb_change_tail(skb, at + sizeof(n), 0) ||
	    bpf_skb_store_bytes(skb, 0, macs + ETH_ALEN, ETH_ALEN, 0) ||
	    bpf_skb_store_bytes(skb, ETH_ALEN, macs, ETH_ALEN, 0) ||
	    bpf_skb_store_bytes(skb, ETH_HLEN, v6 ? (void *)&ip6 : (void *)&ip4, ip_bytes, 0) ||
	    bpf_skb_store_bytes(skb, at, &n, sizeof(n), 0))
		return finish(REASON_HOST_INTERNAL, TC_DROP);
	return finish(REASON_UNKNOWN_FLOW_ID, bpf_redirect(skb->ifindex, 0));
}

/* A TCP segment from a tunnel address: its ports are a flow id. */
static __always_inline int restore_segment(struct __sk_buff *skb, const union mapping_key *key,
					   const union flow_key *outer, const bool v6)
{
	struct mapping4 *m4 = NULL;
	struct mapping6 *m6 = NULL;
	bool early;
	void *data, *ip;

	if (v6) {
		m6 = mapping_find6(key);
		if (!m6)
			return notify(skb, outer, key->v6.flow_id, v6);
		early = is_early(skb, &m6->key, m6->learnt, &m6->flags, v6);
	} else {
		m4 = mapping_find4(key);
		if (!m4)
			return notify(skb, outer, key->v4.flow_id, v6);
		early = is_early(skb, &m4->key, m4->learnt, &m4->flags, v6);
	}
	if (early)
		return finish(REASON_EARLY, TC_DROP);
	data = linear(skb, ETH_HLEN + ip_header_bytes(v6) + sizeof(struct tcphdr));
	if (!data)
		return finish(REASON_HOST_MALFORMED, TC_DROP);
	ip = data + ETH_HLEN;
	if (v6)
		restore6(skb, ip, ip + sizeof(struct ipv6hdr), &m6->key);
	else
		restore4(skb, ip, ip + sizeof(struct iphdr), &m4->key);
	return finish(REASON_RESTORED, TC_NEXT);
}

#endif
