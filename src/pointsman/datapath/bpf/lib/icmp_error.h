/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ICMP errors (R-E12): those about a host's answers go to that host, those about what was on its way
 * to a host go to the client. Path MTU discovery lives by them.
 *
 *   from                 to              quotes                      goes
 *   beyond the client's  VIP             VIP -> client               to the host: whole in a bundle (tunnel),
 *   router                                                           as it is (layer 2), turned (NAT)
 *   beyond our router    tunnel address  tunnel address -> host      to the client, the quote turned back
 *   (half-NAT, NAT)      client, or us   client, or us -> endpoint   the same
 *
 * The first kind comes to whatever unit the router's hash of its addresses names. A unit that does not
 * know the flow hands the error on, unit by unit, until one does or all have been asked.
 */
#ifndef POINTSMAN_ICMP_ERROR_H
#define POINTSMAN_ICMP_ERROR_H

#include "base.h"
#include "bundle.h"
#include "csum.h"
#include "finish.h"
#include "flow.h"
#include "flow_ids.h"
#include "move.h"
#include "notices.h"
#include "packet.h"
#include "translate.h"
#include "trim.h"
#include "unit_quote.h"

/* What the stack has no room for. */
struct error {
	struct quote quote;
	union flow_key to; /* what the quoted packet shall be */
	union flow_key client; /* the client's key of the flow */
	union flow_key outer; /* the message's own addresses, as they shall be */
	__u8 tail[TRIM_MOST]; /* what is cut off the message */
};

/* errors: [0] = this CPU's. Owner: the program that runs. Life: one packet. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct error);
} errors SEC(".maps");

static __always_inline struct error *error_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&errors, &zero);
}

static __always_inline void *peer_get(__u32 peer, const bool v6)
{
	void *found = v6 ? bpf_map_lookup_elem(&peers6, &peer) : bpf_map_lookup_elem(&peers4, &peer);

	return found && endpoint_rest(found, v6)->flags & ENDPOINT_USABLE ? found : NULL;
}

/* What the tag of a bundle covers that carries an ICMP message; all but our own header. */
static __always_inline void icmp_tagged(union tagged *t, const struct packet *p, const bool v6)
{
	if (v6) {
		__builtin_memcpy(t->v6.key.saddr, &p->ip6->saddr, 32);
		t->v6.key.proto = p->proto;
	} else {
		t->v4.key.saddr = p->ip4->saddr;
		t->v4.key.daddr = p->ip4->daddr;
		t->v4.key.proto = p->proto;
	}
}

/* The message as it is, in a bundle. flow: NULL if it is handed on. */
static __always_inline int error_bundle(struct xdp_md *ctx, struct packet *p, struct bundle *b,
					const struct flow *flow, const void *to, const bool v6)
{
	struct error *e = error_get();
	union tagged t = {};
	__u32 bytes = p->ip_bytes;

	if (e && bytes + bundle_room(v6) > config.mtu) {
		bytes = icmp_trim(ctx, p, e->tail, config.mtu - bundle_room(v6), v6);
		if (!bytes)
			return finish(REASON_TOO_BIG, XDP_DROP);
	}
	b->version = BUNDLE_VERSION;
	b->endpoint = flow ? endpoint_rest(to, v6)->id : 0;
	icmp_tagged(&t, p, v6);
	b->tag = tag_make(&t, b, v6);
	return bundle_out(ctx, to, b, bytes, flow ? REASON_ICMP_SENT : REASON_ICMP_HANDED_ON, v6);
}

/* To the next unit; hops: how many have been asked before this one. */
static __always_inline int error_hand_on(struct xdp_md *ctx, struct packet *p, __u8 hops, const bool v6)
{
	struct bundle b = { .kind = BUNDLE_HANDOVER, .hops = hops + 1 };
	const void *peer;

	if (hops + 1U >= config.units)
		return finish(REASON_ICMP_NO_ROUTE, XDP_DROP);
	peer = peer_get(PEER_UNIT, v6);
	return peer ? error_bundle(ctx, p, &b, NULL, peer, v6) : finish(REASON_ICMP_NO_ROUTE, XDP_DROP);
}

