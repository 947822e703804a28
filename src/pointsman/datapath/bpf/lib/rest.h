/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is no plain, whole TCP segment or UDP datagram: found out and ended here. */
#ifndef POINTSMAN_REST_H
#define POINTSMAN_REST_H

#include "base.h"
#include "finish.h"
#include "packet.h"
#include "portless.h"
#include "service.h"

/* Why the forwarder could not read it, should it be for one of our VIPs. */
static __always_inline enum reason what4(const struct iphdr *ip)
{
	if (ip->version != 4 || ip->ihl < 5)
		return REASON_UNIT_MALFORMED;
	if (ip->ihl != 5)
		return REASON_IP_OPTIONS;
	if (ip->frag_off & bpf_htons(IP_FRAGMENT))
		return REASON_UNIT_FRAGMENT;
	return ip->protocol == IPPROTO_TCP || ip->protocol == IPPROTO_UDP ? REASON_UNIT_MALFORMED :
									    REASON_NO_SERVICE;
}

static __always_inline enum reason what6(const struct ipv6hdr *ip)
{
	if (ip->version != 6)
		return REASON_UNIT_MALFORMED;
	switch (ip->nexthdr) {
	case IPPROTO_FRAGMENT:
		return REASON_UNIT_FRAGMENT;
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
		return REASON_IP_OPTIONS;
	case IPPROTO_TCP:
	case IPPROTO_UDP:
		return REASON_UNIT_MALFORMED;
	default:
		return REASON_NO_SERVICE;
	}
}

static __always_inline int rest(struct xdp_md *ctx, const bool v6)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct packet p = { .eth = data };
	enum reason why;

	p.ip4 = v6 ? NULL : data + ETH_HLEN;
	p.ip6 = v6 ? data + ETH_HLEN : NULL;
	if (data + ETH_HLEN + ip_header_bytes(v6) > end)
		return finish(REASON_NOT_OURS, XDP_PASS);
	if (parse_portless(&p, data, end, v6))
		return portless(ctx, &p, v6);
	why = v6 ? what6(p.ip6) : what4(p.ip4);
	if (!to_vip(&p, v6))
		return finish(REASON_NOT_OURS, XDP_PASS);
	return why == REASON_NO_SERVICE ? no_service(&p, v6) : finish(why, XDP_DROP);
}

#endif
