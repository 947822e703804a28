/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Fragments at the unit (R-E12): a packet's first one has the ports, so it is sent as the whole packet
 * would be, and the others follow it. They are put together by the host's stack alone, which also
 * judges those that overlap or never come.
 *
 * Where many clients get one source address (tunnel, NAT), their ids could meet: packets get ids of ours.
 */
#ifndef POINTSMAN_UNIT_FRAGMENTS_H
#define POINTSMAN_UNIT_FRAGMENTS_H

#include "base.h"
#include "bundle.h"
#include "csum.h"
#include "finish.h"
#include "flow.h"
#include "fragment.h"
#include "move.h"
#include "packet.h"
#include "plumb.h"
#include "service.h"
#include "way_back.h"

#define FRAGMENT_TICKS 28 /* 30 s, as long as stacks wait for the rest of a packet */
#define IP_LONGEST 65535

struct fragment {
	union {
		struct fragment_key4 key4;
		struct fragment_key6 key6;
	};
	__u32 offset; /* bytes */
	bool more;
};

/* What the stack has no room for. */
struct fragment_work {
	struct fragment fragment;
	union flow_key key;
	struct flow flow;
	struct fragment_way way;
};

/* fragment_works: [0] = this CPU's. Owner: the program that runs. Life: one packet. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct fragment_work);
} fragment_works SEC(".maps");

static __always_inline struct fragment_work *fragment_work_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&fragment_works, &zero);
}

static __always_inline void fragment_read4(struct fragment *f, const struct packet *p)
{
	__u16 word = bpf_ntohs(p->ip4->frag_off);

	f->key4 = (struct fragment_key4){ .saddr = p->ip4->saddr, .daddr = p->ip4->daddr, .id = p->ip4->id,
					  .proto = p->proto };
	f->offset = (word & IP_OFFSET) * 8;
	f->more = word & IP_MORE;
}

static __always_inline void fragment_read6(struct fragment *f, const struct packet *p,
					   const struct fragment_header *header)
{
	__u16 word = bpf_ntohs(header->offset);

	__builtin_memcpy(f->key6.saddr, &p->ip6->saddr, 32);
	f->key6.id = header->id;
	f->offset = word & IP6_OFFSET;
	f->more = word & IP6_MORE;
}

/* Reads one behind a bare IP header. False if its lengths contradict each other, or make no packet. */
static __always_inline bool fragment_parse(struct packet *p, struct fragment *f, struct xdp_md *ctx, void *data,
					   void *end, const bool v6)
{
	const __u32 header = ip_header_bytes(v6) + (v6 ? sizeof(struct fragment_header) : 0);
	struct fragment_header *extension;

	p->eth = data;
	p->ip4 = v6 ? NULL : data + ETH_HLEN;
	p->ip6 = v6 ? data + ETH_HLEN : NULL;
	p->l4 = data + ETH_HLEN + header;
	if (p->l4 > end)
		return false;
	if (v6) {
		extension = data + ETH_HLEN + sizeof(struct ipv6hdr);
		p->ip_bytes = sizeof(struct ipv6hdr) + bpf_ntohs(p->ip6->payload_len);
		p->proto = extension->nexthdr;
		fragment_read6(f, p, extension);
	} else {
		p->ip_bytes = bpf_ntohs(p->ip4->tot_len);
		p->proto = p->ip4->protocol;
		fragment_read4(f, p);
	}
	if (p->ip_bytes <= header || !frame_holds(ctx, ETH_HLEN + p->ip_bytes))
		return false;
	p->l4_bytes = p->ip_bytes - header;
	p->l4_header = p->proto == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr);
	return f->offset + p->l4_bytes <= IP_LONGEST - ip_header_bytes(v6) && !(f->more && p->l4_bytes % 8);
}

static __always_inline bool fragment_remember(struct fragment_work *w, __u32 endpoint, __be32 id, const bool v6)
{
	struct fragment *f = &w->fragment;

	w->way.endpoint = endpoint;
	w->way.id = id;
	w->way.seen = tick_now();
	if (v6)
		w->way.back6 = w->key.v6;
	else
		w->way.back4 = w->key.v4;
	return !(v6 ? bpf_map_update_elem(&fragments6, &f->key6, &w->way, BPF_ANY) :
		      bpf_map_update_elem(&fragments4, &f->key4, &w->way, BPF_ANY));
}

