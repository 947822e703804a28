/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What becomes of a UDP datagram that has no route, or is QUIC and may name another (R-A9, R-E12). */
#ifndef POINTSMAN_DATAGRAM_H
#define POINTSMAN_DATAGRAM_H

#include "base.h"
#include "handover.h"
#include "notices.h"
#include "plumb.h"
#include "quic.h"
#include "service.h"

/* A datagram goes where its connection id says, if that can be reached; else by its route; else
 * where the pool's policy says. */
static __always_inline int datagram_by_id(struct xdp_md *ctx, struct packet *p, const union flow_key *key,
					  const struct service *service, const bool v6)
{
	__u32 at = ETH_HLEN + ip_header_bytes(v6) + sizeof(struct udphdr), now = tick_now();
	__u32 named = quic_named(ctx, service->id, at, payload_bytes(p));
	bool classifies = config.flags & UNIT_CLASSIFIES;
	struct flow *flow = flow_find(key, v6);
	bool live = flow && flow_alive(flow, now);

	if (named != NO_CARD && !endpoint_usable(named, v6))
		named = NO_CARD;
	if (live && (named == NO_CARD || named == flow->endpoint || !classifies)) {
		if (!(flow->flags & FLOW_TRANSLATED) || flow->seen == now)
			return datagram_send(ctx, p, flow, now, v6);
		bpf_tail_call(ctx, &programs, v6 ? PROGRAM_TRANSLATE6 : PROGRAM_TRANSLATE4);
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	}
	if (!classifies)
		return finish(REASON_NO_ROUTE, XDP_DROP);
	return plumb_to(ctx, p, key, service, service->pool, named, BUNDLE_DATAGRAM, now, v6);
}

/* The whole classifier of one family's datagrams; the forwarder calls it on what it can't send on. */
static __always_inline int datagram(struct xdp_md *ctx, const bool v6)
{
	void *end = (void *)(long)ctx->data_end;
	struct service *service;
	union flow_key key;
	struct packet p;

	if (!parse_plain(&p, ctx, v6) || p.proto != IPPROTO_UDP)
		return finish(REASON_UNIT_INTERNAL, XDP_DROP); /* the forwarder has parsed it */
	service = service_of(&p, v6);
	if (!service && is_notice(&p, v6)) {
		if (is_handover(&p, end))
			bpf_tail_call(ctx, &programs, v6 ? PROGRAM_HANDOVER6 : PROGRAM_HANDOVER4);
		return notice_take(&p, end, v6);
	}
	if (!service)
		return no_service_here(ctx, &p, v6);
	flow_key_from(&key, &p, v6);
	if (service->inspect == INSPECT_QUIC)
		return datagram_by_id(ctx, &p, &key, service, v6);
	if (!(config.flags & UNIT_CLASSIFIES))
		return finish(REASON_NO_ROUTE, XDP_DROP);
	return plumb(ctx, &p, &key, service, service->pool, BUNDLE_DATAGRAM, tick_now(), v6);
}

#endif
