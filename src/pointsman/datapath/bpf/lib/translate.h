/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Half-NAT and NAT: which connection an answer belongs to (R-A6, decision 10).
 *
 * A translation is found by the key that an answer comes with: the endpoint's address and port, and
 * the client's (half-NAT) or ours (NAT). Whose translation it is, is in it; whoever else comes to
 * the same key may take it over only if it is old and that connection has no live route by it. So
 * two live routes never share a key, nor a port of ours.
 *
 * Route and translation can be lost one by one, for each lies in a table that gives up its oldest:
 *   no route:        the client's next packet finds none, or begins a connection and gets another
 *                    key; answers go on to the client that the translation names, and to nobody else.
 *   no translation:  the client's next packet makes it anew (translation_hold), unless another has
 *                    the key by then, which ends the route. A connection asks once a tick, which
 *                    is enough: while its route lives, nobody takes a key over.
 * Both ways of a connection keep both fresh.
 */
#ifndef POINTSMAN_TRANSLATE_H
#define POINTSMAN_TRANSLATE_H

#include "base.h"
#include "csum.h"
#include "flow_table.h"
#include "move.h"
#include "packet.h"

#define NAT_TRIES 32 /* ports tried for a new connection; if they rest, as many again that may */
#define KEPT_TICKS 3 /* a translation is nobody else's so long, though no route be there (yet) */

union translation {
	struct translation4 v4;
	struct translation6 v6;
};

static __always_inline void *translation_find(const union flow_key *back, const bool v6)
{
	return v6 ? bpf_map_lookup_elem(&returns6, &back->v6) : bpf_map_lookup_elem(&returns4, &back->v4);
}

static __always_inline long translation_put(const union flow_key *back, const union translation *t,
					    __u64 how, const bool v6)
{
	return v6 ? bpf_map_update_elem(&returns6, &back->v6, &t->v6, how) :
		    bpf_map_update_elem(&returns4, &back->v4, &t->v4, how);
}

/* The key with which answers come, to a connection that is `key` to us. */
static __always_inline void back_key(union flow_key *back, const union flow_key *key, const void *ep,
				     __be32 turned_ports, const bool v6)
{
	union ports ports = { .word = turned_ports };
	bool nat = endpoint_rest(ep, v6)->mode == FORWARD_NAT;

	if (v6) {
		const struct endpoint6 *ep6 = ep;

		__builtin_memcpy(back->v6.saddr, ep6->addr, 16);
		__builtin_memcpy(back->v6.daddr, nat ? ep6->source : key->v6.saddr, 16);
		back->v6.sport = ports.port[1];
		back->v6.dport = ports.port[0];
		back->v6.proto = key->v6.proto;
	} else {
		const struct endpoint4 *ep4 = ep;

		back->v4 = (struct flow_key4){ .saddr = ep4->addr,
					       .daddr = nat ? ep4->source : key->v4.saddr,
					       .sport = ports.port[1],
					       .dport = ports.port[0],
					       .proto = key->v4.proto };
	}
}

/* All of a translation but the way, which lies in the client's frame. */
static __always_inline void translation_fill(union translation *t, const union flow_key *key,
					     const union flow_key *back, const bool v6)
{
	const int addresses = v6 ? 32 : 8;
	__u32 sum = csum_add_block(csum_sub_block(0, back, addresses), key, addresses);
	__u16 ip_delta = csum_fold(sum + (__u16)~bpf_htons(0x0100)); /* the TTL falls by one */
	__u16 l4_delta;

	sum = csum_sub_block(sum, (const void *)back + addresses, 4);
	l4_delta = csum_fold(csum_add_block(sum, (const void *)key + addresses, 4));
	if (v6) {
		t->v6.client = key->v6;
		t->v6.seen = tick_now() - 1; /* so that the first answer is noted */
		t->v6.ip_delta = ip_delta;
		t->v6.l4_delta = l4_delta;
	} else {
		t->v4.client = key->v4;
		t->v4.seen = tick_now() - 1; /* so that the first answer is noted */
		t->v4.ip_delta = ip_delta;
		t->v4.l4_delta = l4_delta;
	}
}