/* NULL if the first one was not seen of late. */
static __always_inline const struct fragment_way *fragment_recall(const struct fragment *f, const bool v6)
{
	const struct fragment_way *way = v6 ? bpf_map_lookup_elem(&fragments6, &f->key6) :
					      bpf_map_lookup_elem(&fragments4, &f->key4);

	return way && tick_now() - way->seen <= FRAGMENT_TICKS ? way : NULL;
}

/* What follows a first fragment that is dropped must not follow one before, of the same id. */
static __always_inline void fragment_forget(const struct fragment *f, const bool v6)
{
	if (v6)
		bpf_map_delete_elem(&fragments6, &f->key6);
	else
		bpf_map_delete_elem(&fragments4, &f->key4);
}

static __always_inline __be32 fragment_id_next(void)
{
	__u32 zero = 0, *count = bpf_map_lookup_elem(&fragment_ids, &zero);

	return count ? bpf_htonl(__sync_fetch_and_add(count, 1) << 16 | *count >> 16) : 0;
}

/* The packet's own id stays where its source address does. */
static __always_inline __be32 fragment_id_for(const struct fragment *f, const struct endpoint_rest *ep, const bool v6)
{
	if (ep->mode == FORWARD_TUNNEL || ep->mode == FORWARD_NAT)
		return fragment_id_next();
	return v6 ? f->key6.id : f->key4.id;
}

static __always_inline void fragment_set_id(struct packet *p, __be32 id, const bool v6)
{
	struct fragment_header *extension = (void *)(p->ip6 + 1);

	if (v6) {
		extension->id = id;
		return;
	}
	p->ip4->check = csum_apply(p->ip4->check, csum_fold((__u16)~p->ip4->id + (__u16)id));
	p->ip4->id = id;
}

/* Teaches the host with the headers of a first fragment, as if it were a whole packet. What they were
 * the headers of is lost, as the rest of it would be: the sender repeats it. */
static __always_inline int fragment_teach(struct xdp_md *ctx, struct packet *p, const struct flow *flow,
					  const void *ep, bool plumbed, const bool v6)
{
	struct bundle b = { .version = BUNDLE_VERSION,
			    .kind = BUNDLE_TEACH_ONLY,
			    .flow_id = flow->flow_id,
			    .endpoint = endpoint_rest(ep, v6)->id };
	__u32 inner = ip_header_bytes(v6) + p->l4_header;
	void *data, *end;

	b.tag = packet_tag(p, &b, v6);
	count_traffic(flow, p->ip_bytes, plumbed);
	if (!v6) {
		p->ip4->frag_off = 0;
		ip4_set_csum(p->ip4);
		return bundle_out(ctx, ep, &b, inner, REASON_TAUGHT_ONLY, false);
	}
	/* The IP header moves over the fragment header. */
	struct ipv6hdr ip = *p->ip6;

	ip.nexthdr = p->proto;
	ip.payload_len = bpf_htons(bpf_ntohs(ip.payload_len) - sizeof(struct fragment_header));
	if (bpf_xdp_adjust_head(ctx, sizeof(struct fragment_header)))
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + ETH_HLEN + sizeof(ip) > end)
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	__builtin_memcpy(data + ETH_HLEN, &ip, sizeof(ip));
	return bundle_out(ctx, ep, &b, inner, REASON_TAUGHT_ONLY, true);
}

/* Sends a first fragment along its route, so that others can follow. */
static __always_inline int fragment_send(struct xdp_md *ctx, struct packet *p, struct fragment_work *w,
					 const struct flow *flow, const void *ep, enum reason reason, const bool v6)
{
	__be32 id = fragment_id_for(&w->fragment, endpoint_rest(ep, v6), v6);

	if (!fragment_remember(w, flow->endpoint, id, v6))
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	fragment_set_id(p, id, v6);
	return flow_move(ctx, p, flow, ep, reason, v6);
}

