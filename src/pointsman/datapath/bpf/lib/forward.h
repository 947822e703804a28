/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The forwarder's moves: along a route as a tunnelled packet, or as a bundle (R-A3, R-E9).
 *
 * Both end the packet's way: they rewrite it, count it, and return the verdict.
 */
#ifndef POINTSMAN_FORWARD_H
#define POINTSMAN_FORWARD_H

#include "base.h"
#include "csum.h"
#include "finish.h"
#include "ip.h"
#include "packet.h"
#include "tag.h"
#include "tcp_options.h"
#include "cookie.h"

/* Where a packet to a host goes, out of hosts4 or hosts6. */
struct next_hop {
	__u8 dmac[ETH_ALEN];
	__u8 smac[ETH_ALEN];
	__u32 ifindex;
};

static __always_inline void *host_get(__u32 host, const bool v6)
{
	return v6 ? bpf_map_lookup_elem(&hosts6, &host) : bpf_map_lookup_elem(&hosts4, &host);
}

static __always_inline void next_hop_get(struct next_hop *hop, const void *host, const bool v6)
{
	if (v6)
		__builtin_memcpy(hop, ((struct host6 *)host)->dmac, sizeof(*hop));
	else
		__builtin_memcpy(hop, ((struct host4 *)host)->dmac, sizeof(*hop));
}
_Static_assert(offsetof(struct host4, ifindex) - offsetof(struct host4, dmac) == 12, "as next_hop");
_Static_assert(offsetof(struct host6, ifindex) - offsetof(struct host6, dmac) == 12, "as next_hop");

static __always_inline int send(struct xdp_md *ctx, __u32 ifindex)
{
	return ifindex == ctx->ingress_ifindex ? XDP_TX : bpf_redirect(ifindex, 0);
}

static __always_inline void count_traffic(const struct flow *flow, __u32 bytes, bool plumbed)
{
	__u32 index = flow->traffic;
	struct traffic *t = bpf_map_lookup_elem(&traffic, &index);

	if (!t)
		return;
	t->packets += 1;
	t->bytes += bytes;
	t->connections += plumbed;
}

/* What the tunnel's rewriting will do to the checksums of every packet of the flow: constant, so
 * worked out once, at plumbing. */
static __always_inline void flow_set_deltas4(struct flow *flow, const struct flow_key4 *key,
					     const struct host4 *host)
{
	__u32 sum = csum_sub_block(0, &key->saddr, 8);

	sum = csum_add32(csum_add32(sum, host->tunnel), host->addr);
	/* The TTL falls by one, in the high byte of its word. */
	flow->ip_delta = csum_fold(sum + (__u16)~bpf_htons(0x0100));
	sum = csum_add32(csum_sub_block(sum, &key->sport, 4), flow->flow_id);
	flow->l4_delta = csum_fold(sum);
}

static __always_inline void flow_set_deltas6(struct flow *flow, const struct flow_key6 *key,
					     const struct host6 *host)
{
	__u32 sum = csum_sub_block(0, key, sizeof(*key));

	sum = csum_add_block(csum_add_block(sum, host->tunnel, 16), host->addr, 16);
	flow->l4_delta = csum_fold(csum_add32(sum, flow->flow_id));
}