static __always_inline bool translation_set_way(union translation *t, struct xdp_md *ctx, const bool v6)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end)
		return false;
	__builtin_memcpy(v6 ? t->v6.dmac : t->v4.dmac, eth->h_source, ETH_ALEN);
	__builtin_memcpy(v6 ? t->v6.smac : t->v4.smac, eth->h_dest, ETH_ALEN);
	*(v6 ? &t->v6.ifindex : &t->v4.ifindex) = ctx->ingress_ifindex;
	return true;
}

static __always_inline __u32 *translation_seen(void *t, const bool v6)
{
	return v6 ? &((struct translation6 *)t)->seen : &((struct translation4 *)t)->seen;
}

/* Whether the connection that a translation is of still goes by it, or is about to. */
static __always_inline bool translation_used(const void *t, __u32 seen, __be32 turned_ports, const bool v6)
{
	__u32 now = tick_now();
	struct flow *flow;

	if (now - seen < KEPT_TICKS)
		return true;
	flow = flow_find(t, v6); /* its first member is the client's key */
	return flow && flow->flags & FLOW_TRANSLATED && flow->flow_id == turned_ports && flow_alive(flow, now);
}

static __always_inline bool translation_is(const void *t, const union flow_key *key, const bool v6)
{
	return slot_is(t, key, v6);
}

/* Whether the connection has the key of its answers now, or already. */
static __always_inline bool translation_claim(const union flow_key *back, const union translation *t,
					      const union flow_key *key, __be32 turned_ports, const bool v6)
{
	__u32 *seen, was;
	void *old;

	if (!translation_put(back, t, BPF_NOEXIST, v6))
		return true;
	old = translation_find(back, v6);
	if (!old)
		return false;
	if (!translation_is(old, key, v6)) {
		seen = translation_seen(old, v6);
		was = *seen;
		/* Of two that see it unused, one gets it. */
		if (translation_used(old, was, turned_ports, v6) ||
		    __sync_val_compare_and_swap(seen, was, tick_now()) != was)
			return false;
	}
	return !translation_put(back, t, BPF_ANY, v6);
}

/* What the stack has no room for: [0] = this CPU's. Owner: claim_ports(). Life: one packet. */
struct translating {
	union flow_key back;
	union translation translation;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct translating);
} translating SEC(".maps");

static __always_inline bool claim_ports(struct xdp_md *ctx, const union flow_key *key, const void *ep,
					__be32 turned_ports, const bool v6)
{
	__u32 zero = 0;
	struct translating *room = bpf_map_lookup_elem(&translating, &zero);

	if (!room)
		return false;
	back_key(&room->back, key, ep, turned_ports, v6);
	translation_fill(&room->translation, key, &room->back, v6);
	return translation_set_way(&room->translation, ctx, v6) &&
	       translation_claim(&room->back, &room->translation, key, turned_ports, v6);
}

static __always_inline bool translation_keep(struct xdp_md *ctx, const union flow_key *key,
					     const struct flow *flow, const bool v6)
{
	const void *ep = endpoint_get(flow->endpoint, v6);
	union flow_key back;
	void *t;

	if (!ep)
		return true; /* whoever sends finds the same */
	back_key(&back, key, ep, flow->flow_id, v6);
	t = translation_find(&back, v6);
	if (!t)
		return claim_ports(ctx, key, ep, flow->flow_id, v6);
	/* Its packets may come by another router than before. */
	return translation_is(t, key, v6) && translation_set_way(t, ctx, v6);
}

/* Functions that the verifier walks once. */
__noinline int translation_keep4(struct xdp_md *ctx, const struct flow_key4 *key, const struct flow *flow)
{
	return key && flow && translation_keep(ctx, (const union flow_key *)key, flow, false);
}

__noinline int translation_keep6(struct xdp_md *ctx, const struct flow_key6 *key, const struct flow *flow)
{
	return key && flow && translation_keep(ctx, (const union flow_key *)key, flow, true);
}

/* Whether answers to a connection will still find it. If not, its route is gone. */
static __always_inline bool translation_hold(struct xdp_md *ctx, const union flow_key *key,
					     const struct flow *flow, const bool v6)
{
	if (!(flow->flags & FLOW_TRANSLATED))
		return true;
	if (v6 ? translation_keep6(ctx, &key->v6, flow) : translation_keep4(ctx, &key->v4, flow))
		return true;
	flow_delete(key, v6);
	return false;
}

