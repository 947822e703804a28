/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* IPv4 options and IPv6 extension headers: taken off, so that a plain packet goes on.
 *
 * What they ask of routers is behind them, and hosts need none of them. A route that names further
 * hops is another matter: such a packet is not for us to deliver.
 */
#ifndef POINTSMAN_IP_OPTIONS_H
#define POINTSMAN_IP_OPTIONS_H

#include "base.h"
#include "csum.h"
#include "finish.h"
#include "fragment.h"
#include "packet.h"

#define IP4_OPTIONS_MAX 40
#define EXTENSIONS_MAX 8
#define EXTENSIONS_BYTES 2048 /* all together; an MTU's worth and more */

enum ip4_option {
	IP4OPT_END = 0,
	IP4OPT_NOP = 1,
	IP4OPT_LSRR = 131, /* loose and strict source route, RFC 791 */
	IP4OPT_SSRR = 137,
};

/* Type, length and pointer of the last option are read even if it is cut off. */
struct ip4_options_cursor {
	__u8 header[sizeof(struct iphdr) + IP4_OPTIONS_MAX + 4];
	__u32 pos;
	__u32 end;
	enum reason why; /* REASON_COUNT: nothing is wrong */
};

/* One option a call. */
static long ip4_options_step(__u32 index, void *context)
{
	struct ip4_options_cursor *c = context;
	__u32 pos = c->pos, length;
	__u8 type;

	if (pos >= c->end || pos >= sizeof(struct iphdr) + IP4_OPTIONS_MAX)
		return 1;
	type = c->header[pos];
	if (type == IP4OPT_END)
		return 1;
	if (type == IP4OPT_NOP) {
		c->pos = pos + 1;
		return 0;
	}
	length = c->header[pos + 1];
	if (length < 2 || pos + length > c->end) {
		c->why = REASON_UNIT_MALFORMED;
		return 1;
	}
	/* The pointer is past the end when the last hop is reached. */
	if ((type == IP4OPT_LSRR || type == IP4OPT_SSRR) && (length < 3 || c->header[pos + 2] <= length)) {
		c->why = REASON_SOURCE_ROUTED;
		return 1;
	}
	c->pos = pos + length;
	return 0;
}

/* bytes: of the header with its options. Its checksum covers them, so it is proved here. */
static __always_inline enum reason ip4_options_judge(struct xdp_md *ctx, __u32 bytes)
{
	struct ip4_options_cursor c = { .pos = sizeof(struct iphdr), .end = bytes, .why = REASON_COUNT };

	if (bytes > sizeof(struct iphdr) + IP4_OPTIONS_MAX || bytes <= sizeof(struct iphdr) ||
	    bpf_xdp_load_bytes(ctx, ETH_HLEN, c.header, bytes))
		return REASON_UNIT_MALFORMED;
	if (csum_fold(csum_add_block(0, c.header, sizeof(struct iphdr) + IP4_OPTIONS_MAX)) != 0xffff)
		return REASON_UNIT_MALFORMED;
	bpf_loop(IP4_OPTIONS_MAX, ip4_options_step, &c, 0);
	return c.why;
}

struct extensions {
	__u32 bytes; /* of all that can be taken off */
	__u32 count;
	__u8 next; /* what follows them */
	enum reason why; /* REASON_COUNT: nothing is wrong */
};

static __always_inline bool is_extension(__u8 next)
{
	return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS;
}

/* One header more; false at their end. */
static __always_inline bool extension_take(struct xdp_md *ctx, struct extensions *x)
{
	__u32 at = ETH_HLEN + sizeof(struct ipv6hdr) + x->bytes;
	struct fragment_header fragment;
	__u8 head[4]; /* next header, length, routing type, segments left */

	if (x->next == IPPROTO_FRAGMENT) {
		if (bpf_xdp_load_bytes(ctx, at, &fragment, sizeof(fragment))) {
			x->why = REASON_UNIT_MALFORMED;
			return false;
		}
		/* One that says that this is all (RFC 6946) is of no use. */
		if (fragment.offset & bpf_htons(IP6_OFFSET | IP6_MORE))
			return false;
		x->next = fragment.nexthdr;
		x->bytes += sizeof(fragment);
		return true;
	}
	if (!is_extension(x->next))
		return false;
	if (bpf_xdp_load_bytes(ctx, at, head, sizeof(head))) {
		x->why = REASON_UNIT_MALFORMED;
		return false;
	}
	if (x->next == IPPROTO_ROUTING && head[3]) {
		x->why = REASON_SOURCE_ROUTED;
		return false;
	}
	x->next = head[0];
	x->bytes += (head[1] + 1) * 8;
	return true;
}