/* Rewrites addresses and ports in place: not a byte is added. */
static __always_inline int tunnel_send(struct xdp_md *ctx, struct packet *p, const struct flow *flow,
				       const bool v6)
{
	struct host4 *h4;
	struct host6 *h6;
	struct next_hop hop;
	void *host = host_get(flow->host, v6);

	if (!host)
		return finish(REASON_NO_HOST, XDP_DROP);
	if ((v6 ? p->ip6->hop_limit : p->ip4->ttl) <= 1)
		return finish(REASON_TTL_EXPIRED, XDP_DROP);
	if (v6) {
		h6 = host;
		p->ip6->hop_limit--;
		__builtin_memcpy(&p->ip6->saddr, h6->tunnel, 16);
		__builtin_memcpy(&p->ip6->daddr, h6->addr, 16);
	} else {
		h4 = host;
		p->ip4->ttl--;
		p->ip4->saddr = h4->tunnel;
		p->ip4->daddr = h4->addr;
		p->ip4->check = csum_apply(p->ip4->check, flow->ip_delta);
	}
	*(__be32 *)&p->tcp->source = flow->flow_id;
	p->tcp->check = csum_apply(p->tcp->check, flow->l4_delta);
	next_hop_get(&hop, host, v6);
	__builtin_memcpy(p->eth->h_dest, hop.dmac, 2 * ETH_ALEN);
	count_traffic(flow, p->ip_bytes, false);
	return finish(REASON_HIT, send(ctx, hop.ifindex));
}

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
static __always_inline void front4_fill(void *data, const struct host4 *h, const struct bundle *b,
					__u32 inner_bytes)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = data + ETH_HLEN;

	__builtin_memcpy(eth->h_dest, h->dmac, 2 * ETH_ALEN);
	eth->h_proto = bpf_htons(ETH_P_IP);
	ip4_fill(ip, h->tunnel, h->addr, IPPROTO_UDP, bundle_room(false) - sizeof(*ip) + inner_bytes);
	udp_fill((void *)(ip + 1), b, inner_bytes);
}

static __always_inline void front6_fill(void *data, const struct host6 *h, const struct bundle *b,
					__u32 inner_bytes)
{
	struct ethhdr *eth = data;
	struct ipv6hdr *ip = data + ETH_HLEN;

	__builtin_memcpy(eth->h_dest, h->dmac, 2 * ETH_ALEN);
	eth->h_proto = bpf_htons(ETH_P_IPV6);
	ip6_fill(ip, h->tunnel, h->addr, IPPROTO_UDP, bundle_room(true) - sizeof(*ip) + inner_bytes);
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

static __always_inline __u64 bundle_tag(const struct bundle *b, const struct packet *p, const bool v6)
{
	struct siphash_key secret = TAG_KEY();
	struct flow_key4 key4;
	struct flow_key6 key6;

	if (v6) {
		flow_key6_from(&key6, p);
		return bundle_tag6(b, &key6, p->tcp, &secret);
	}
	flow_key4_from(&key4, p);
	return bundle_tag4(b, &key4, p->tcp, &secret);
}

/* Puts the packet into a bundle and sends it. A packet too long for one is refused, unless it only
 * teaches: then its headers go, and the client repeats the rest. */
static __always_inline int bundle_send(struct xdp_md *ctx, struct packet *p, const struct flow *flow,
				       struct bundle *b, enum reason reason, const bool v6)
{
	__u32 room = bundle_room(v6), inner = p->ip_bytes;
	__u32 frame = bpf_xdp_get_buff_len(ctx);
	void *host = host_get(flow->host, v6);
	bool plumbed = reason == REASON_BUNDLED_SYN || reason == REASON_BUNDLED_DATA;

	if (!host)
		return finish(REASON_NO_HOST, XDP_DROP);
	if (inner + room > config.mtu) {
		if (b->kind != BUNDLE_TEACH)
			return finish(REASON_TOO_BIG, XDP_DROP);
		b->kind = BUNDLE_TEACH_ONLY;
		reason = REASON_TAUGHT_ONLY;
		inner = ip_header_bytes(v6) + p->tcp_header;
	}
	b->version = BUNDLE_VERSION;
	b->flow_id = flow->flow_id;
	b->tag = bundle_tag(b, p, v6);
	count_traffic(flow, p->ip_bytes, plumbed);
	if (frame != ETH_HLEN + inner && bpf_xdp_adjust_tail(ctx, (int)(ETH_HLEN + inner - frame)))
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	if (bpf_xdp_adjust_head(ctx, -(int)room))
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);

	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 ifindex;

	if (v6) {
		if (data + ETH_HLEN + room > end)
			return finish(REASON_UNIT_INTERNAL, XDP_DROP);
		front6_fill(data, host, b, inner);
		ifindex = ((struct host6 *)host)->ifindex;
	} else {
		if (data + ETH_HLEN + room > end)
			return finish(REASON_UNIT_INTERNAL, XDP_DROP);
		front4_fill(data, host, b, inner);
		ifindex = ((struct host4 *)host)->ifindex;
	}
	return finish(reason, send(ctx, ifindex));
}

