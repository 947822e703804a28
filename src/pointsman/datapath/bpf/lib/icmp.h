/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ICMP (RFC 792) and ICMPv6 (RFC 4443) for our addresses: echo, neighbour discovery, errors. */
#ifndef POINTSMAN_ICMP_H
#define POINTSMAN_ICMP_H

#include "base.h"
#include "csum.h"
#include "finish.h"
#include "icmp_error.h"
#include "ip.h"
#include "packet.h"
#include "service.h"

#define ICMP4_ECHO_REPLY 0
#define ICMP4_ECHO 8
#define ICMP6_ECHO 128
#define ICMP6_ECHO_REPLY 129
#define ICMP6_ROUTER_SOLICIT 133 /* first and last of neighbour discovery, RFC 4861 */
#define ICMP6_REDIRECT 137

/* The addresses change places, which no checksum notices. An error in the checksum stays one. */
static __always_inline int echo_answer(struct packet *p, const bool v6)
{
	struct icmp_header *icmp = p->l4;
	__u8 mac[ETH_ALEN];

	__builtin_memcpy(mac, p->eth->h_dest, ETH_ALEN);
	__builtin_memcpy(p->eth->h_dest, p->eth->h_source, ETH_ALEN);
	__builtin_memcpy(p->eth->h_source, mac, ETH_ALEN);
	if (v6) {
		struct in6_addr vip = p->ip6->daddr;

		p->ip6->daddr = p->ip6->saddr;
		p->ip6->saddr = vip;
		p->ip6->hop_limit = OWN_TTL;
	} else {
		__be32 vip = p->ip4->daddr;
		__u8 ttl = p->ip4->ttl;

		p->ip4->daddr = p->ip4->saddr;
		p->ip4->saddr = vip;
		p->ip4->ttl = OWN_TTL;
		p->ip4->check = csum_apply(p->ip4->check, csum_fold((__u16)~ttl + OWN_TTL));
	}
	icmp->check = csum_apply(icmp->check, csum_fold((__u16)~icmp->type + (v6 ? ICMP6_ECHO_REPLY : 0)));
	icmp->type = v6 ? ICMP6_ECHO_REPLY : ICMP4_ECHO_REPLY;
	return finish(REASON_ECHO_ANSWERED, XDP_TX);
}

static __always_inline bool is_discovery(__u8 type, const bool v6)
{
	return v6 && type >= ICMP6_ROUTER_SOLICIT && type <= ICMP6_REDIRECT;
}

/* The end of a message that is cut off. */
static __always_inline int malformed(void *data, void *end, const bool v6)
{
	struct packet p = { .ip4 = v6 ? NULL : data + ETH_HLEN, .ip6 = v6 ? data + ETH_HLEN : NULL };

	return data + ETH_HLEN + ip_header_bytes(v6) <= end && to_vip(&p, v6) ?
		       finish(REASON_UNIT_MALFORMED, XDP_DROP) : finish(REASON_NOT_OURS, XDP_PASS);
}

/* An ICMP message to a VIP, to our tunnel address, or perhaps about what half-NAT or NAT sent. */
static __always_inline int icmp(struct xdp_md *ctx, const bool v6)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct packet p;
	__u8 type;

	if (!parse_icmp(&p, ctx, v6))
		return malformed(data, end, v6);
	type = ((struct icmp_header *)p.l4)->type;
	if (!to_vip(&p, v6))
		return is_icmp_error(type, v6) ? way_error(ctx, &p, v6) : finish(REASON_NOT_OURS, XDP_PASS);
	if (is_icmp_error(type, v6))
		return vip_error(ctx, &p, 0, v6);
	if (type == (v6 ? ICMP6_ECHO : ICMP4_ECHO))
		return echo_answer(&p, v6);
	if (is_discovery(type, v6))
		return finish(REASON_NEIGHBOUR, XDP_PASS);
	return config.flags & UNIT_PASSES_OTHER_PORTS ? finish(REASON_OTHER_PORT, XDP_PASS) :
							finish(REASON_ICMP_OTHER, XDP_DROP);
}

#endif
