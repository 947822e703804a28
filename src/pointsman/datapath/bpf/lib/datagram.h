/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What becomes of a UDP datagram that has no route (R-A9, R-E12). */
#ifndef POINTSMAN_DATAGRAM_H
#define POINTSMAN_DATAGRAM_H

#include "base.h"
#include "handover.h"
#include "notices.h"
#include "plumb.h"
#include "service.h"

/* The whole classifier of one family's datagrams; the forwarder calls it on what it can't send on. */
static __always_inline int datagram(struct xdp_md *ctx, const bool v6)
{
	void *end = (void *)(long)ctx->data_end;
	struct service *service;
	union flow_key key;
	struct packet p;

	if (!parse_plain(&p, (void *)(long)ctx->data, end, v6) ||
	    p.proto != IPPROTO_UDP)
		return finish(REASON_UNIT_INTERNAL, XDP_DROP); /* the forwarder has parsed it */
	service = service_of(&p, v6);
	if (!service && is_notice(&p, v6)) {
		if (is_handover(&p, end))
			bpf_tail_call(ctx, &programs, v6 ? PROGRAM_HANDOVER6 : PROGRAM_HANDOVER4);
		return notice_take(&p, end, v6);
	}
	if (!service)
		return no_service_here(ctx, &p, v6);
	if (!(config.flags & UNIT_CLASSIFIES))
		return finish(REASON_NO_ROUTE, XDP_DROP);
	flow_key_from(&key, &p, v6);
	return plumb(ctx, &p, &key, service, service->pool, BUNDLE_DATAGRAM, tick_now(), v6);
}

#endif
