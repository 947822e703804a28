/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Binding a connection to an endpoint: a card is dealt, a route written, the first packet sent. */
#ifndef POINTSMAN_PLUMB_H
#define POINTSMAN_PLUMB_H

#include "base.h"
#include "bundle.h"
#include "deck.h"
#include "flow.h"
#include "flow_ids.h"
#include "move.h"
#include "translate.h"

static __always_inline __be32 flow_id_of(__u32 count)
{
	return bpf_htonl((count << config.cpu_bits | bpf_get_smp_processor_id()) & ~BUNDLE_NAME);
}

/* Unique among this unit's flows until a CPU's counter has gone round. None has the bundle port in its
 * lower half: a datagram that bore it would pass for a bundle. */
static __always_inline __be32 flow_id_next(void)
{
	__u32 zero = 0;
	__u32 *count = bpf_map_lookup_elem(&next_ids, &zero);
	__be32 id;

	if (!count)
		return 0;
	*count += 1;
	id = flow_id_of(*count);
	if (id >> 16 != config.bundle_port)
		return id;
	*count += 1;
	return flow_id_of(*count);
}

/* What the port fields will hold: in flow->flow_id. NAT's port is found later. */
static __always_inline __be32 ports_for(const struct packet *p, const struct endpoint_rest *ep)
{
	union ports to = { .port = { p->udp->source, ep->port ? ep->port : p->udp->dest } };

	return ep->mode == FORWARD_TUNNEL ? flow_id_next() : to.word;
}

static __always_inline void flow_begin(struct flow *flow, const struct service *service, __u32 now)
{
	flow->seen = now;
	flow->rcv_wscale = service->rcv_wscale;
	flow->service = service->id;
	flow->flags = service->flags & SERVICE_GROUP ? FLOW_GROUPED : 0;
	if (service->inspect == INSPECT_QUIC)
		flow->flags |= FLOW_BY_ID;
	flow->state = FLOW_DATAGRAM;
}

static __always_inline void flow_begin_tcp(struct flow *flow, const struct packet *p,
					   enum bundle_kind kind)
{
	flow->first_seq = bpf_ntohl(p->tcp->seq);
	flow->isn = bpf_ntohl(p->tcp->ack_seq) - 1;
	flow->state = p->tcp->fin ? FLOW_CLOSING : FLOW_OPENING;
	if (kind == BUNDLE_DATA)
		flow->flags |= FLOW_INSPECTED;
}

/* Whether a connection's first packet must fit into a bundle; datagrams that do not teach, and are lost. */
static __always_inline bool must_fit(const struct endpoint_rest *ep, enum bundle_kind kind)
{
	return kind == BUNDLE_DATA || (kind == BUNDLE_SYN && ep->mode == FORWARD_TUNNEL);
}

/* Writes the route to flow->endpoint; if that is NO_CARD, deals one. REASON_COUNT, or why there is none. */
static __always_inline int route_make(struct xdp_md *ctx, struct flow *flow, const void **ep,
				      const struct packet *p, const union flow_key *key,
				      const struct service *service, __u32 pool, enum bundle_kind kind,
				      __u32 now, const bool v6)
{
	const struct endpoint_rest *rest;
	int why, bucket;

	if (flow->endpoint == NO_CARD)
		flow->endpoint = endpoint_choose(service, pool, key, v6);
	if (flow->endpoint == NO_CARD)
		return REASON_NO_HOST;
	*ep = endpoint_get(flow->endpoint, v6);
	if (!*ep)
		return REASON_NO_HOST;
	rest = endpoint_rest(*ep, v6);
	if (must_fit(rest, kind) && p->ip_bytes + bundle_room(v6) > config.mtu)
		return REASON_TOO_BIG;
	flow->flow_id = ports_for(p, rest);
	flow->epoch = epoch_of(rest->host);
	flow_begin(flow, service, now);
	if (p->proto == IPPROTO_TCP)
		flow_begin_tcp(flow, p, kind);
	if (rest->mode == FORWARD_HALF_NAT || rest->mode == FORWARD_NAT) {
		flow->flags |= FLOW_TRANSLATED;
		why = translation_open(ctx, key, flow, v6);
		if (why != REASON_COUNT)
			return why;
	}
	flow_set_deltas(flow, key, *ep, v6);
	bucket = flow_store(key, flow, v6);
	if (bucket < 0)
		return REASON_UNIT_INTERNAL;
	if (rest->mode == FORWARD_TUNNEL)
		flow_id_note(flow->flow_id, bucket, v6);
	return REASON_COUNT;
}

/* kind: BUNDLE_SYN or BUNDLE_DATAGRAM of a plain service, BUNDLE_DATA of an inspected one.
 * endpoint: the one that must be, or NO_CARD. */
static __always_inline int plumb_to(struct xdp_md *ctx, struct packet *p, const union flow_key *key,
				    const struct service *service, __u32 pool, __u32 endpoint,
				    enum bundle_kind kind, __u32 now, const bool v6)
{
	struct flow flow = { .endpoint = endpoint };
	const void *ep = NULL;
	int why;

	why = route_make(ctx, &flow, &ep, p, key, service, pool, kind, now, v6);
	if (why != REASON_COUNT)
		return finish(why, XDP_DROP);
	if (kind == BUNDLE_DATA)
		return bundle_send_data(ctx, p, &flow, ep, REASON_BUNDLED_DATA, v6);
	if (endpoint_rest(ep, v6)->mode != FORWARD_TUNNEL)
		return flow_move(ctx, p, &flow, ep, REASON_PLUMBED, v6);
	return bundle_send_plain(ctx, p, &flow, ep, kind,
				 kind == BUNDLE_SYN ? REASON_BUNDLED_SYN : REASON_BUNDLED_DATAGRAM, v6);
}

/* To any endpoint of the pool. */
static __always_inline int plumb(struct xdp_md *ctx, struct packet *p, const union flow_key *key,
				 const struct service *service, __u32 pool, enum bundle_kind kind,
				 __u32 now, const bool v6)
{
	return plumb_to(ctx, p, key, service, pool, NO_CARD, kind, now, v6);
}

#endif
