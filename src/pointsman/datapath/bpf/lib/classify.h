/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What becomes of a segment that has no route, or may begin a connection anew (R-A2, R-D4, R-E1). */
#ifndef POINTSMAN_CLASSIFY_H
#define POINTSMAN_CLASSIFY_H

#include "base.h"
#include "plumb.h"
#include "probe.h"
#include "rules.h"
#include "segment.h"
#include "syn_ack.h"

static __always_inline struct service *service_find(const struct packet *p, __be16 port, const bool v6)
{
	struct service_key4 key4 = { .port = port, .proto = IPPROTO_TCP };
	struct service_key6 key6 = { .port = port, .proto = IPPROTO_TCP };

	if (v6) {
		__builtin_memcpy(key6.addr, &p->ip6->daddr, sizeof(key6.addr));
		return bpf_map_lookup_elem(&services6, &key6);
	}
	key4.addr = p->ip4->daddr;
	return bpf_map_lookup_elem(&services4, &key4);
}

/* For an address of ours? The IP header must be known to be there. */
static __always_inline bool to_vip(const struct packet *p, const bool v6)
{
	return service_find(p, 0, v6) != NULL;
}

/* Flags that a client's stack sends: SYN alone, RST, or ACK; ECE, CWR, PSH, URG with any. */
static __always_inline bool flags_make_sense(const struct tcphdr *tcp)
{
	if (tcp->syn)
		return !tcp->ack && !tcp->fin && !tcp->rst;
	return tcp->ack || tcp->rst;
}

static __always_inline int classify_plain(struct xdp_md *ctx, struct packet *p,
					  const union flow_key *key, struct flow *flow,
					  const struct service *service, const bool v6)
{
	struct scratch *s;

	if (!p->tcp->syn)
		return finish(REASON_NO_ROUTE, XDP_DROP);
	if (flow && flow->state == FLOW_OPENING && flow->first_seq == bpf_ntohl(p->tcp->seq))
		return bundle_send_plain(ctx, p, flow, BUNDLE_SYN, REASON_BUNDLED_AGAIN, v6);
	/* The host of an open flow tells an old SYN from a new one. */
	if (flow && flow->state == FLOW_OPEN && host_usable(flow->host, v6))
		return bundle_send_plain(ctx, p, flow, BUNDLE_SYN, REASON_BUNDLED_AGAIN, v6);
	s = scratch_get();
	if (!s || !segment_load(ctx, p, s, v6))
		return finish(REASON_BAD_CHECKSUM, XDP_DROP);
	return plumb(ctx, p, key, service, service->pool, BUNDLE_SYN, v6);
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
	tcp_options_read(s->segment, p->tcp_header, &options);
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
	if (rules_judge(s, p->tcp_header, p->tcp_bytes, service, &pool) == UNDECIDED)
		count_undecided(service);
	return plumb(ctx, p, key, service, pool, BUNDLE_DATA, v6);
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
		return flow_send(ctx, p, flow, tick_now(), v6);
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
	enum reason why;

	if (!parse_segment(&p, (void *)(long)ctx->data, (void *)(long)ctx->data_end, v6, &why))
		return finish(REASON_UNIT_INTERNAL, XDP_DROP); /* the forwarder has parsed it */
	service = service_find(&p, p.tcp->dest, v6);
	if (!service)
		return to_vip(&p, v6) ? finish(REASON_NO_SERVICE, XDP_DROP) :
					finish(REASON_NOT_OURS, XDP_PASS);
	if (!flags_make_sense(p.tcp))
		return finish(REASON_BAD_FLAGS, XDP_DROP);
	flow_key_from(&key, &p, v6);
	flow = flow_find(&key, v6);
	if (flow && !flow_alive(flow, tick_now()))
		flow = NULL;
	return service->inspect ? classify_inspected(ctx, &p, &key, flow, service, v6) :
				  classify_plain(ctx, &p, &key, flow, service, v6);
}

#endif
