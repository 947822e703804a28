/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* TCP options (RFC 9293 §3.1, 7323, 2018), read from a copy of the TCP header. */
#ifndef POINTSMAN_TCP_OPTIONS_H
#define POINTSMAN_TCP_OPTIONS_H

#include "base.h"

#define TCP_HEADER_MAX 60
#define TCP_HEADER_COPY 72 /* a whole header, and room to read any option at its last byte */
#define WSCALE_NONE 15
#define WSCALE_MAX 14 /* RFC 7323 §2.3 */

enum tcp_option {
	TCPOPT_EOL = 0,
	TCPOPT_NOP = 1,
	TCPOPT_MSS = 2,
	TCPOPT_WSCALE = 3,
	TCPOPT_SACK_PERMITTED = 4,
	TCPOPT_TSTAMP = 8,
};

struct tcp_options {
	__u32 tsval; /* host order */
	__u32 tsecr;
	__u16 mss; /* 0: not given */
	__u8 tsecr_at; /* offset in the TCP header, if there is a timestamp */
	__u8 wscale; /* WSCALE_NONE: not given */
	bool sack;
	bool tstamp;
};

struct tcp_options_cursor {
	const __u8 *header; /* TCP_HEADER_COPY bytes */
	struct tcp_options *options;
	__u32 pos;
	__u32 end;
};

static __always_inline __u32 get_be32(const __u8 *p)
{
	return (__u32)p[0] << 24 | (__u32)p[1] << 16 | (__u32)p[2] << 8 | p[3];
}

/* One option a call. An option that overruns the header ends the list, as in Linux. */
static long tcp_options_step(__u32 index, void *context)
{
	struct tcp_options_cursor *c = context;
	struct tcp_options *o = c->options;
	__u32 pos = c->pos;
	__u32 length;

	if (pos >= c->end || pos >= TCP_HEADER_MAX || c->header[pos] == TCPOPT_EOL)
		return 1;
	if (c->header[pos] == TCPOPT_NOP) {
		c->pos = pos + 1;
		return 0;
	}
	length = c->header[pos + 1];
	if (length < 2 || pos + length > c->end)
		return 1;
	if (c->header[pos] == TCPOPT_MSS && length == 4)
		o->mss = c->header[pos + 2] << 8 | c->header[pos + 3];
	else if (c->header[pos] == TCPOPT_WSCALE && length == 3)
		o->wscale = c->header[pos + 2] > WSCALE_MAX ? WSCALE_MAX : c->header[pos + 2];
	else if (c->header[pos] == TCPOPT_SACK_PERMITTED && length == 2)
		o->sack = true;
	else if (c->header[pos] == TCPOPT_TSTAMP && length == 10) {
		o->tstamp = true;
		o->tsval = get_be32(c->header + pos + 2);
		o->tsecr = get_be32(c->header + pos + 6);
		o->tsecr_at = pos + 6;
	}
	c->pos = pos + length;
	return 0;
}

/* header: a copy of the TCP header, TCP_HEADER_COPY bytes; length: of the header proper. */
static __always_inline void tcp_options_read(const __u8 *header, __u32 length,
					     struct tcp_options *options)
{
	struct tcp_options_cursor cursor = {
		.header = header,
		.options = options,
		.pos = sizeof(struct tcphdr),
		.end = length,
	};

	*options = (struct tcp_options){ .wscale = WSCALE_NONE };
	bpf_loop(TCP_HEADER_MAX, tcp_options_step, &cursor, 0);
}

#endif
