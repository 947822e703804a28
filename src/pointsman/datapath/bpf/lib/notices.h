/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Notices from hosts that lost mappings: they raise the host's epoch (docs/wire/bundle.md). */
#ifndef POINTSMAN_NOTICES_H
#define POINTSMAN_NOTICES_H

#include "base.h"
#include "finish.h"
#include "packet.h"
#include "tag.h"

/* A host that has started anew has lost all mappings: the epoch rises at once. One that lost some
 * raises it once a tick at most, so that strays cost little. */
static __always_inline void epoch_raise(__u32 host, __be64 nonce)
{
	struct host_epoch *e = bpf_map_lookup_elem(&host_epochs, &host);
	__u32 now = tick_now();

	if (!e || (e->nonce == nonce && e->tick == now))
		return;
	e->nonce = nonce;
	e->tick = now;
	__sync_fetch_and_add(&e->epoch, 1);
}

static __always_inline int notice_take(const struct notice *n, const void *addresses,
				       const __u32 *host, const bool v6)
{
	struct siphash_key secret = TAG_KEY();

	if (!host || n->version != BUNDLE_VERSION || n->kind != NOTICE_UNKNOWN ||
	    n->tag != notice_tag(n, addresses, v6, &secret))
		return finish(REASON_BAD_NOTICE, XDP_DROP);
	epoch_raise(*host, n->nonce);
	return finish(REASON_NOTICE, XDP_DROP);
}

/* Whether a packet that is no TCP is a notice for us; if so, *verdict is its end. */
static __always_inline bool notice_handle(void *data, void *end, const bool v6, int *verdict)
{
	struct iphdr *ip4 = data + ETH_HLEN;
	struct ipv6hdr *ip6 = data + ETH_HLEN;
	struct udphdr *udp = data + ETH_HLEN + ip_header_bytes(v6);
	struct notice *n = (void *)(udp + 1);
	struct in6_key source;
	__be32 tunnel6[4];

	if ((void *)(udp + 1) > end || udp->dest != config.bundle_port)
		return false;
	if (v6) {
		for (int i = 0; i < 4; i++)
			tunnel6[i] = config.tunnel6[i];
		if (ip6->nexthdr != IPPROTO_UDP ||
		    __builtin_memcmp(&ip6->daddr, tunnel6, sizeof(tunnel6)))
			return false;
	} else if (ip4->protocol != IPPROTO_UDP || ip4->ihl != 5 ||
		   ip4->frag_off & bpf_htons(IP_FRAGMENT) || ip4->daddr != config.tunnel4) {
		return false;
	}
	if ((void *)(n + 1) > end) {
		*verdict = finish(REASON_BAD_NOTICE, XDP_DROP);
	} else if (v6) {
		__builtin_memcpy(&source, &ip6->saddr, sizeof(source));
		*verdict = notice_take(n, &ip6->saddr, bpf_map_lookup_elem(&host_numbers6, &source), v6);
	} else {
		*verdict = notice_take(n, &ip4->saddr, bpf_map_lookup_elem(&host_numbers4, &ip4->saddr), v6);
	}
	return true;
}

#endif
