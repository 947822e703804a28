/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The life of a flow: what its packets mean for its route, and how they are sent on (R-A5, R-D7). */
#ifndef POINTSMAN_FLOW_H
#define POINTSMAN_FLOW_H

#include "affinity.h"
#include "base.h"
#include "bundle.h"
#include "finish.h"
#include "live.h"
#include "flow_table.h"
#include "move.h"
#include "packet.h"

static __always_inline __u16 epoch_of(__u32 host)
{
	struct host_epoch *e = bpf_map_lookup_elem(&host_epochs, &host);

	return e ? e->epoch : 0;
}

/* Whether a segment must travel as a bundle, lest it overtake the upload and draw a RST: until the client
 * acknowledges, or we see, that the host has answered. */
static __always_inline bool awaits_upload(struct flow *flow, const struct packet *p)
{
	if (!(flow->flags & FLOW_INSPECTED) || flow->flags & FLOW_UPLOADED)
		return false;
	if (!seq_after(bpf_ntohl(p->tcp->ack_seq), flow->isn + 1))
		return true;
	flow->flags |= FLOW_UPLOADED;
	return false;
}

/* Whether the host of a tunnelled flow has lost mappings since it was taught this one; now it is
 * taught anew. */
static __always_inline bool must_teach(struct flow *flow, const void *ep, const bool v6)
{
	const struct endpoint_rest *rest = endpoint_rest(ep, v6);
	__u16 epoch;

	if (rest->mode != FORWARD_TUNNEL)
		return false;
	epoch = epoch_of(rest->host);
	if (flow->epoch == epoch)
		return false;
	flow->epoch = epoch;
	return true;
}

/* Whether a segment must say whose it is. */
static __always_inline bool must_say(struct flow *flow, const struct packet *p, const void *ep, const bool v6)
{
	return endpoint_rest(ep, v6)->mode == FORWARD_TUNNEL ? must_teach(flow, ep, v6) : awaits_upload(flow, p);
}

/* Whether this may be the first data once more, which the host may never have seen: so it is until
 * the client acknowledges a byte beyond our SYN-ACK. */
static __always_inline bool repeats_first(const struct flow *flow, const struct packet *p)
{
	return flow->flags & FLOW_INSPECTED && flow->first_seq == bpf_ntohl(p->tcp->seq) &&
	       flow->isn + 1 == bpf_ntohl(p->tcp->ack_seq) && (payload_bytes(p) || p->tcp->fin);
}

/* The bare end of the handshake, come late: it tells the host nothing, and would draw a RST from
 * a stack that does not have the connection yet. */
static __always_inline bool ends_handshake(const struct flow *flow, const struct packet *p)
{
	return flow->flags & FLOW_INSPECTED && flow->first_seq == bpf_ntohl(p->tcp->seq) &&
	       flow->isn + 1 == bpf_ntohl(p->tcp->ack_seq) && !payload_bytes(p) && !p->tcp->fin &&
	       !p->tcp->rst;
}

/* enum flow_state says which moves there are. */
static __always_inline void flow_advance(struct flow *flow, const struct packet *p, __u32 now,
					 const bool v6)
{
	if (p->tcp->rst) {
		if (flow->state == FLOW_ZOMBIE)
			return;
		if (state_counts(flow->state))
			live_add(flow->endpoint, -1);
		flow->state = FLOW_ZOMBIE;
	} else if (p->tcp->fin) {
		if (state_counts(flow->state))
			live_add(flow->endpoint, -1);
		flow->state = FLOW_CLOSING;
	} else if (flow->state == FLOW_ZOMBIE) {
		live_add(flow->endpoint, 1);
		flow->state = FLOW_OPEN;
	} else if (flow->state == FLOW_OPENING &&
		 (!(flow->flags & FLOW_INSPECTED) ||
		  seq_after(bpf_ntohl(p->tcp->ack_seq), flow->isn + 1)))
		flow->state = FLOW_OPEN;
	flow_touch(flow, p, now, v6);
}

/* Sends a segment along the route it has, whatever shape that takes now. */
static __always_inline int segment_send(struct xdp_md *ctx, struct packet *p, struct flow *flow,
					__u32 now, const bool v6)
{
	const void *ep = endpoint_get(flow->endpoint, v6);

	if (ends_handshake(flow, p))
		return finish(REASON_HANDSHAKE_ACK, XDP_DROP);
	if (!ep)
		return finish(REASON_NO_HOST, XDP_DROP);
	flow_advance(flow, p, now, v6);
	if (repeats_first(flow, p))
		return bundle_send_data(ctx, p, flow, ep, REASON_BUNDLED_AGAIN, v6);
	if (must_say(flow, p, ep, v6))
		return bundle_send_plain(ctx, p, flow, ep, BUNDLE_TEACH, REASON_TAUGHT, v6);
	return flow_move(ctx, p, flow, ep, REASON_HIT, v6);
}

/* The same for a datagram. */
static __always_inline int datagram_send(struct xdp_md *ctx, struct packet *p, struct flow *flow,
					 __u32 now, const bool v6)
{
	const void *ep = endpoint_get(flow->endpoint, v6);

	if (!ep)
		return finish(REASON_NO_HOST, XDP_DROP);
	flow_touch(flow, p, now, v6);
	if (must_teach(flow, ep, v6))
		return bundle_send_plain(ctx, p, flow, ep, BUNDLE_DATAGRAM, REASON_TAUGHT, v6);
	return flow_move(ctx, p, flow, ep, REASON_HIT, v6);
}

#endif
