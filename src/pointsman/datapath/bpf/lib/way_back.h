/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Packets of half-NAT and NAT: a client's go on by their route, an endpoint's go back to the client. */
#ifndef POINTSMAN_WAY_BACK_H
#define POINTSMAN_WAY_BACK_H

#include "base.h"
#include "finish.h"
#include "flow.h"
#include "packet.h"
#include "portless.h"
#include "service.h"
#include "translate.h"

/* The client's next packet, once a tick. */
static __always_inline int translate_there(struct xdp_md *ctx, struct packet *p, const union flow_key *key,
					   struct flow *flow, __u32 now, const bool plain, const bool v6)
{
	if (!translation_hold(ctx, key, flow, v6))
		return finish(REASON_TRANSLATION_TAKEN, XDP_DROP);
	if (!plain) {
		flow_touch(flow, p, now, v6);
		return portless_move(ctx, p, flow, REASON_HIT, v6);
	}
	return p->proto == IPPROTO_TCP ? segment_send(ctx, p, flow, now, v6) :
					 datagram_send(ctx, p, flow, now, v6);
}

/* What an answer tells of its connection: that it lives, that the host has it, or has ended it. */
static __always_inline void note_answer(void *t, __u32 *seen, bool over, const bool v6)
{
	__u32 now = tick_now();
	struct flow *flow;

	if (*seen == now && !over)
		return;
	*seen = now;
	flow = flow_find(t, v6);
	if (!flow || !(flow->flags & FLOW_TRANSLATED) || flow->state == FLOW_ZOMBIE)
		return;
	flow->flags |= FLOW_UPLOADED;
	if (flow->seen != now)
		flow->seen = now - 1; /* the client's own next packet still holds the translation */
	if (!over)
		return;
	if (state_counts(flow->state))
		live_add(flow->endpoint, -1);
	flow->state = FLOW_ZOMBIE;
}

static __always_inline void answer_turn4(struct packet *p, const struct translation4 *t)
{
	p->ip4->ttl--;
	p->ip4->check = csum_apply(p->ip4->check, t->ip_delta);
	p->ip4->saddr = t->client.daddr;
	p->ip4->daddr = t->client.saddr;
	__builtin_memcpy(p->eth->h_dest, t->dmac, 2 * ETH_ALEN);
}

static __always_inline void answer_turn6(struct packet *p, const struct translation6 *t)
{
	p->ip6->hop_limit--;
	__builtin_memcpy(&p->ip6->saddr, t->client.daddr, 16);
	__builtin_memcpy(&p->ip6->daddr, t->client.saddr, 16);
	__builtin_memcpy(p->eth->h_dest, t->dmac, 2 * ETH_ALEN);
}

static __always_inline int translate_back(struct xdp_md *ctx, struct packet *p, void *translation,
					  const bool plain, const bool v6)
{
	struct translation4 *t4 = translation;
	struct translation6 *t6 = translation;
	union ports ports = { .port = { v6 ? t6->client.dport : t4->client.dport,
					v6 ? t6->client.sport : t4->client.sport } };

	if ((v6 ? p->ip6->hop_limit : p->ip4->ttl) <= 1)
		return finish(REASON_TTL_EXPIRED, XDP_DROP);
	note_answer(translation, v6 ? &t6->seen : &t4->seen,
		    plain && p->proto == IPPROTO_TCP && p->tcp->rst, v6);
	if (plain)
		turn_ports(p, ports.word, v6 ? t6->l4_delta : t4->l4_delta);
	if (v6)
		answer_turn6(p, t6);
	else
		answer_turn4(p, t4);
	return finish(REASON_RETURNED, send(ctx, v6 ? t6->ifindex : t4->ifindex));
}

/* For an address that only NAT uses? */
static __always_inline bool to_nat(const struct packet *p, const bool v6)
{
	__be32 nat6[4];

	if (!v6)
		return config.nat4 && p->ip4->daddr == config.nat4;
	for (int i = 0; i < 4; i++)
		nat6[i] = config.nat6[i];
	return (nat6[0] | nat6[1] | nat6[2] | nat6[3]) &&
	       !__builtin_memcmp(&p->ip6->daddr, nat6, sizeof(nat6));
}

/* plain: TCP or UDP; else of a protocol without ports. */
static __always_inline int translate_parsed(struct xdp_md *ctx, struct packet *p, const bool plain,
					    const bool v6)
{
	union flow_key key;
	struct flow *flow;
	__u32 now;
	void *t;

	if (plain)
		flow_key_from(&key, p, v6);
	else
		portless_key(&key, p, v6);
	flow = flow_find(&key, v6);
	now = tick_now();
	if (flow && flow->flags & FLOW_TRANSLATED && flow_alive(flow, now))
		return translate_there(ctx, p, &key, flow, now, plain, v6);
	t = translation_find(&key, v6);
	if (t)
		return translate_back(ctx, p, t, plain, v6);
	return to_nat(p, v6) ? finish(REASON_NO_ROUTE, XDP_DROP) : no_service(p, v6);
}

/* Both ways of one family; the forwarder calls it on live routes that translate, once a tick, and the
 * classifier on what is for no service. */
static __always_inline int translate(struct xdp_md *ctx, const bool v6)
{
	struct packet p;

	if (parse_plain(&p, ctx, v6))
		return translate_parsed(ctx, &p, true, v6);
	if (parse_portless(&p, ctx, v6))
		return translate_parsed(ctx, &p, false, v6);
	return finish(REASON_UNIT_INTERNAL, XDP_DROP); /* whoever calls has parsed it */
}

#endif