/* One port of ours after another. */
struct nat_search {
	struct xdp_md *ctx;
	const union flow_key *key;
	const void *ep;
	union ports ports;
	__u32 next; /* counted from the first port */
	bool nat; /* else there is one try, with the ports as they are */
	bool found;
};

/* The endpoint remembers the last connection by a port for a minute (TIME_WAIT), and may refuse
 * another client's. */
static __always_inline bool nat_port_rests(const struct nat_search *s, const bool v6)
{
	__u32 zero = 0;
	struct translating *room = bpf_map_lookup_elem(&translating, &zero);
	void *t;

	if (!room)
		return false;
	back_key(&room->back, s->key, s->ep, s->ports.word, v6);
	t = translation_find(&room->back, v6);
	if (!t || translation_is(t, s->key, v6))
		return false;
	return tick_now() - *translation_seen(t, v6) <= config.life[FLOW_ZOMBIE];
}

static __always_inline long nat_try(struct nat_search *s, __u32 index, const bool v6)
{
	__u32 count = config.nat_last - config.nat_first + 1;

	if (s->nat)
		s->ports.port[0] = bpf_htons(config.nat_first + (s->next + index) % count);
	if (s->nat && index < NAT_TRIES && nat_port_rests(s, v6))
		return 0;
	s->found = claim_ports(s->ctx, s->key, s->ep, s->ports.word, v6);
	return s->found;
}

static long nat_try4(__u32 index, void *context)
{
	return nat_try(context, index, false);
}

static long nat_try6(__u32 index, void *context)
{
	return nat_try(context, index, true);
}

/* A client that takes its own port anew gets ours anew, so that what the endpoint remembers is of the
 * same client. Others begin anywhere. */
static __noinline __u32 nat_port_first(const union flow_key *key, const struct flow *flow, const bool v6)
{
	const struct flow *old = flow_find(key, v6);
	union ports ports;

	if (!old || !(old->flags & FLOW_TRANSLATED) || old->endpoint != flow->endpoint)
		return bpf_get_prandom_u32();
	ports.word = old->flow_id;
	return bpf_ntohs(ports.port[0]) - config.nat_first;
}

static __always_inline int translation_begin(struct xdp_md *ctx, const union flow_key *key,
					     struct flow *flow, const bool v6)
{
	const void *ep = endpoint_get(flow->endpoint, v6);
	struct nat_search s = { .ctx = ctx, .key = key, .ep = ep };

	if (!ep)
		return REASON_NO_HOST;
	s.ports.word = flow->flow_id;
	s.next = nat_port_first(key, flow, v6);
	s.nat = endpoint_rest(ep, v6)->mode == FORWARD_NAT;
	bpf_loop(s.nat ? 2 * NAT_TRIES : 1, v6 ? nat_try6 : nat_try4, &s, 0);
	flow->flow_id = s.ports.word;
	if (s.found)
		return REASON_COUNT;
	return s.nat ? REASON_NO_NAT_PORT : REASON_TRANSLATION_TAKEN;
}

__noinline int translation_open4(struct xdp_md *ctx, const struct flow_key4 *key, struct flow *flow)
{
	return key && flow ? translation_begin(ctx, (const union flow_key *)key, flow, false) :
			     REASON_UNIT_INTERNAL;
}

__noinline int translation_open6(struct xdp_md *ctx, const struct flow_key6 *key, struct flow *flow)
{
	return key && flow ? translation_begin(ctx, (const union flow_key *)key, flow, true) :
			     REASON_UNIT_INTERNAL;
}

/* For a new connection, whose flow->endpoint and flow->flow_id stand; NAT's port is put into the
 * latter. REASON_COUNT: all is well; else why it can't be. */
static __always_inline int translation_open(struct xdp_md *ctx, const union flow_key *key, struct flow *flow,
					    const bool v6)
{
	return v6 ? translation_open6(ctx, &key->v6, flow) : translation_open4(ctx, &key->v4, flow);
}

#endif
