/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Binding a connection to a host: a card is dealt, a route written, the first packet bundled. */
#ifndef POINTSMAN_PLUMB_H
#define POINTSMAN_PLUMB_H

#include "base.h"
#include "deck.h"
#include "forward.h"

static __always_inline struct flow *flow_find(const union flow_key *key, const bool v6)
{
	return v6 ? bpf_map_lookup_elem(&flows6, &key->v6) : bpf_map_lookup_elem(&flows4, &key->v4);
}

static __always_inline long flow_store(const union flow_key *key, const struct flow *flow, const bool v6)
{
	return v6 ? bpf_map_update_elem(&flows6, &key->v6, flow, BPF_ANY) :
		    bpf_map_update_elem(&flows4, &key->v4, flow, BPF_ANY);
}

/* Unique among this unit's flows until a CPU's counter has gone round. */
static __always_inline __be32 flow_id_next(void)
{
	__u32 zero = 0;
	__u32 *count = bpf_map_lookup_elem(&next_ids, &zero);

	if (!count)
		return 0;
	*count += 1;
	return bpf_htonl(*count << config.cpu_bits | bpf_get_smp_processor_id());
}

/* kind: BUNDLE_SYN of a plain service, BUNDLE_DATA of an inspected one. */
static __always_inline int plumb(struct xdp_md *ctx, struct packet *p, const union flow_key *key,
				 const struct service *service, __u32 pool, enum bundle_kind kind,
				 const bool v6)
{
	bool inspected = kind == BUNDLE_DATA;
	struct flow flow = {};
	void *host;

	if (p->ip_bytes + bundle_room(v6) > config.mtu)
		return finish(REASON_TOO_BIG, XDP_DROP);
	flow.host = deck_deal(pool, v6);
	if (flow.host == NO_CARD)
		return finish(REASON_NO_HOST, XDP_DROP);
	host = host_get(flow.host, v6);
	if (!host)
		return finish(REASON_NO_HOST, XDP_DROP);
	flow.flow_id = flow_id_next();
	flow.first_seq = bpf_ntohl(p->tcp->seq);
	flow.isn = bpf_ntohl(p->tcp->ack_seq) - 1;
	flow.seen = tick_now();
	flow.epoch = epoch_of(flow.host);
	flow.service = service->id;
	flow.traffic = service->traffic + flow.host;
	flow.state = p->tcp->fin ? FLOW_CLOSING : FLOW_OPENING;
	flow.flags = inspected ? FLOW_INSPECTED : 0;
	flow.rcv_wscale = service->rcv_wscale;
	if (v6)
		flow_set_deltas6(&flow, &key->v6, host);
	else
		flow_set_deltas4(&flow, &key->v4, host);
	if (flow_store(key, &flow, v6))
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	return inspected ? bundle_send_data(ctx, p, &flow, flow.rcv_wscale, REASON_BUNDLED_DATA, v6) :
			   bundle_send_plain(ctx, p, &flow, BUNDLE_SYN, REASON_BUNDLED_SYN, v6);
}

#endif
