/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Answers of our own to a client, out of the frame that asked, with nothing remembered. */
#ifndef POINTSMAN_ANSWER_H
#define POINTSMAN_ANSWER_H

#include "base.h"
#include "cookie.h"
#include "csum.h"
#include "finish.h"
#include "ip.h"
#include "packet.h"

#define ANSWER_WINDOW 64240 /* bytes */
#define TSVAL_SHIFT 20 /* ns to about a millisecond */

static __always_inline void put_be32(__u8 *p, __u32 value)
{
	p[0] = value >> 24;
	p[1] = value >> 16;
	p[2] = value >> 8;
	p[3] = value;
}

/* A timestamp option, RFC 7323 §3.2: 10 bytes. */
static __always_inline void put_tstamp(__u8 *p, __u32 tsecr)
{
	p[0] = TCPOPT_TSTAMP;
	p[1] = 10;
	put_be32(p + 2, bpf_ktime_get_coarse_ns() >> TSVAL_SHIFT);
	put_be32(p + 6, tsecr);
}

/* Both write the IP header, from the service to the client, and return the sum of what TCP's
 * pseudo-header takes of it. */
static __always_inline __u32 answer_ip4(struct iphdr *ip, const struct flow_key4 *key,
					__u32 tcp_bytes)
{
	ip4_fill(ip, key->daddr, key->saddr, IPPROTO_TCP, tcp_bytes);
	return csum_add_block(0, &ip->saddr, 8);
}

static __always_inline __u32 answer_ip6(struct ipv6hdr *ip, const struct flow_key6 *key,
					__u32 tcp_bytes)
{
	ip6_fill(ip, key->daddr, key->saddr, IPPROTO_TCP, tcp_bytes);
	return csum_add_block(0, &ip->saddr, 32);
}

/* Shortens a frame at its end, lengthens it at its front: drivers need not leave room behind it. */
static __always_inline long frame_resize(struct xdp_md *ctx, __u32 bytes)
{
	__u32 frame = bpf_xdp_get_buff_len(ctx);

	if (frame >= bytes)
		return bpf_xdp_adjust_tail(ctx, (int)bytes - (int)frame);
	return bpf_xdp_adjust_head(ctx, (int)frame - (int)bytes);
}

struct answer {
	__u32 seq; /* ours, host order */
	__u32 ack;
	__u16 window;
	bool syn;
	bool ece;
	__be16 source; /* the service's port */
	__be16 dest;
};

static __always_inline void answer_tcp(struct tcphdr *tcp, const struct answer *a, __u32 tcp_bytes)
{
	__builtin_memset(tcp, 0, sizeof(*tcp));
	tcp->source = a->source;
	tcp->dest = a->dest;
	tcp->seq = bpf_htonl(a->seq);
	tcp->ack_seq = bpf_htonl(a->ack);
	tcp->doff = tcp_bytes / 4;
	tcp->syn = a->syn;
	tcp->ack = 1;
	tcp->ece = a->ece;
	tcp->window = bpf_htons(a->window);
}

/* Makes the frame one to the client: Ethernet, IP, TCP with room for options, which the caller fills
 * before answer_seal(). NULL if the kernel refuses. *sum: of the pseudo-header. tcp_bytes: header
 * and options, known at compile time. */
static __always_inline void *answer_begin(struct xdp_md *ctx, const struct packet *p, const void *key,
					  const struct answer *a, const __u32 tcp_bytes, __u32 *sum,
					  const bool v6)
{
	const __u32 at = ETH_HLEN + ip_header_bytes(v6);
	struct ethhdr eth = *p->eth, *out;
	void *data, *end;

	if (frame_resize(ctx, at + tcp_bytes))
		return NULL;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + at + tcp_bytes > end)
		return NULL;
	out = data;
	__builtin_memcpy(out->h_dest, eth.h_source, ETH_ALEN);
	__builtin_memcpy(out->h_source, eth.h_dest, ETH_ALEN);
	out->h_proto = eth.h_proto;
	*sum = v6 ? answer_ip6(data + ETH_HLEN, key, tcp_bytes) :
		    answer_ip4(data + ETH_HLEN, key, tcp_bytes);
	answer_tcp(data + at, a, tcp_bytes);
	return data + at;
}

static __always_inline void answer_seal(struct tcphdr *tcp, __u32 sum, const __u32 tcp_bytes)
{
	sum += bpf_htons(IPPROTO_TCP) + bpf_htons(tcp_bytes);
	tcp->check = ~csum_fold(csum_add_block(sum, tcp, tcp_bytes));
}

#endif
