/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ICMP errors that another unit has no route for and hands on (docs/wire/bundle.md). */
#ifndef POINTSMAN_HANDOVER_H
#define POINTSMAN_HANDOVER_H

#include "base.h"
#include "finish.h"
#include "icmp_error.h"
#include "packet.h"
#include "tag.h"
#include "unit_quote.h"

/* p: a datagram to our tunnel address and the bundle port. */
static __always_inline bool is_handover(const struct packet *p, void *end)
{
	const struct bundle *b = (void *)(p->udp + 1);

	return (void *)(b + 1) <= end && b->kind == BUNDLE_HANDOVER;
}

/* Reads the carried message, which must fill its bundle. False if it is none, or the tag is wrong. */
static __always_inline bool handover_open(const struct packet *p, void *end, struct bundle *b, const bool v6)
{
	const void *inner = p->udp + 1;
	union tagged t = {};
	struct packet in;

	if (inner + sizeof(*b) > end)
		return false;
	__builtin_memcpy(b, inner, sizeof(*b));
	/* As if the carried packet had a MAC header of its own. */
	if (b->version != BUNDLE_VERSION || b->kind != BUNDLE_HANDOVER ||
	    !parse_icmp_at(&in, (void *)inner + sizeof(*b) - ETH_HLEN, end, v6) ||
	    in.ip_bytes != payload_bytes(p) - sizeof(*b))
		return false;
	icmp_tagged(&t, &in, v6);
	return b->tag == tag_make(&t, b, v6);
}

static __always_inline int handover(struct xdp_md *ctx, const bool v6)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr eth;
	struct packet p;
	struct bundle b;

	if (!parse_plain(&p, ctx, v6) || p.proto != IPPROTO_UDP)
		return finish(REASON_UNIT_INTERNAL, XDP_DROP); /* it has been parsed */
	if (!handover_open(&p, end, &b, v6))
		return finish(REASON_BAD_NOTICE, XDP_DROP);
	eth = *p.eth;
	if (bpf_xdp_adjust_head(ctx, bundle_room(v6)))
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + sizeof(eth) > end)
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	__builtin_memcpy(data, &eth, sizeof(eth));
	if (!parse_icmp(&p, ctx, v6) || !is_icmp_error(((struct icmp_header *)p.l4)->type, v6))
		return finish(REASON_BAD_NOTICE, XDP_DROP);
	return vip_error(ctx, &p, b.hops, v6);
}

#endif