/* The first data of an inspected connection, as often as the client sends it. */
static __always_inline int bundle_send_data(struct xdp_md *ctx, struct packet *p,
					    const struct flow *flow, __u8 rcv_wscale,
					    enum reason reason, const bool v6)
{
	struct bundle b = { .kind = BUNDLE_DATA };

	bundle_set_attributes(&b, p, rcv_wscale, v6);
	return bundle_send(ctx, p, flow, &b, reason, v6);
}

static __always_inline int bundle_send_plain(struct xdp_md *ctx, struct packet *p,
					     const struct flow *flow, enum bundle_kind kind,
					     enum reason reason, const bool v6)
{
	struct bundle b = { .kind = kind };

	return bundle_send(ctx, p, flow, &b, reason, v6);
}

/* ---- the life of a flow ---- */

static __always_inline bool flow_alive(const struct flow *flow, __u32 now)
{
	return flow->state < FLOW_STATES && now - flow->seen <= config.life[flow->state];
}

static __always_inline __u16 epoch_of(__u32 host)
{
	struct host_epoch *e = bpf_map_lookup_elem(&host_epochs, &host);

	return e ? e->epoch : 0;
}

/* Whether this may be the first data once more, which the host may never have seen: so it is until
 * the client acknowledges a byte beyond our SYN-ACK. */
static __always_inline bool repeats_first(const struct flow *flow, const struct packet *p)
{
	return flow->flags & FLOW_INSPECTED && flow->first_seq == bpf_ntohl(p->tcp->seq) &&
	       flow->isn + 1 == bpf_ntohl(p->tcp->ack_seq) && (payload_bytes(p) || p->tcp->fin);
}

/* The bare end of the handshake, come late: it tells the host nothing, and would draw a RST from
 * a stack that does not have the connection yet. */
static __always_inline bool ends_handshake(const struct flow *flow, const struct packet *p)
{
	return flow->flags & FLOW_INSPECTED && flow->first_seq == bpf_ntohl(p->tcp->seq) &&
	       flow->isn + 1 == bpf_ntohl(p->tcp->ack_seq) && !payload_bytes(p) && !p->tcp->fin &&
	       !p->tcp->rst;
}

/* enum flow_state says which moves there are. */
static __always_inline void flow_advance(struct flow *flow, const struct packet *p, __u32 now)
{
	if (p->tcp->rst) {
		if (flow->state == FLOW_ZOMBIE)
			return;
		flow->state = FLOW_ZOMBIE;
	} else if (p->tcp->fin)
		flow->state = FLOW_CLOSING;
	else if (flow->state == FLOW_ZOMBIE)
		flow->state = FLOW_OPEN;
	else if (flow->state == FLOW_OPENING &&
		 (!(flow->flags & FLOW_INSPECTED) ||
		  seq_after(bpf_ntohl(p->tcp->ack_seq), flow->isn + 1)))
		flow->state = FLOW_OPEN;
	if (flow->seen != now) /* spare the cache line */
		flow->seen = now;
}

/* Sends a packet along the route it has, whatever shape that takes now. */
static __always_inline int flow_send(struct xdp_md *ctx, struct packet *p, struct flow *flow,
				     __u32 now, const bool v6)
{
	__u16 epoch = epoch_of(flow->host);

	if (ends_handshake(flow, p))
		return finish(REASON_HANDSHAKE_ACK, XDP_DROP);
	flow_advance(flow, p, now);
	if (repeats_first(flow, p))
		return bundle_send_data(ctx, p, flow, flow->rcv_wscale, REASON_BUNDLED_AGAIN, v6);
	if (flow->epoch != epoch) {
		flow->epoch = epoch;
		return bundle_send_plain(ctx, p, flow, BUNDLE_TEACH, REASON_TAUGHT, v6);
	}
	return tunnel_send(ctx, p, flow, v6);
}

#endif
