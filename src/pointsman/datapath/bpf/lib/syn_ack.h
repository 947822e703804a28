/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Answers a SYN with our cookie (R-E1). */
#ifndef POINTSMAN_SYN_ACK_H
#define POINTSMAN_SYN_ACK_H

#include "answer.h"
#include "base.h"
#include "cookie.h"
#include "finish.h"
#include "packet.h"

/* Every option has its place and NOPs stand in for those not agreed on: one length for all. */
struct syn_ack {
	struct tcphdr tcp;
	__u8 mss[4];
	__u8 sack[2];
	__u8 tstamp[10];
	__u8 wscale[4];
};
_Static_assert(sizeof(struct syn_ack) == 40, "whole words");

static __always_inline void syn_ack_options(struct syn_ack *a, const struct tcp_options *o,
					    const struct service *service)
{
	a->mss[0] = TCPOPT_MSS;
	a->mss[1] = 4;
	a->mss[2] = service->mss >> 8;
	a->mss[3] = service->mss;
	__builtin_memset(a->sack, TCPOPT_NOP, sizeof(a->sack) + sizeof(a->tstamp) + sizeof(a->wscale));
	if (o->sack) {
		a->sack[0] = TCPOPT_SACK_PERMITTED;
		a->sack[1] = 2;
	}
	if (o->tstamp)
		put_tstamp(a->tstamp, o->tsval);
	if (o->wscale != WSCALE_NONE) {
		a->wscale[1] = TCPOPT_WSCALE;
		a->wscale[2] = 3;
		a->wscale[3] = service->rcv_wscale;
	}
}

/* key: struct flow_key4 or struct flow_key6, of the SYN. */
static __always_inline int syn_ack_send(struct xdp_md *ctx, const struct packet *p, const void *key,
					const struct tcp_options *options,
					const struct service *service, const bool v6)
{
	__u32 client_isn = bpf_ntohl(p->tcp->seq);
	bool ecn = p->tcp->ece && p->tcp->cwr;
	struct answer a = {
		.seq = cookie_make(key, client_isn, cookie_options(options, ecn, v6), cookie_slot(), v6),
		.ack = client_isn + 1,
		.window = ANSWER_WINDOW, /* never scaled, RFC 7323 §2.2 */
		.syn = true,
		.ece = ecn,
		.source = p->tcp->dest,
		.dest = p->tcp->source,
	};
	struct syn_ack *out;
	__u32 sum;

	out = answer_begin(ctx, p, key, &a, sizeof(*out), &sum, v6);
	if (!out)
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	syn_ack_options(out, options, service);
	answer_seal(&out->tcp, sum, sizeof(*out));
	return finish(REASON_SYN_ANSWERED, XDP_TX);
}

#endif
