/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Protocols without ports: GRE, ESP, AH (R-A9). The client's address is all that tells flows apart. */
#ifndef POINTSMAN_PORTLESS_H
#define POINTSMAN_PORTLESS_H

#include "base.h"
#include "flow.h"
#include "move.h"
#include "packet.h"
#include "plumb.h"
#include "service.h"

static __always_inline bool is_portless(__u8 proto)
{
	return proto == IPPROTO_GRE || proto == IPPROTO_ESP || proto == IPPROTO_AH;
}

/* Whether p, whose Ethernet and IP headers are there, is a whole packet of such a protocol. */
static __always_inline bool parse_portless(struct packet *p, struct xdp_md *ctx, const bool v6)
{
	void *end = (void *)(long)ctx->data_end;

	return (v6 ? parse_ip6(p, end) : parse_ip4(p, end)) && is_portless(p->proto) &&
	       p->ip_bytes >= ip_header_bytes(v6) && frame_holds(ctx, ETH_HLEN + p->ip_bytes);
}

static __always_inline void portless_key(union flow_key *key, const struct packet *p, const bool v6)
{
	if (v6) {
		__builtin_memcpy(key->v6.saddr, &p->ip6->saddr, 32);
		key->v6.sport = 0;
		key->v6.dport = 0;
		key->v6.proto = p->proto;
	} else {
		key->v4 = (struct flow_key4){ .saddr = p->ip4->saddr, .daddr = p->ip4->daddr,
					      .proto = p->proto };
	}
}

/* Addresses alone are turned: no checksum of these protocols covers them, but AH's, which goes by
 * layer 2. */
static __always_inline int portless_move(struct xdp_md *ctx, struct packet *p, const struct flow *flow,
					 enum reason reason, const bool v6)
{
	const void *ep = endpoint_get(flow->endpoint, v6);
	const struct endpoint_rest *rest;

	if (!ep)
		return finish(REASON_NO_HOST, XDP_DROP);
	if ((v6 ? p->ip6->hop_limit : p->ip4->ttl) <= 1)
		return finish(REASON_TTL_EXPIRED, XDP_DROP);
	rest = endpoint_rest(ep, v6);
	if (v6)
		turn6(p->ip6, ep);
	else
		turn4(p->ip4, flow, ep);
	__builtin_memcpy(p->eth->h_dest, rest->dmac, 2 * ETH_ALEN);
	count_traffic(flow, p->ip_bytes, reason == REASON_PLUMBED);
	return finish(reason, send(ctx, rest->ifindex));
}

static __always_inline int portless_plumb(struct xdp_md *ctx, struct packet *p, const union flow_key *key,
					  const struct service *service, const bool v6)
{
	struct flow flow = {};
	const void *ep;
	int why;

	flow.endpoint = endpoint_choose(service, service->pool, key, v6);
	ep = flow.endpoint == NO_CARD ? NULL : endpoint_get(flow.endpoint, v6);
	if (!ep)
		return finish(REASON_NO_HOST, XDP_DROP);
	flow_begin(&flow, service, tick_now());
	if (endpoint_rest(ep, v6)->mode == FORWARD_HALF_NAT) {
		flow.flags |= FLOW_TRANSLATED;
		why = translation_open(ctx, key, &flow, v6);
		if (why != REASON_COUNT)
			return finish(why, XDP_DROP);
	}
	flow_set_deltas(&flow, key, ep, v6);
	if (flow_store(key, &flow, v6) < 0)
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	return portless_move(ctx, p, &flow, REASON_PLUMBED, v6);
}

static __always_inline int portless(struct xdp_md *ctx, struct packet *p, const bool v6)
{
	struct service *service = service_find(p, 0, p->proto, v6);
	union flow_key key;
	struct flow *flow;
	__u32 now;

	if (!service)
		return no_service_here(ctx, p, v6);
	portless_key(&key, p, v6);
	flow = flow_find(&key, v6);
	now = tick_now();
	if (flow && flow_alive(flow, now)) {
		if (flow->flags & FLOW_TRANSLATED && flow->seen != now)
			return no_service_here(ctx, p, v6);
		flow_touch(flow, p, now, v6);
		return portless_move(ctx, p, flow, REASON_HIT, v6);
	}
	if (!(config.flags & UNIT_CLASSIFIES))
		return finish(REASON_NO_ROUTE, XDP_DROP);
	return portless_plumb(ctx, p, &key, service, v6);
}

#endif