/* Writes other addresses into the message's own IP header, takes a hop off, and mends the checksums.
 * addresses: source and destination, 8 or 32 bytes. sum: what else has changed in the message. */
static __always_inline void error_readdress(struct packet *p, const void *addresses, __u32 sum, const bool v6)
{
	const __u32 bytes = v6 ? 32 : 8;
	void *own = v6 ? (void *)&p->ip6->saddr : (void *)&p->ip4->saddr;
	struct icmp_header *icmp = p->l4;
	__u32 change = csum_fold(csum_add_block(csum_sub_block(0, own, bytes), addresses, bytes));

	__builtin_memcpy(own, addresses, bytes);
	if (v6) {
		p->ip6->hop_limit--;
		sum += change; /* of the pseudo-header */
	} else {
		p->ip4->ttl--;
		p->ip4->check = csum_apply(p->ip4->check, csum_fold(change + (__u16)~bpf_htons(0x0100)));
	}
	icmp->check = csum_apply(icmp->check, csum_fold(sum));
}

/* Sends it on to a neighbour. macs: destination and source. */
static __always_inline int error_move(struct xdp_md *ctx, struct packet *p, const void *addresses, __u32 sum,
				      const __u8 *macs, __u32 ifindex, enum reason reason, const bool v6)
{
	error_readdress(p, addresses, sum, v6);
	__builtin_memcpy(p->eth->h_dest, macs, 2 * ETH_ALEN);
	return finish(reason, send(ctx, ifindex));
}

static __always_inline bool hops_left(const struct packet *p, const bool v6)
{
	return (v6 ? p->ip6->hop_limit : p->ip4->ttl) > 1;
}

/* NAT and half-NAT: the endpoint is quoted what it sent, to whom it thinks it talks. */
static __always_inline int error_translate(struct xdp_md *ctx, struct packet *p, struct error *e,
					   const struct flow *flow, const void *ep, const bool v6)
{
	const struct endpoint_rest *rest = endpoint_rest(ep, v6);
	bool nat = rest->mode == FORWARD_NAT;
	__u32 sum = 0;

	e->client = e->to;
	back_key(&e->to, &e->client, ep, flow->flow_id, v6);
	if (v6) {
		__builtin_memcpy(e->outer.v6.saddr, nat ? (void *)e->to.v6.daddr : (void *)&p->ip6->saddr, 16);
		__builtin_memcpy(e->outer.v6.daddr, e->to.v6.saddr, 16);
	} else {
		e->outer.v4.saddr = nat ? e->to.v4.daddr : p->ip4->saddr;
		e->outer.v4.daddr = e->to.v4.saddr;
	}
	if (!quote_turn(ctx, &e->quote, &e->to, &sum, v6) ||
	    !parse_icmp(p, ctx, v6))
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	return error_move(ctx, p, &e->outer, sum, rest->dmac, rest->ifindex, REASON_ICMP_SENT, v6);
}

static __always_inline bool quotes_receiver(const struct packet *p, const struct quote *q, const bool v6)
{
	return v6 ? !__builtin_memcmp(&p->ip6->daddr, q->key.v6.saddr, 16) : p->ip4->daddr == q->key.v4.saddr;
}

/* An error about something that a host has sent in a VIP's name. hops: units that were asked before. */
static __always_inline int vip_error(struct xdp_md *ctx, struct packet *p, __u8 hops, const bool v6)
{
	struct bundle b = { .kind = BUNDLE_ICMP };
	struct error *e = error_get();
	struct flow *flow;
	const void *ep;

	if (!e || !quote_read(ctx, p, &e->quote, v6) || !quotes_receiver(p, &e->quote, v6))
		return finish(REASON_ICMP_STRANGE, XDP_DROP);
	quote_reversed(&e->quote, &e->to, v6);
	flow = flow_find(&e->to, v6);
	if (!flow || !flow_alive(flow, tick_now()))
		return error_hand_on(ctx, p, hops, v6);
	ep = endpoint_get(flow->endpoint, v6);
	if (!ep)
		return finish(REASON_NO_HOST, XDP_DROP);
	b.flow_id = flow->flow_id;
	if (endpoint_rest(ep, v6)->mode == FORWARD_TUNNEL)
		return error_bundle(ctx, p, &b, flow, ep, v6);
	if (!hops_left(p, v6))
		return finish(REASON_TTL_EXPIRED, XDP_DROP);
	if (endpoint_rest(ep, v6)->mode != FORWARD_L2)
		return error_translate(ctx, p, e, flow, ep, v6);
	return error_move(ctx, p, v6 ? (void *)&p->ip6->saddr : (void *)&p->ip4->saddr, 0,
			  endpoint_rest(ep, v6)->dmac, endpoint_rest(ep, v6)->ifindex, REASON_ICMP_SENT, v6);
}