/* The first fragment of a datagram that has no route. */
static __always_inline int fragment_plumb(struct xdp_md *ctx, struct packet *p, struct fragment_work *w,
					  const bool v6)
{
	struct service *service = service_of(p, v6);
	const void *ep = NULL;
	int why;

	if (!service)
		return no_service(p, v6);
	if (p->proto == IPPROTO_TCP || !(config.flags & UNIT_CLASSIFIES))
		return finish(p->proto == IPPROTO_TCP && p->tcp->syn ? REASON_UNIT_FRAGMENT : REASON_NO_ROUTE, XDP_DROP);
	__builtin_memset(&w->flow, 0, sizeof(w->flow));
	w->flow.endpoint = NO_CARD;
	why = route_make(ctx, &w->flow, &ep, p, &w->key, service, service->pool, BUNDLE_DATAGRAM, tick_now(), v6);
	if (why != REASON_COUNT)
		return finish(why, XDP_DROP);
	if (endpoint_rest(ep, v6)->mode == FORWARD_TUNNEL)
		return fragment_teach(ctx, p, &w->flow, ep, true, v6);
	return fragment_send(ctx, p, w, &w->flow, ep, REASON_PLUMBED, v6);
}

/* The first fragment of an endpoint's answer by half-NAT or NAT. Many endpoints speak in the VIP's name. */
static __always_inline int fragment_return(struct xdp_md *ctx, struct packet *p, struct fragment_work *w,
					   void *translation, const bool v6)
{
	__be32 id = fragment_id_next();

	if (!fragment_remember(w, FRAGMENT_RETURNS, id, v6))
		return finish(REASON_UNIT_INTERNAL, XDP_DROP);
	fragment_set_id(p, id, v6);
	return translate_back(ctx, p, translation, true, v6);
}

static __always_inline int fragment_first(struct xdp_md *ctx, struct packet *p, struct fragment_work *w,
					  const bool v6)
{
	__u32 now = tick_now();
	struct flow *flow;
	const void *ep;
	void *t;

	flow_key_from(&w->key, p, v6);
	flow = flow_find(&w->key, v6);
	if (!flow || !flow_alive(flow, now)) {
		t = config.flags & UNIT_TRANSLATES ? translation_find(&w->key, v6) : NULL;
		return t ? fragment_return(ctx, p, w, t, v6) : fragment_plumb(ctx, p, w, v6);
	}
	if (p->proto == IPPROTO_TCP && (p->tcp->syn || repeats_first(flow, p)))
		return finish(REASON_UNIT_FRAGMENT, XDP_DROP);
	if (!translation_hold(ctx, &w->key, flow, v6))
		return finish(REASON_TRANSLATION_TAKEN, XDP_DROP);
	ep = endpoint_get(flow->endpoint, v6);
	if (!ep)
		return finish(REASON_NO_HOST, XDP_DROP);
	if (p->proto == IPPROTO_TCP) {
		if (endpoint_rest(ep, v6)->mode != FORWARD_TUNNEL && awaits_upload(flow, p))
			return finish(REASON_UNIT_FRAGMENT, XDP_DROP); /* it may not overtake, nor fits a bundle */
		flow_advance(flow, p, now, v6);
	} else {
		flow_touch(flow, p, now, v6);
	}
	if (must_teach(flow, ep, v6))
		return fragment_teach(ctx, p, flow, ep, false, v6);
	return fragment_send(ctx, p, w, flow, ep, REASON_FRAGMENT_SENT, v6);
}

/* Turns a later fragment's addresses as its first one's. */
static __always_inline void fragment_turn(struct packet *p, const void *ep, const bool v6)
{
	const struct endpoint4 *ep4 = ep;
	struct iphdr *ip = p->ip4;
	__u32 sum;

	if (v6) {
		turn6(p->ip6, ep);
		return;
	}
	sum = csum_sub_block(0, &ip->saddr, 8) + (__u16)~bpf_htons(0x0100);
	ip->ttl--;
	if (ep4->mode != FORWARD_L2)
		ip->daddr = ep4->addr;
	if (ep4->source)
		ip->saddr = ep4->source;
	ip->check = csum_apply(ip->check, csum_fold(csum_add_block(sum, &ip->saddr, 8)));
}

