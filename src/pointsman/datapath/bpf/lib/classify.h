/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What becomes of a segment that has no route, or may begin a connection anew (R-A2, R-D4, R-E1). */
#ifndef POINTSMAN_CLASSIFY_H
#define POINTSMAN_CLASSIFY_H

#include "base.h"
#include "plumb.h"
#include "probe.h"
#include "rules.h"
#include "segment.h"
#include "service.h"
#include "syn_ack.h"

/* Flags that a client's stack sends: SYN alone, RST, or ACK; ECE, CWR, PSH, URG with any. */
static __always_inline bool flags_make_sense(const struct tcphdr *tcp)
{
	if (tcp->syn)
		return !tcp->ack && !tcp->fin && !tcp->rst;
	return tcp->ack || tcp->rst;
}

static __always_inline int syn_send_again(struct xdp_md *ctx, struct packet *p, const union flow_key *key,
					  const struct flow *flow, const bool v6)
{
	const void *ep = endpoint_get(flow->endpoint, v6);

	if (!translation_hold(ctx, key, flow, v6))
		return finish(REASON_TRANSLATION_TAKEN, XDP_DROP);
	if (!ep)
		return finish(REASON_NO_HOST, XDP_DROP);
	if (endpoint_rest(ep, v6)->mode != FORWARD_TUNNEL)
		return flow_move(ctx, p, flow, ep, REASON_HIT, v6);
	return bundle_send_plain(ctx, p, flow, ep, BUNDLE_SYN, REASON_BUNDLED_AGAIN, v6);
}

static __always_inline int classify_plain(struct xdp_md *ctx, struct packet *p,
					  const union flow_key *key, struct flow *flow,
					  const struct service *service, __u32 now, const bool v6)
{
	if (!p->tcp->syn)
		return finish(REASON_NO_ROUTE, XDP_DROP);
	if (flow && flow->state == FLOW_OPENING && flow->first_seq == bpf_ntohl(p->tcp->seq))
		return syn_send_again(ctx, p, key, flow, v6);
	/* The host of an open flow tells an old SYN from a new one. */
	if (flow && flow->state == FLOW_OPEN && endpoint_usable(flow->endpoint, v6))
		return syn_send_again(ctx, p, key, flow, v6);
	return plumb(ctx, p, key, service, service->pool, BUNDLE_SYN, now, v6);
}

static __always_inline int answer_syn(struct xdp_md *ctx, struct packet *p, const union flow_key *key,
				      struct flow *flow, const struct service *service, const bool v6)
{
	struct scratch *s = scratch_get();
	struct tcp_options options;

	if (!s || !segment_load(ctx, p, s, v6))
		return finish(REASON_BAD_CHECKSUM, XDP_DROP);
	/* The SYN may be forged: the route stays until data with our cookie shows that it is not. */
	if (flow)
		flow->flags |= FLOW_REOPENED;
	tcp_options_read(s->segment, p->l4_header, &options);
	return syn_ack_send(ctx, p, key, &options, service, v6);
}

static __always_inline void count_undecided(const struct service *service)
{
	__u32 index = service->id;
	__u64 *count = bpf_map_lookup_elem(&undecided, &index);

	if (count)
		*count += 1;
}

/* A first data segment with our cookie in it: read, judged, bound. */
static __always_inline int classify_data(struct xdp_md *ctx, struct packet *p,
					 const union flow_key *key, const struct service *service,
					 const bool v6)
{
	struct scratch *s = scratch_get();
	__u32 pool = service->pool;

	if (!s || !segment_load(ctx, p, s, v6))
		return finish(REASON_BAD_CHECKSUM, XDP_DROP);
	/* The slow path's door: what is undecided goes there once there is one. */
	if (rules_judge(s, p->l4_header, p->l4_bytes, service, &pool) == UNDECIDED)
		count_undecided(service);
	return plumb(ctx, p, key, service, pool, BUNDLE_DATA, tick_now(), v6);
}

static __always_inline int classify_inspected(struct xdp_md *ctx, struct packet *p,
					      const union flow_key *key, struct flow *flow,
					      const struct service *service, const bool v6)
{
	__u32 client_isn = bpf_ntohl(p->tcp->seq) - 1, isn = bpf_ntohl(p->tcp->ack_seq) - 1;
	bool data = payload_bytes(p) || p->tcp->fin;
	bool known = flow && isn == flow->isn && client_isn + 1 == flow->first_seq;

	if (p->tcp->syn)
		return answer_syn(ctx, p, key, flow, service, v6);
	if (!known && !p->tcp->rst && cookie_valid(key, client_isn, isn, v6))
		return data ? classify_data(ctx, p, key, service, v6) :
			      finish(REASON_HANDSHAKE_ACK, XDP_DROP);
	if (flow)
		return translation_hold(ctx, key, flow, v6) ? segment_send(ctx, p, flow, tick_now(), v6) :
							      finish(REASON_TRANSLATION_TAKEN, XDP_DROP);
	if (is_probe(p, key, v6))
		return probe_answer(ctx, p, key, service, v6);
	return finish(data ? REASON_BAD_COOKIE : REASON_NO_ROUTE, XDP_DROP);
}

/* The whole classifier of one family; the forwarder calls it on what it can't send on. */
static __always_inline int classify(struct xdp_md *ctx, const bool v6)
{
	struct service *service;
	struct flow *flow;
	union flow_key key;
	struct packet p;
	__u32 now;

	if (!parse_plain(&p, ctx, v6) || p.proto != IPPROTO_TCP)
		return finish(REASON_UNIT_INTERNAL, XDP_DROP); /* the forwarder has parsed it */
	service = service_of(&p, v6);
	if (!service)
		return no_service_here(ctx, &p, v6);
	if (!(config.flags & UNIT_CLASSIFIES))
		return finish(REASON_NO_ROUTE, XDP_DROP);
	if (!flags_make_sense(p.tcp))
		return finish(REASON_BAD_FLAGS, XDP_DROP);
	flow_key_from(&key, &p, v6);
	flow = flow_find(&key, v6);
	now = tick_now();
	if (flow && !flow_alive(flow, now))
		flow = NULL;
	return service->inspect ? classify_inspected(ctx, &p, &key, flow, service, v6) :
				  classify_plain(ctx, &p, &key, flow, service, now, v6);
}

#endif
