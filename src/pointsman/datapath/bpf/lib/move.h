/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The forwarder's move along a route: addresses and ports turned in place, and out (R-A3, R-A6, R-E9).
 *
 * Not a byte is added. What the turning does to the checksums is the same for every packet of a
 * flow, so it is worked out once, at plumbing.
 */
#ifndef POINTSMAN_MOVE_H
#define POINTSMAN_MOVE_H

#include "base.h"
#include "csum.h"
#include "finish.h"
#include "packet.h"

static __always_inline void *endpoint_get(__u32 endpoint, const bool v6)
{
	return v6 ? bpf_map_lookup_elem(&endpoints6, &endpoint) :
		    bpf_map_lookup_elem(&endpoints4, &endpoint);
}

/* What both families have, in the same order. */
struct endpoint_rest {
	__u8 dmac[ETH_ALEN];
	__u8 smac[ETH_ALEN];
	__u32 ifindex;
	__u32 host;
	__be32 id;
	__be16 port;
	__u8 mode;
	__u8 flags;
};
_Static_assert(sizeof(struct endpoint4) - offsetof(struct endpoint4, dmac) == sizeof(struct endpoint_rest) &&
	       offsetof(struct endpoint4, flags) - offsetof(struct endpoint4, dmac) ==
		       offsetof(struct endpoint_rest, flags), "as endpoint4");
_Static_assert(sizeof(struct endpoint6) - offsetof(struct endpoint6, dmac) == sizeof(struct endpoint_rest) &&
	       offsetof(struct endpoint6, flags) - offsetof(struct endpoint6, dmac) ==
		       offsetof(struct endpoint_rest, flags), "as endpoint6");

static __always_inline const struct endpoint_rest *endpoint_rest(const void *endpoint, const bool v6)
{
	return endpoint + (v6 ? offsetof(struct endpoint6, dmac) : offsetof(struct endpoint4, dmac));
}

static __always_inline int send(struct xdp_md *ctx, __u32 ifindex)
{
	return ifindex == ctx->ingress_ifindex ? XDP_TX : bpf_redirect(ifindex, 0);
}

static __always_inline void count_traffic(const struct flow *flow, __u32 bytes, bool plumbed)
{
	__u32 index = flow->endpoint;
	struct traffic *t = bpf_map_lookup_elem(&traffic, &index);

	if (!t)
		return;
	t->packets += 1;
	t->bytes += bytes;
	t->connections += plumbed;
}

/* Works out the differences; flow->flow_id must stand. */
static __always_inline void flow_set_deltas4(struct flow *flow, const struct flow_key4 *key,
					     const struct endpoint4 *ep)
{
	__u32 sum = csum_sub_block(0, &key->saddr, 8);

	sum = csum_add32(csum_add32(sum, ep->source ? ep->source : key->saddr),
			 ep->mode == FORWARD_L2 ? key->daddr : ep->addr);
	/* The TTL falls by one, in the high byte of its word. */
	flow->ip_delta = csum_fold(sum + (__u16)~bpf_htons(0x0100));
	sum = csum_add32(csum_sub_block(sum, &key->sport, 4), flow->flow_id);
	flow->l4_delta = csum_fold(sum);
}

static __always_inline void flow_set_deltas6(struct flow *flow, const struct flow_key6 *key,
					     const struct endpoint6 *ep)
{
	bool source = ep->mode == FORWARD_TUNNEL || ep->mode == FORWARD_NAT;
	__u32 sum = csum_sub_block(0, key, 36);

	sum = csum_add_block(sum, source ? ep->source : key->saddr, 16);
	sum = csum_add_block(sum, ep->mode == FORWARD_L2 ? key->daddr : ep->addr, 16);
	flow->l4_delta = csum_fold(csum_add32(sum, flow->flow_id));
}

static __always_inline void flow_set_deltas(struct flow *flow, const union flow_key *key, const void *ep,
					    const bool v6)
{
	if (v6)
		flow_set_deltas6(flow, &key->v6, ep);
	else
		flow_set_deltas4(flow, &key->v4, ep);
}

static __always_inline void turn_ports(struct packet *p, __be32 ports, __u16 delta)
{
	__u16 check;

	*(__be32 *)p->l4 = ports;
	if (p->proto == IPPROTO_TCP) {
		p->tcp->check = csum_apply(p->tcp->check, delta);
	} else if (p->udp->check) { /* 0: the sender made none (RFC 768) */
		check = csum_apply(p->udp->check, delta);
		p->udp->check = check ? check : 0xffff;
	}
}

static __always_inline void turn4(struct iphdr *ip, const struct flow *flow, const struct endpoint4 *ep)
{
	ip->ttl--;
	ip->check = csum_apply(ip->check, flow->ip_delta);
	if (ep->mode == FORWARD_L2)
		return;
	ip->daddr = ep->addr;
	if (ep->source)
		ip->saddr = ep->source;
}

static __always_inline void turn6(struct ipv6hdr *ip, const struct endpoint6 *ep)
{
	ip->hop_limit--;
	if (ep->mode == FORWARD_L2)
		return;
	__builtin_memcpy(&ip->daddr, ep->addr, 16);
	if (ep->mode != FORWARD_HALF_NAT)
		__builtin_memcpy(&ip->saddr, ep->source, 16);
}

/* Makes a plain packet what the endpoint is to get. False if its time is up. */
static __always_inline bool turn(struct packet *p, const struct flow *flow, const void *ep, const bool v6)
{
	if ((v6 ? p->ip6->hop_limit : p->ip4->ttl) <= 1)
		return false;
	if (v6)
		turn6(p->ip6, ep);
	else
		turn4(p->ip4, flow, ep);
	if (endpoint_rest(ep, v6)->mode != FORWARD_L2)
		turn_ports(p, flow->flow_id, flow->l4_delta);
	return true;
}

/* Sends a plain packet to the endpoint of its route. */
static __always_inline int flow_move(struct xdp_md *ctx, struct packet *p, const struct flow *flow,
				     const void *ep, enum reason reason, const bool v6)
{
	const struct endpoint_rest *rest = endpoint_rest(ep, v6);

	if (!turn(p, flow, ep, v6))
		return finish(REASON_TTL_EXPIRED, XDP_DROP);
	__builtin_memcpy(p->eth->h_dest, rest->dmac, 2 * ETH_ALEN);
	count_traffic(flow, p->ip_bytes, reason == REASON_PLUMBED);
	return finish(reason, send(ctx, rest->ifindex));
}

#endif