/* A later fragment of an endpoint's answer. */
static __always_inline int fragment_later_return(struct xdp_md *ctx, struct packet *p,
						 const struct fragment_way *way, const bool v6)
{
	const void *t = v6 ? bpf_map_lookup_elem(&returns6, &way->back6) :
			     bpf_map_lookup_elem(&returns4, &way->back4);
	const struct translation4 *t4 = t;
	const struct translation6 *t6 = t;

	if (!t)
		return finish(REASON_LATER_FRAGMENT, XDP_DROP);
	fragment_set_id(p, way->id, v6);
	if (v6)
		answer_turn6(p, t6);
	else
		answer_turn4(p, t4);
	return finish(REASON_RETURNED, send(ctx, v6 ? t6->ifindex : t4->ifindex));
}

static __always_inline int fragment_later(struct xdp_md *ctx, struct packet *p, struct fragment_work *w,
					  const bool v6)
{
	const struct fragment_way *way = fragment_recall(&w->fragment, v6);
	const void *ep;

	if (!way)
		return to_vip(p, v6) ? finish(REASON_LATER_FRAGMENT, XDP_DROP) : finish(REASON_NOT_OURS, XDP_PASS);
	if ((v6 ? p->ip6->hop_limit : p->ip4->ttl) <= 1)
		return finish(REASON_TTL_EXPIRED, XDP_DROP);
	if (way->endpoint == FRAGMENT_RETURNS)
		return fragment_later_return(ctx, p, way, v6);
	ep = endpoint_get(way->endpoint, v6);
	if (!ep)
		return finish(REASON_NO_HOST, XDP_DROP);
	fragment_set_id(p, way->id, v6);
	fragment_turn(p, ep, v6);
	__builtin_memcpy(p->eth->h_dest, endpoint_rest(ep, v6)->dmac, 2 * ETH_ALEN);
	w->flow.endpoint = way->endpoint;
	count_traffic(&w->flow, p->ip_bytes, false);
	return finish(REASON_FRAGMENT_SENT, send(ctx, endpoint_rest(ep, v6)->ifindex));
}

/* Whether a first fragment has all of the header that says where it goes and what it is. */
static __always_inline bool fragment_has_header(struct packet *p, void *end)
{
	if (p->l4_bytes < p->l4_header)
		return false;
	if (p->proto == IPPROTO_UDP)
		return (void *)(p->udp + 1) <= end;
	if ((void *)(p->tcp + 1) > end || p->tcp->doff * 4 < sizeof(struct tcphdr))
		return false;
	p->l4_header = p->tcp->doff * 4;
	return p->l4_header <= p->l4_bytes;
}

/* The end of one that can't be sent on; it may be none of ours. */
static __always_inline int fragment_end(const struct packet *p, enum reason why, const bool v6)
{
	return to_vip(p, v6) ? finish(why, XDP_DROP) : finish(REASON_NOT_OURS, XDP_PASS);
}

/* A fragment behind a bare IP header: for a VIP, or perhaps an answer of half-NAT or NAT. */
static __always_inline int fragment(struct xdp_md *ctx, const bool v6)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct fragment_work *w = fragment_work_get();
	struct packet p;

	if (!w || data + ETH_HLEN + ip_header_bytes(v6) > end)
		return finish(REASON_UNIT_INTERNAL, XDP_DROP); /* whoever calls has looked */
	p.ip4 = v6 ? NULL : data + ETH_HLEN;
	p.ip6 = v6 ? data + ETH_HLEN : NULL;
	if (!fragment_parse(&p, &w->fragment, ctx, data, end, v6))
		return fragment_end(&p, REASON_UNIT_MALFORMED, v6);
	if (p.proto != IPPROTO_TCP && p.proto != IPPROTO_UDP)
		return fragment_end(&p, REASON_UNIT_FRAGMENT, v6);
	/* One that would overwrite the flags of a TCP header hides what is in it (RFC 3128). */
	if (w->fragment.offset && w->fragment.offset < p.l4_header)
		return fragment_end(&p, REASON_TINY_FRAGMENT, v6);
	if (w->fragment.offset)
		return fragment_later(ctx, &p, w, v6);
	fragment_forget(&w->fragment, v6);
	if (!fragment_has_header(&p, end))
		return fragment_end(&p, REASON_TINY_FRAGMENT, v6);
	if (p.proto == IPPROTO_UDP && bpf_ntohs(p.udp->len) < sizeof(struct udphdr))
		return fragment_end(&p, REASON_UNIT_MALFORMED, v6);
	return fragment_first(ctx, &p, w, v6);
}

#endif
