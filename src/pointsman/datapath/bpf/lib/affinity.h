/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Groups of ports (R-A9): whatever flows a client has with one, one endpoint gets them all. */
#ifndef POINTSMAN_AFFINITY_H
#define POINTSMAN_AFFINITY_H

#include "base.h"
#include "packet.h"

/* client: its address, in network order. */
static __always_inline struct affinity *affinity_find(const void *client, __u32 service, const bool v6)
{
	struct affinity_key4 key4 = { .service = service };
	struct affinity_key6 key6 = { .service = service };

	if (v6) {
		__builtin_memcpy(key6.client, client, sizeof(key6.client));
		return bpf_map_lookup_elem(&affinities6, &key6);
	}
	__builtin_memcpy(&key4.client, client, sizeof(key4.client));
	return bpf_map_lookup_elem(&affinities4, &key4);
}

static __always_inline long affinity_store(const void *client, __u32 service, __u32 endpoint,
					   const bool v6)
{
	struct affinity_key4 key4 = { .service = service };
	struct affinity_key6 key6 = { .service = service };
	struct affinity a = { .endpoint = endpoint, .seen = tick_now() };

	if (v6) {
		__builtin_memcpy(key6.client, client, sizeof(key6.client));
		return bpf_map_update_elem(&affinities6, &key6, &a, BPF_ANY);
	}
	__builtin_memcpy(&key4.client, client, sizeof(key4.client));
	return bpf_map_update_elem(&affinities4, &key4, &a, BPF_ANY);
}

/* Notes that a flow has had a packet. A client's other flows find their endpoint as long as one of
 * them has any. */
static __always_inline void flow_touch(struct flow *flow, const struct packet *p, __u32 now, const bool v6)
{
	struct affinity *a;

	if (flow->seen == now) /* spare the cache line */
		return;
	flow->seen = now;
	if (!(flow->flags & FLOW_GROUPED))
		return;
	a = affinity_find(v6 ? (void *)&p->ip6->saddr : (void *)&p->ip4->saddr, flow->service, v6);
	if (a)
		a->seen = now;
}

#endif
