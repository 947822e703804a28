/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Puts a packet into a bundle, which tells the host all it must know (docs/wire/bundle.md). */
#ifndef POINTSMAN_BUNDLE_H
#define POINTSMAN_BUNDLE_H

#include "base.h"
#include "cookie.h"
#include "finish.h"
#include "ip.h"
#include "move.h"
#include "packet.h"
#include "tag.h"

/* UDP header and our own. The source port is entropy for those who spread by ports. */
static __always_inline void udp_fill(struct udphdr *udp, const struct bundle *b, __u32 inner_bytes)
{
	udp->source = bpf_htons(0xc000 | ((b->flow_id ^ b->flow_id >> 16) & 0x3fff));
	udp->dest = config.bundle_port;
	udp->len = bpf_htons(sizeof(*udp) + sizeof(*b) + inner_bytes);
	udp->check = 0; /* the tag and the inner checksums cover it; RFC 6935 */
	__builtin_memcpy(udp + 1, b, sizeof(*b));
}

/* Writes the headers in front of a bundle: Ethernet, IP, UDP, ours; bundle_room() and a MAC header. */
static __always_inline void front4_fill(void *data, const struct endpoint4 *ep, const struct bundle *b,
					__u32 inner_bytes)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = data + ETH_HLEN;

	__builtin_memcpy(eth->h_dest, ep->dmac, 2 * ETH_ALEN);
	eth->h_proto = bpf_htons(ETH_P_IP);
	ip4_fill(ip, config.tunnel4, ep->addr, IPPROTO_UDP, bundle_room(false) - sizeof(*ip) + inner_bytes);
	udp_fill((void *)(ip + 1), b, inner_bytes);
}

static __always_inline void front6_fill(void *data, const struct endpoint6 *ep, const struct bundle *b,
					__u32 inner_bytes)
{
	struct ethhdr *eth = data;
	struct ipv6hdr *ip = data + ETH_HLEN;
	__be32 tunnel[4];

	for (int i = 0; i < 4; i++)
		tunnel[i] = config.tunnel6[i];
	__builtin_memcpy(eth->h_dest, ep->dmac, 2 * ETH_ALEN);
	eth->h_proto = bpf_htons(ETH_P_IPV6);
	ip6_fill(ip, tunnel, ep->addr, IPPROTO_UDP, bundle_room(true) - sizeof(*ip) + inner_bytes);
	udp_fill((void *)(ip + 1), b, inner_bytes);
}

/* What the host must know to upload: the client's options, kept in our initial sequence number
 * since the handshake (cookie.h). */
static __always_inline void bundle_set_attributes(struct bundle *b, const struct packet *p,
						  __u8 rcv_wscale, const bool v6)
{
	__u8 options = bpf_ntohl(p->tcp->ack_seq) - 1;
	__u8 wscale = cookie_wscale(options);

	b->mss = bpf_htons(cookie_mss(options >> 6, v6));
	if (options & COOKIE_SACK)
		b->flags |= BUNDLE_SACK;
	if (options & COOKIE_ECN)
		b->flags |= BUNDLE_ECN;
	if (wscale != WSCALE_NONE) {
		b->flags |= BUNDLE_WSCALE;
		b->snd_wscale = wscale;
		b->rcv_wscale = rcv_wscale;
	}
}

/* The tag of a bundle that will carry a TCP or UDP packet, or its headers. A datagram has no numbers
 * for it to cover. */
static __always_inline __u64 packet_tag(const struct packet *p, const struct bundle *b, const bool v6)
{
	bool tcp = p->proto == IPPROTO_TCP;
	union tagged t = {};

	if (v6) {
		flow_key6_from(&t.v6.key, p);
		t.v6.seq = tcp ? p->tcp->seq : 0;
		t.v6.ack = tcp ? p->tcp->ack_seq : 0;
	} else {
		flow_key4_from(&t.v4.key, p);
		t.v4.seq = tcp ? p->tcp->seq : 0;
		t.v4.ack = tcp ? p->tcp->ack_seq : 0;
	}
	return tag_make(&t, b, v6);
}