/* The addresses that such an error has on its way to the client: the VIP's name, the client. */
static __always_inline void client_addresses(union flow_key *outer, const union flow_key *client, const bool v6)
{
	if (v6) {
		__builtin_memcpy(outer->v6.saddr, client->v6.daddr, 16);
		__builtin_memcpy(outer->v6.daddr, client->v6.saddr, 16);
	} else {
		outer->v4.saddr = client->v4.daddr;
		outer->v4.daddr = client->v4.saddr;
	}
}

/* Sends an error to the client whose packet, as he sent it, is e->to. */
static __always_inline int error_return(struct xdp_md *ctx, struct packet *p, struct error *e, const __u8 *macs,
					__u32 ifindex, const bool v6)
{
	__u32 sum = 0;

	if (!hops_left(p, v6))
		return finish(REASON_TTL_EXPIRED, XDP_DROP);
	client_addresses(&e->outer, &e->to, v6);
	if (!quote_turn(ctx, &e->quote, &e->to, &sum, v6) ||
	    !parse_icmp(p, ctx, v6))
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	return error_move(ctx, p, &e->outer, sum, macs, ifindex, REASON_ICMP_RETURNED, v6);
}

/* About something in the tunnel. */
static __always_inline int tunnel_error(struct xdp_md *ctx, struct packet *p, struct error *e, const bool v6)
{
	const void *slot, *ep, *way;
	__be32 flow_id;

	__builtin_memcpy(&flow_id, v6 ? &e->quote.key.v6.sport : &e->quote.key.v4.sport, sizeof(flow_id));
	slot = flow_by_id(flow_id, v6);
	ep = slot ? endpoint_get(slot_flow((void *)slot, v6)->endpoint, v6) : NULL;
	if (!ep || endpoint_rest(ep, v6)->mode != FORWARD_TUNNEL)
		return finish(REASON_ICMP_NO_ROUTE, XDP_DROP);
	way = peer_get(PEER_CLIENTS, v6);
	if (!way)
		return finish(REASON_NO_WAY_BACK, XDP_DROP);
	__builtin_memcpy(&e->to, slot, v6 ? sizeof(e->to.v6) : sizeof(e->to.v4));
	return error_return(ctx, p, e, endpoint_rest(way, v6)->dmac, endpoint_rest(way, v6)->ifindex, v6);
}

/* About something that was on its way to an endpoint, if anything of ours. */
static __always_inline int way_error(struct xdp_md *ctx, struct packet *p, const bool v6)
{
	struct error *e = error_get();
	const struct translation4 *t4;
	const struct translation6 *t6;
	const void *t;

	if (!e || !quote_read(ctx, p, &e->quote, v6) || !quotes_receiver(p, &e->quote, v6))
		return finish(REASON_NOT_OURS, XDP_PASS);
	if (to_tunnel(p, v6))
		return tunnel_error(ctx, p, e, v6);
	quote_reversed(&e->quote, &e->to, v6);
	t = translation_find(&e->to, v6);
	t4 = t;
	t6 = t;
	if (!t)
		return finish(REASON_NOT_OURS, XDP_PASS);
	__builtin_memcpy(&e->to, t, v6 ? sizeof(e->to.v6) : sizeof(e->to.v4));
	return error_return(ctx, p, e, v6 ? t6->dmac : t4->dmac, v6 ? t6->ifindex : t4->ifindex, v6);
}

#endif
