/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What is no plain, whole TCP segment or UDP datagram: found out here, and ended or sent where it is read. */
#ifndef POINTSMAN_REST_H
#define POINTSMAN_REST_H

#include "base.h"
#include "finish.h"
#include "fragment.h"
#include "ip_options.h"
#include "notices.h"
#include "packet.h"
#include "portless.h"
#include "service.h"

#define NO_PROGRAM PROGRAMS

/* The program that reads what follows the IP header; NO_PROGRAM: none does. */
static __always_inline __u32 reader4(const struct iphdr *ip)
{
	if (ip->ihl > 5)
		return PROGRAM_OPTIONS4;
	if (ip->frag_off & bpf_htons(IP_FRAGMENT))
		return PROGRAM_FRAGMENT4;
	return ip->protocol == IPPROTO_ICMP ? PROGRAM_ICMP4 : NO_PROGRAM;
}

static __always_inline __u32 reader6(const struct ipv6hdr *ip, void *end)
{
	const struct fragment_header *fragment = (void *)(ip + 1);

	if (is_extension(ip->nexthdr))
		return PROGRAM_OPTIONS6;
	if (ip->nexthdr == IPPROTO_FRAGMENT)
		return (void *)(fragment + 1) <= end && !(fragment->offset & bpf_htons(IP6_OFFSET | IP6_MORE)) ?
			       PROGRAM_OPTIONS6 : PROGRAM_FRAGMENT6;
	return ip->nexthdr == IPPROTO_ICMPV6 ? PROGRAM_ICMP6 : NO_PROGRAM;
}

static __always_inline bool makes_sense(const struct packet *p, const bool v6)
{
	return v6 ? p->ip6->version == 6 : p->ip4->version == 4 && p->ip4->ihl >= 5;
}

/* Whether something that is for no VIP may have to do with what we sent: an ICMP error about it, or,
 * by half-NAT and NAT, a fragment of an answer to it. */
static __always_inline bool may_concern_us(const struct packet *p, __u32 reader, const bool v6)
{
	bool translates = config.flags & UNIT_TRANSLATES;

	if (!makes_sense(p, v6))
		return false;
	if (reader == (v6 ? PROGRAM_ICMP6 : PROGRAM_ICMP4))
		return translates || to_tunnel(p, v6);
	return translates && reader == (v6 ? PROGRAM_FRAGMENT6 : PROGRAM_FRAGMENT4);
}

static __always_inline int rest(struct xdp_md *ctx, const bool v6)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct packet p = { .eth = data };
	__u32 reader;
	__u8 proto;

	p.ip4 = v6 ? NULL : data + ETH_HLEN;
	p.ip6 = v6 ? data + ETH_HLEN : NULL;
	if (data + ETH_HLEN + ip_header_bytes(v6) > end)
		return finish(REASON_NOT_OURS, XDP_PASS);
	if (parse_portless(&p, ctx, v6))
		return portless(ctx, &p, v6);
	reader = v6 ? reader6(p.ip6, end) : reader4(p.ip4);
	proto = v6 ? p.ip6->nexthdr : p.ip4->protocol;
	if (!to_vip(&p, v6)) {
		if (may_concern_us(&p, reader, v6))
			bpf_tail_call(ctx, &programs, reader);
		return finish(REASON_NOT_OURS, XDP_PASS);
	}
	if (!makes_sense(&p, v6))
		return finish(REASON_UNIT_MALFORMED, XDP_DROP);
	if (reader != NO_PROGRAM) {
		bpf_tail_call(ctx, &programs, reader);
		return finish(REASON_UNIT_INTERNAL, XDP_DROP); /* Python fills the map before it attaches us */
	}
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP)
		return finish(REASON_UNIT_MALFORMED, XDP_DROP);
	return no_service(&p, v6);
}

#endif
