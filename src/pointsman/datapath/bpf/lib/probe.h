/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Keep-alive probes of inspected connections that wait for their first data (RFC 9293 §3.8.4).
 *
 * Browsers open connections ahead of need and probe them. No host has the connection yet; our cookie,
 * which every probe acknowledges, is all it takes to answer.
 */
#ifndef POINTSMAN_PROBE_H
#define POINTSMAN_PROBE_H

#include "answer.h"
#include "base.h"
#include "cookie.h"
#include "finish.h"
#include "packet.h"
#include "segment.h"
#include "tcp_options.h"

struct probe_ack {
	struct tcphdr tcp;
	__u8 nops[2];
	__u8 tstamp[10];
};
_Static_assert(sizeof(struct probe_ack) == 32, "whole words");

/* A probe repeats the last number that the client has used: that of its SYN. */
static __always_inline bool is_probe(const struct packet *p, const void *key, const bool v6)
{
	return payload_bytes(p) <= 1 && !p->tcp->fin && !p->tcp->rst &&
	       cookie_valid(key, bpf_ntohl(p->tcp->seq), bpf_ntohl(p->tcp->ack_seq) - 1, v6);
}

static __always_inline int probe_answer(struct xdp_md *ctx, const struct packet *p, const void *key,
					const struct service *service, const bool v6)
{
	__u32 isn = bpf_ntohl(p->tcp->ack_seq) - 1;
	bool scaled = cookie_wscale(isn) != WSCALE_NONE;
	struct answer a = {
		.seq = isn + 1,
		.ack = bpf_ntohl(p->tcp->seq) + 1,
		.window = ANSWER_WINDOW >> (scaled ? service->rcv_wscale & WSCALE_NONE : 0),
		.source = p->tcp->dest,
		.dest = p->tcp->source,
	};
	struct scratch *s = scratch_get();
	struct tcp_options options;
	struct probe_ack *out;
	__u32 sum;

	if (!s || !segment_load(ctx, p, s, v6))
		return finish(REASON_BAD_CHECKSUM, XDP_DROP);
	tcp_options_read(s->segment, p->l4_header, &options);
	out = answer_begin(ctx, p, key, &a, sizeof(*out), &sum, v6);
	if (!out)
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	__builtin_memset(out->nops, TCPOPT_NOP, sizeof(out->nops) + sizeof(out->tstamp));
	if (options.tstamp)
		put_tstamp(out->tstamp, options.tsval);
	answer_seal(&out->tcp, sum, sizeof(*out));
	return finish(REASON_PROBE_ANSWERED, XDP_TX);
}

#endif
