// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* The unit: forwarder, and the classifier it tail-calls on a miss (architecture: packet path).
 *
 *   forward: parse, one lookup, rewrite, out.       classify4, classify6: everything that is rarer.
 */
#include "lib/base.h"
#include "lib/unit_maps.h"
#include "lib/packet.h"
#include "lib/finish.h"
#include "lib/forward.h"
#include "lib/notices.h"
#include "lib/classify.h"

/* A packet that is no whole TCP segment: a notice, something broken for a VIP, or none of ours. */
static __always_inline int forward_other(struct packet *p, void *data, void *end, enum reason why,
					 const bool v6)
{
	int verdict;

	if (data + ETH_HLEN + ip_header_bytes(v6) > end)
		return finish(REASON_NOT_OURS, XDP_PASS);
	if (why == REASON_NOT_OURS && notice_handle(data, end, v6, &verdict))
		return verdict;
	if (why != REASON_NOT_OURS && to_vip(p, v6))
		return finish(why, XDP_DROP);
	return finish(REASON_NOT_OURS, XDP_PASS);
}

static __always_inline int forward_family(struct xdp_md *ctx, void *data, void *end, const bool v6)
{
	__u32 now = tick_now();
	union flow_key key;
	struct packet p;
	struct flow *flow;
	enum reason why;

	if (!parse_segment(&p, data, end, v6, &why))
		return forward_other(&p, data, end, why, v6);
	flow_key_from(&key, &p, v6);
	flow = flow_find(&key, v6);
	if (flow && !p.tcp->syn && !(flow->flags & FLOW_REOPENED) && flow_alive(flow, now))
		return flow_send(ctx, &p, flow, now, v6);
	bpf_tail_call(ctx, &classifiers, v6 ? FAMILY_IPV6 : FAMILY_IPV4);
	/* This unit classifies nothing. */
	return to_vip(&p, v6) ? finish(REASON_NO_ROUTE, XDP_DROP) : finish(REASON_NOT_OURS, XDP_PASS);
}

SEC("xdp")
int forward(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end)
		return finish(REASON_NOT_OURS, XDP_PASS);
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return forward_family(ctx, data, end, false);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return forward_family(ctx, data, end, true);
	return finish(REASON_NOT_OURS, XDP_PASS);
}

SEC("xdp")
int classify4(struct xdp_md *ctx)
{
	return classify(ctx, false);
}

SEC("xdp")
int classify6(struct xdp_md *ctx)
{
	return classify(ctx, true);
}

char _license[] SEC("license") = "Dual BSD/GPL";
