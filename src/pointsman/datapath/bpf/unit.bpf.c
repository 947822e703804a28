// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* The unit: forwarder, and what it tail-calls when there is more to do (architecture: packet path).
 *
 *   forward: parse, one lookup, rewrite, out.       all others (enum program): what is rarer.
 */
#include "lib/base.h"
#include "lib/unit_maps.h"
#include "lib/packet.h"
#include "lib/finish.h"
#include "lib/flow.h"
#include "lib/classify.h"
#include "lib/datagram.h"
#include "lib/icmp.h"
#include "lib/ip_options.h"
#include "lib/rest.h"
#include "lib/tagged.h"
#include "lib/unit_fragments.h"
#include "lib/way_back.h"

/* What has a live route goes on by it; all else is for one of the programs. */
static __always_inline int forward_family(struct xdp_md *ctx, const bool v6)
{
	union flow_key key;
	struct packet p;
	struct flow *flow;
	__u32 now;

	if (!parse_plain(&p, ctx, v6)) {
		bpf_tail_call(ctx, &programs, v6 ? PROGRAM_REST6 : PROGRAM_REST4);
		goto unfilled;
	}
	if (p.proto == IPPROTO_TCP && p.tcp->syn)
		goto classify; /* be there a route or not */
	flow_key_from(&key, &p, v6);
	flow = flow_find(&key, v6);
	if (!flow)
		goto classify;
	now = tick_now();
	if (!flow_alive(flow, now) || flow->flags & (FLOW_REOPENED | FLOW_BY_ID))
		goto classify;
	if (flow->flags & FLOW_TRANSLATED && flow->seen != now) {
		bpf_tail_call(ctx, &programs, v6 ? PROGRAM_TRANSLATE6 : PROGRAM_TRANSLATE4);
		goto unfilled;
	}
	return p.proto == IPPROTO_TCP ? segment_send(ctx, &p, flow, now, v6) :
					datagram_send(ctx, &p, flow, now, v6);
classify:
	if (p.proto == IPPROTO_TCP)
		bpf_tail_call(ctx, &programs, v6 ? PROGRAM_CLASSIFY6 : PROGRAM_CLASSIFY4);
	else
		bpf_tail_call(ctx, &programs, v6 ? PROGRAM_DATAGRAM6 : PROGRAM_DATAGRAM4);
unfilled:
	return finish(REASON_UNIT_INTERNAL, XDP_DROP); /* Python fills the map before it attaches us */
}

/* An untagged frame. */
static __always_inline int forward_frame(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;

	if ((void *)(eth + 1) > end)
		return finish(REASON_NOT_OURS, XDP_PASS);
	if (eth->h_proto == bpf_htons(ETH_P_IP))
		return forward_family(ctx, false);
	if (eth->h_proto == bpf_htons(ETH_P_IPV6))
		return forward_family(ctx, true);
	if (is_tag(eth->h_proto))
		bpf_tail_call(ctx, &programs, PROGRAM_TAGGED);
	return finish(REASON_NOT_OURS, XDP_PASS);
}

SEC("xdp.frags")
int forward(struct xdp_md *ctx)
{
	return forward_frame(ctx);
}

SEC("xdp.frags")
int classify4(struct xdp_md *ctx)
{
	return classify(ctx, false);
}

SEC("xdp.frags")
int classify6(struct xdp_md *ctx)
{
	return classify(ctx, true);
}

SEC("xdp.frags")
int datagram4(struct xdp_md *ctx)
{
	return datagram(ctx, false);
}

SEC("xdp.frags")
int datagram6(struct xdp_md *ctx)
{
	return datagram(ctx, true);
}

SEC("xdp.frags")
int translate4(struct xdp_md *ctx)
{
	return translate(ctx, false);
}

SEC("xdp.frags")
int translate6(struct xdp_md *ctx)
{
	return translate(ctx, true);
}

SEC("xdp.frags")
int rest4(struct xdp_md *ctx)
{
	return rest(ctx, false);
}

SEC("xdp.frags")
int rest6(struct xdp_md *ctx)
{
	return rest(ctx, true);
}

SEC("xdp.frags")
int options4(struct xdp_md *ctx)
{
	return options4_take_off(ctx);
}

SEC("xdp.frags")
int options6(struct xdp_md *ctx)
{
	return options6_take_off(ctx);
}

SEC("xdp.frags")
int fragment4(struct xdp_md *ctx)
{
	return fragment(ctx, false);
}

SEC("xdp.frags")
int fragment6(struct xdp_md *ctx)
{
	return fragment(ctx, true);
}

SEC("xdp.frags")
int icmp4(struct xdp_md *ctx)
{
	return icmp(ctx, false);
}

SEC("xdp.frags")
int icmp6(struct xdp_md *ctx)
{
	return icmp(ctx, true);
}

SEC("xdp.frags")
int handover4(struct xdp_md *ctx)
{
	return handover(ctx, false);
}

SEC("xdp.frags")
int handover6(struct xdp_md *ctx)
{
	return handover(ctx, true);
}

/* A function, so that what it tail-calls comes back here. */
static __noinline int forward_untagged(struct xdp_md *ctx)
{
	return forward_frame(ctx);
}

/* A frame with VLAN tags: done without them, sent or passed with them. */
SEC("xdp.frags")
int tagged(struct xdp_md *ctx)
{
	struct tags tags;
	int verdict;

	if (!tags_pop(ctx, &tags))
		return finish(REASON_NOT_OURS, XDP_PASS);
	verdict = forward_untagged(ctx);
	if (verdict == XDP_DROP)
		return verdict;
	return tags_push(ctx, &tags) ? verdict : XDP_ABORTED;
}

char _license[] SEC("license") = "Dual BSD/GPL";
