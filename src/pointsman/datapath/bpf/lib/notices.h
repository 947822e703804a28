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

static __always_inline bool to_tunnel(const struct packet *p, const bool v6)
{
	__be32 tunnel6[4];

	if (!v6)
		return p->ip4->daddr == config.tunnel4;
	for (int i = 0; i < 4; i++)
		tunnel6[i] = config.tunnel6[i];
	return !__builtin_memcmp(&p->ip6->daddr, tunnel6, sizeof(tunnel6));
}

/* Whether a datagram is for our tunnel address, where hosts send notices. */
static __always_inline bool is_notice(const struct packet *p, const bool v6)
{
	return p->udp->dest == config.bundle_port && to_tunnel(p, v6);
}

static __always_inline const __u32 *notice_host(const struct packet *p, const bool v6)
{
	struct in6_key source;

	if (!v6)
		return bpf_map_lookup_elem(&host_numbers4, &p->ip4->saddr);
	__builtin_memcpy(&source, &p->ip6->saddr, sizeof(source));
	return bpf_map_lookup_elem(&host_numbers6, &source);
}

static __always_inline int notice_take(const struct packet *p, void *end, const bool v6)
{
	const void *addresses = v6 ? (void *)&p->ip6->saddr : (void *)&p->ip4->saddr;
	const struct notice *n = (void *)(p->udp + 1);
	struct siphash_key secret = TAG_KEY();
	const __u32 *host;

	if ((void *)(n + 1) > end)
		return finish(REASON_BAD_NOTICE, XDP_DROP);
	host = notice_host(p, v6);
	if (!host || n->version != BUNDLE_VERSION || n->kind != NOTICE_UNKNOWN ||
	    n->tag != notice_tag(n, addresses, v6, &secret))
		return finish(REASON_BAD_NOTICE, XDP_DROP);
	epoch_raise(*host, n->nonce);
	return finish(REASON_NOTICE, XDP_DROP);
}

#endif