static __always_inline void extensions_walk(struct xdp_md *ctx, __u8 next, struct extensions *x)
{
	*x = (struct extensions){ .next = next, .why = REASON_COUNT };
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		if (x->bytes > EXTENSIONS_BYTES || !extension_take(ctx, x))
			break;
		x->count++;
	}
	if (x->why == REASON_COUNT && is_extension(x->next))
		x->why = REASON_IP_OPTIONS;
}

/* Moves Ethernet and IP header over the `cut` bytes that follow them. header: both, as they shall be. */
static __always_inline bool headers_close_up(struct xdp_md *ctx, const void *header, __u32 cut, const bool v6)
{
	const __u32 bytes = ETH_HLEN + ip_header_bytes(v6);
	void *data, *end;

	if (bpf_xdp_adjust_head(ctx, cut))
		return false;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + bytes > end)
		return false;
	__builtin_memcpy(data, header, bytes);
	return true;
}

static __always_inline int options4_take_off(struct xdp_md *ctx)
{
	struct {
		struct ethhdr eth;
		struct iphdr ip;
	} __attribute__((packed, aligned(2))) header;
	enum reason why;
	__u32 bytes;

	if (bpf_xdp_load_bytes(ctx, 0, &header, sizeof(header)))
		return finish(REASON_UNIT_MALFORMED, XDP_DROP);
	bytes = header.ip.ihl * 4;
	if (bpf_ntohs(header.ip.tot_len) < bytes || ETH_HLEN + bpf_ntohs(header.ip.tot_len) > bpf_xdp_get_buff_len(ctx))
		return finish(REASON_UNIT_MALFORMED, XDP_DROP);
	why = ip4_options_judge(ctx, bytes);
	if (why != REASON_COUNT)
		return finish(why, XDP_DROP);
	header.ip.ihl = 5;
	header.ip.tot_len = bpf_htons(bpf_ntohs(header.ip.tot_len) - (bytes - sizeof(header.ip)));
	header.ip.check = 0;
	header.ip.check = ~csum_fold(csum_add_block(0, &header.ip, sizeof(header.ip)));
	if (!headers_close_up(ctx, &header, bytes - sizeof(header.ip), false))
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	bpf_tail_call(ctx, &programs, PROGRAM_FORWARD);
	return finish(REASON_UNIT_INTERNAL, XDP_DROP); /* Python fills the map before it attaches us */
}

static __always_inline int options6_take_off(struct xdp_md *ctx)
{
	struct {
		struct ethhdr eth;
		struct ipv6hdr ip;
	} __attribute__((packed, aligned(2))) header;
	struct extensions x;
	__u32 payload;

	if (bpf_xdp_load_bytes(ctx, 0, &header, sizeof(header)))
		return finish(REASON_UNIT_MALFORMED, XDP_DROP);
	payload = bpf_ntohs(header.ip.payload_len);
	extensions_walk(ctx, header.ip.nexthdr, &x);
	if (x.why != REASON_COUNT)
		return finish(x.why, XDP_DROP);
	if (!x.count || x.bytes > payload ||
	    ETH_HLEN + sizeof(header.ip) + payload > bpf_xdp_get_buff_len(ctx))
		return finish(REASON_UNIT_MALFORMED, XDP_DROP);
	header.ip.payload_len = bpf_htons(payload - x.bytes);
	header.ip.nexthdr = x.next;
	if (!headers_close_up(ctx, &header, x.bytes, true))
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	bpf_tail_call(ctx, &programs, PROGRAM_FORWARD);
	return finish(REASON_UNIT_INTERNAL, XDP_DROP); /* Python fills the map before it attaches us */
}

#endif
