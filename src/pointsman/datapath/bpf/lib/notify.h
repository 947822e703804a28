/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* A flow id that the host does not know: the unit must be told (docs/wire/bundle.md). */
#ifndef POINTSMAN_NOTIFY_H
#define POINTSMAN_NOTIFY_H

#include "base.h"
#include "finish.h"
#include "ip.h"
#include "packet.h"
#include "skb.h"
#include "tag.h"

/* Turns the packet, whose flow id is given, into a notice to where it came from. */
static __always_inline int notify(struct __sk_buff *skb, __be32 flow_id, const bool v6)
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
	__be32 outer[8]; /* source, destination */
	__u8 macs[2 * ETH_ALEN];

	if (bpf_skb_load_bytes(skb, addresses_at(v6), outer, address_bytes(v6) * 2))
		return finish(REASON_HOST_INTERNAL, TC_DROP);
	if (v6) {
		ip6_fill(&ip6, outer + 4, outer, IPPROTO_UDP, sizeof(n));
		n.notice.tag = notice_tag(&n.notice, &ip6.saddr, true, &secret);
	} else {
		ip4_fill(&ip4, outer[1], outer[0], IPPROTO_UDP, sizeof(n));
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

#endif
