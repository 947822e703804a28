/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Turns a flow id back into the client's addresses and ports, or asks the unit what it means. */
#ifndef POINTSMAN_RESTORE_H
#define POINTSMAN_RESTORE_H

#include "base.h"
#include "csum.h"
#include "finish.h"
#include "mappings.h"
#include "sockets.h"
#include "tag.h"

#define EARLY_TICKS 3 /* an upload is over long before, or never */

/* A segment that overtakes its connection's upload would draw a RST that ends it. */
static __always_inline bool is_early(struct __sk_buff *skb, const void *client, __u32 learnt,
				     __u32 *flags, const bool v6)
{
	struct bpf_sock *skc;
	__u32 state;

	if ((*flags & (MAPPING_UPLOADED | MAPPING_CONFIRMED)) != MAPPING_UPLOADED)
		return false;
	skc = socket_find(skb, client, v6);
	if (skc) {
		state = skc->state;
		bpf_sk_release(skc);
		if (state != STATE_LISTEN) {
			*flags |= MAPPING_CONFIRMED;
			return false;
		}
	}
	return tick_now() - learnt < EARLY_TICKS;
}

/* client: the client's 4-tuple, as in the map; old: addresses then ports, as in the packet. */
static __always_inline long restore4(struct __sk_buff *skb, const struct flow_key4 *client,
				     const struct flow_key4 *old)
{
	const __u32 ip = ETH_HLEN, tcp = ETH_HLEN + sizeof(struct iphdr);
	const __u32 check = tcp + offsetof(struct tcphdr, check);
	struct flow_key4 from = *old, to = *client;
	__s64 addresses = bpf_csum_diff((__be32 *)&from, 8, (__be32 *)&to, 8, 0);

	return bpf_l4_csum_replace(skb, check, 0, addresses, BPF_F_PSEUDO_HDR) ||
	       bpf_l4_csum_replace(skb, check, *(__be32 *)&from.sport, *(__be32 *)&to.sport, 4) ||
	       bpf_l3_csum_replace(skb, ip + offsetof(struct iphdr, check), 0, addresses, 0) ||
	       bpf_skb_store_bytes(skb, ip + offsetof(struct iphdr, saddr), &to, 8, 0) ||
	       bpf_skb_store_bytes(skb, tcp, &to.sport, 4, 0);
}

/* No pseudo-header flag: without an IP checksum, the change of the addresses and that of the TCP
 * checksum cancel out in a sum over the whole packet (CHECKSUM_COMPLETE). */
static __always_inline long restore6(struct __sk_buff *skb, const struct flow_key6 *client,
				     const struct flow_key6 *old)
{
	const __u32 ip = ETH_HLEN, tcp = ETH_HLEN + sizeof(struct ipv6hdr);
	struct flow_key6 from = *old, to = *client;
	__s64 all = bpf_csum_diff((__be32 *)&from, sizeof(from), (__be32 *)&to, sizeof(to), 0);

	return bpf_l4_csum_replace(skb, tcp + offsetof(struct tcphdr, check), 0, all, 0) ||
	       bpf_skb_store_bytes(skb, ip + offsetof(struct ipv6hdr, saddr), &to, 32, 0) ||
	       bpf_skb_store_bytes(skb, tcp, &to.sport, 4, 0);
}

/* ---- unknown flow ids ---- */

/* Turns the packet, whose outer addresses are given, into a notice to where it came from. */
static __always_inline int notify(struct __sk_buff *skb, const union client_key *outer, __be32 flow_id,
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
	struct ipv6hdr ip6 = { .version = 6, .payload_len = bpf_htons(sizeof(n)),
			       .nexthdr = IPPROTO_UDP, .hop_limit = 64 };
	struct iphdr ip4 = { .version = 4, .ihl = 5, .tot_len = bpf_htons(sizeof(ip4) + sizeof(n)),
			     .frag_off = bpf_htons(IP_DF), .ttl = 64, .protocol = IPPROTO_UDP };
	struct siphash_key secret = TAG_KEY();
	__u8 macs[2 * ETH_ALEN];

	if (v6) {
		__builtin_memcpy(&ip6.saddr, outer->v6.daddr, 16);
		__builtin_memcpy(&ip6.daddr, outer->v6.saddr, 16);
		n.notice.tag = notice_tag(&n.notice, &ip6.saddr, true, &secret);
	} else {
		ip4.saddr = outer->v4.daddr;
		ip4.daddr = outer->v4.saddr;
		ip4_set_csum(&ip4);
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
					   const union client_key *outer, const bool v6)
{
	struct mapping4 *m4 = NULL;
	struct mapping6 *m6 = NULL;
	bool early;
	long error;

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
	error = v6 ? restore6(skb, &m6->key, &outer->v6) : restore4(skb, &m4->key, &outer->v4);
	return error ? finish(REASON_HOST_INTERNAL, TC_DROP) : finish(REASON_RESTORED, TC_NEXT);
}

#endif
