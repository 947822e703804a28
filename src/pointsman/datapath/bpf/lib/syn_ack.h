/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Answers a SYN with our cookie, out of the SYN's own frame (R-E1). */
#ifndef POINTSMAN_SYN_ACK_H
#define POINTSMAN_SYN_ACK_H

#include "base.h"
#include "cookie.h"
#include "csum.h"
#include "finish.h"
#include "packet.h"

#define SYN_ACK_WINDOW 64240 /* never scaled, RFC 7323 §2.2 */
#define SYN_ACK_TTL 64
#define TSVAL_SHIFT 20 /* ns to about a millisecond */

/* Every option has its place and NOPs stand in for those not agreed on: one length for all. */
struct syn_ack {
	struct tcphdr tcp;
	__u8 mss[4];
	__u8 sack[2];
	__u8 tstamp[10];
	__u8 wscale[4];
} __attribute__((packed));
_Static_assert(sizeof(struct syn_ack) == 40, "whole words");

static __always_inline void put_be32(__u8 *p, __u32 value)
{
	p[0] = value >> 24;
	p[1] = value >> 16;
	p[2] = value >> 8;
	p[3] = value;
}

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
	if (o->tstamp) {
		a->tstamp[0] = TCPOPT_TSTAMP;
		a->tstamp[1] = 10;
		put_be32(a->tstamp + 2, bpf_ktime_get_coarse_ns() >> TSVAL_SHIFT);
		put_be32(a->tstamp + 6, o->tsval);
	}
	if (o->wscale != WSCALE_NONE) {
		a->wscale[1] = TCPOPT_WSCALE;
		a->wscale[2] = 3;
		a->wscale[3] = service->rcv_wscale;
	}
}

/* Both write a whole IP header, from the service to the client, and return the sum of what TCP's
 * pseudo-header takes of it. */
static __always_inline __u32 syn_ack_ip4(struct iphdr *ip, const struct flow_key4 *key)
{
	__builtin_memset(ip, 0, sizeof(*ip));
	ip->version = 4;
	ip->ihl = 5;
	ip->tot_len = bpf_htons(sizeof(*ip) + sizeof(struct syn_ack));
	ip->frag_off = bpf_htons(IP_DF);
	ip->ttl = SYN_ACK_TTL;
	ip->protocol = IPPROTO_TCP;
	ip->saddr = key->daddr;
	ip->daddr = key->saddr;
	ip4_set_csum(ip);
	return csum_add_block(0, &ip->saddr, 8);
}

static __always_inline __u32 syn_ack_ip6(struct ipv6hdr *ip, const struct flow_key6 *key)
{
	*(__be32 *)ip = bpf_htonl(6 << 28);
	ip->payload_len = bpf_htons(sizeof(struct syn_ack));
	ip->nexthdr = IPPROTO_TCP;
	ip->hop_limit = SYN_ACK_TTL;
	__builtin_memcpy(&ip->saddr, key->daddr, sizeof(key->daddr));
	__builtin_memcpy(&ip->daddr, key->saddr, sizeof(key->saddr));
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

static __always_inline void syn_ack_tcp(struct syn_ack *a, __u32 isn, __u32 client_isn, __be16 sport,
					__be16 dport, bool ecn)
{
	__builtin_memset(&a->tcp, 0, sizeof(a->tcp));
	a->tcp.source = dport;
	a->tcp.dest = sport;
	a->tcp.seq = bpf_htonl(isn);
	a->tcp.ack_seq = bpf_htonl(client_isn + 1);
	a->tcp.doff = sizeof(*a) / 4;
	a->tcp.syn = 1;
	a->tcp.ack = 1;
	a->tcp.ece = ecn;
	a->tcp.window = bpf_htons(SYN_ACK_WINDOW);
}

/* key: struct flow_key4 or struct flow_key6, of the SYN. */
static __always_inline int syn_ack_send(struct xdp_md *ctx, const struct packet *p, const void *key,
					const struct tcp_options *options,
					const struct service *service, const bool v6)
{
	const __u32 bytes = ETH_HLEN + ip_header_bytes(v6) + sizeof(struct syn_ack);
	__u32 client_isn = bpf_ntohl(p->tcp->seq);
	bool ecn = p->tcp->ece && p->tcp->cwr;
	__u32 isn = cookie_make(key, client_isn, cookie_options(options, ecn, v6), cookie_slot(), v6);
	__be16 sport = p->tcp->source, dport = p->tcp->dest;
	struct ethhdr eth = *p->eth;

	if (frame_resize(ctx, bytes))
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);

	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct syn_ack *a = data + ETH_HLEN + ip_header_bytes(v6);
	struct ethhdr *out = data;
	__u32 sum;

	if (data + bytes > end)
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	__builtin_memcpy(out->h_dest, eth.h_source, ETH_ALEN);
	__builtin_memcpy(out->h_source, eth.h_dest, ETH_ALEN);
	out->h_proto = eth.h_proto;
	sum = v6 ? syn_ack_ip6(data + ETH_HLEN, key) : syn_ack_ip4(data + ETH_HLEN, key);
	syn_ack_tcp(a, isn, client_isn, sport, dport, ecn);
	syn_ack_options(a, options, service);
	sum += bpf_htons(IPPROTO_TCP) + bpf_htons(sizeof(*a));
	a->tcp.check = ~csum_fold(csum_add_block(sum, a, sizeof(*a)));
	return finish(REASON_SYN_ANSWERED, XDP_TX);
}

#endif