/* The same of the frame's packet. A function of its own, for IPv6 leaves its callers no stack. */
__noinline __u64 frame_tag6(struct xdp_md *ctx, const struct bundle *b)
{
	struct packet p;

	return b && parse_plain(&p, ctx, true) ? packet_tag(&p, b, true) : 0;
}

/* Shortens a frame that is longer, or in several buffers. */
static __always_inline bool frame_cut(struct xdp_md *ctx, __u32 bytes)
{
	__u32 frame = bpf_xdp_get_buff_len(ctx);

	return frame == bytes || !bpf_xdp_adjust_tail(ctx, (int)(bytes - frame));
}

/* Puts b, whose tag stands, in front of the first `inner` bytes of the packet, and sends it. ep: an
 * endpoint or a peer. */
static __always_inline int bundle_out(struct xdp_md *ctx, const void *ep, const struct bundle *b, __u32 inner,
				      enum reason reason, const bool v6)
{
	__u32 room = bundle_room(v6), ifindex = endpoint_rest(ep, v6)->ifindex;
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + ETH_HLEN + inner != end && !frame_cut(ctx, ETH_HLEN + inner))
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	if (bpf_xdp_adjust_head(ctx, -(int)room))
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + ETH_HLEN + room > end)
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	if (v6)
		front6_fill(data, ep, b, inner);
	else
		front4_fill(data, ep, b, inner);
	return finish(reason, send(ctx, ifindex));
}

/* Puts the packet into a bundle and sends it. A packet too long for one is refused, unless it only
 * teaches: then its headers go, and the client repeats the rest. */
static __always_inline int bundle_send(struct xdp_md *ctx, struct packet *p, const struct flow *flow,
				       const void *ep, struct bundle *b, enum reason reason,
				       const bool v6)
{
	__u32 inner = p->ip_bytes;
	bool plumbed = reason == REASON_BUNDLED_SYN || reason == REASON_BUNDLED_DATA ||
		       reason == REASON_BUNDLED_DATAGRAM;

	if (inner + bundle_room(v6) > config.mtu) {
		if (b->kind != BUNDLE_TEACH && b->kind != BUNDLE_DATAGRAM)
			return finish(REASON_TOO_BIG, XDP_DROP);
		b->kind = BUNDLE_TEACH_ONLY;
		reason = REASON_TAUGHT_ONLY;
		inner = ip_header_bytes(v6) + p->l4_header;
	}
	if (endpoint_rest(ep, v6)->mode == FORWARD_TUNNEL) {
		b->flow_id = flow->flow_id;
	} else {
		/* The host gets what it will get from now on. It must know the first data again. */
		if (!turn(p, flow, ep, v6))
			return finish(REASON_TTL_EXPIRED, XDP_DROP);
		b->flow_id = bpf_htonl(flow->isn | BUNDLE_NAME);
	}
	b->version = BUNDLE_VERSION;
	b->endpoint = endpoint_rest(ep, v6)->id;
	b->tag = v6 ? frame_tag6(ctx, b) : packet_tag(p, b, v6);
	count_traffic(flow, p->ip_bytes, plumbed);
	return bundle_out(ctx, ep, b, inner, reason, v6);
}

/* The first data of an inspected connection, as often as the client sends it. */
static __always_inline int bundle_send_data(struct xdp_md *ctx, struct packet *p,
					    const struct flow *flow, const void *ep,
					    enum reason reason, const bool v6)
{
	struct bundle b = { .kind = BUNDLE_DATA };

	bundle_set_attributes(&b, p, flow->rcv_wscale, v6);
	return bundle_send(ctx, p, flow, ep, &b, reason, v6);
}

static __always_inline int bundle_send_plain(struct xdp_md *ctx, struct packet *p,
					     const struct flow *flow, const void *ep,
					     enum bundle_kind kind, enum reason reason, const bool v6)
{
	struct bundle b = { .kind = kind };

	return bundle_send(ctx, p, flow, ep, &b, reason, v6);
}

#endif
