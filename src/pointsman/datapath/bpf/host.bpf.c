// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* The host: undoes the tunnel in front of the stack, and uploads connections into it.
 *
 *   restore: a flow id that it knows, turned back.      all others (enum host_program): what is rarer.
 *
 * A packet is ours by its source: the tunnel addresses of our units send nothing else.
 */
#include "lib/base.h"
#include "lib/host_maps.h"
#include "lib/finish.h"
#include "lib/host_fragments.h"
#include "lib/leave.h"
#include "lib/mappings.h"
#include "lib/notify.h"
#include "lib/own.h"
#include "lib/restore.h"
#include "lib/skb.h"
#include "lib/upload.h"

#define LEAST_L4 sizeof(struct udphdr)

/* A mapping taught in mid-connection. Should the upload be still on its way, the segment must not
 * meet a stack that would answer it with a RST. */
static __always_inline int take_lesson(struct __sk_buff *skb, const struct parcel *in,
				       const union mapping_key *key, const bool v6)
{
	bool there = socket_lives(skb, &in->key, v6);

	if (mapping_learn(key, &in->key, MAPPING_UPLOADED | (there ? MAPPING_CONFIRMED : 0), v6))
		return finish(REASON_HOST_INTERNAL, TC_DROP);
	if (!there)
		return finish(REASON_EARLY, TC_DROP);
	return parcel_pass(skb, in, REASON_HOST_TAUGHT, v6);
}

/* Whether a bundle of this kind can carry such a packet. */
static __always_inline bool kind_fits(const struct parcel *in, const bool v6)
{
	__u32 proto = parcel_proto(in, v6);

	switch (in->head.kind) {
	case BUNDLE_DATAGRAM:
		return proto == IPPROTO_UDP;
	case BUNDLE_TEACH_ONLY:
		return proto == IPPROTO_TCP || proto == IPPROTO_UDP;
	default:
		return proto == IPPROTO_TCP;
	}
}

/* An ICMP error, which the unit found to be about a connection of ours. */
static __always_inline int take_error(struct __sk_buff *skb, const bool v6)
{
	struct parcel in = {};
	enum reason why;
	__u32 proto;

	why = parcel_open(skb, &in, v6);
	if (why != REASON_COUNT)
		return finish(why, TC_DROP);
	proto = parcel_proto(&in, v6);
	if (proto != IPPROTO_ICMP && proto != IPPROTO_ICMPV6)
		return finish(REASON_BAD_TAG, TC_DROP);
	if (parcel_unwrap(skb, v6))
		return finish(REASON_HOST_INTERNAL, TC_DROP);
	why = in.head.endpoint ? error_aim(skb, in.head.endpoint, v6) : REASON_COUNT;
	return why == REASON_COUNT ? finish(REASON_ICMP_PASSED, TC_NEXT) : finish(why, TC_DROP);
}

static __always_inline int take_bundle(struct __sk_buff *skb, const bool v6)
{
	struct parcel in = {};
	union mapping_key key;
	enum reason why;

	why = parcel_open(skb, &in, v6);
	if (why != REASON_COUNT)
		return finish(why, TC_DROP);
	if (!kind_fits(&in, v6))
		return finish(REASON_BAD_TAG, TC_DROP);
	why = parcel_aim(skb, &in, v6);
	if (why != REASON_COUNT)
		return finish(why, TC_DROP);
	if (mapping_key_load(&key, skb, in.head.flow_id, v6))
		return finish(REASON_HOST_INTERNAL, TC_DROP);
	switch (in.head.kind) {
	case BUNDLE_DATA:
		return upload(skb, &in, &key, v6);
	case BUNDLE_SYN:
		return mapping_learn(&key, &in.key, 0, v6) ? finish(REASON_HOST_INTERNAL, TC_DROP) :
							     parcel_pass(skb, &in, REASON_SYN_TAUGHT, v6);
	case BUNDLE_TEACH:
		return take_lesson(skb, &in, &key, v6);
	case BUNDLE_TEACH_ONLY:
		return finish(mapping_learn(&key, &in.key, parcel_proto(&in, v6) == IPPROTO_TCP ? MAPPING_UPLOADED : 0, v6) ?
				      REASON_HOST_INTERNAL : REASON_HOST_TAUGHT_ONLY, TC_DROP);
	case BUNDLE_DATAGRAM:
		return mapping_learn(&key, &in.key, 0, v6) ? finish(REASON_HOST_INTERNAL, TC_DROP) :
							     parcel_pass(skb, &in, REASON_DATAGRAM_TAUGHT, v6);
	default:
		return finish(REASON_BAD_TAG, TC_DROP);
	}
}

/* A packet from one of our tunnel addresses. l4: what follows the IP header. */
static __always_inline int take(struct __sk_buff *skb, const void *ip, const void *l4, __u8 proto,
				const bool v6)
{
	const struct udphdr *udp = l4;
	union mapping_key key;
	__u8 kind = 0;

	if (proto == IPPROTO_UDP && udp->dest == config.bundle_port) {
		bpf_skb_load_bytes(skb, ETH_HLEN + ip_header_bytes(v6) + sizeof(*udp) + offsetof(struct bundle, kind),
				   &kind, sizeof(kind)); /* if it is not there: found out behind the call */
		if (kind == BUNDLE_ICMP)
			bpf_tail_call(skb, &programs, v6 ? HOST_ERROR6 : HOST_ERROR4);
		else
			bpf_tail_call(skb, &programs, v6 ? HOST_BUNDLE6 : HOST_BUNDLE4);
		return finish(REASON_HOST_INTERNAL, TC_DROP); /* Python fills the map before it attaches us */
	}
	mapping_key_from(&key, ip, *(const __be32 *)l4, v6);
	switch (proto) {
	case IPPROTO_TCP:
		return restore_packet(skb, &key, IPPROTO_TCP, v6);
	case IPPROTO_UDP:
		return restore_packet(skb, &key, IPPROTO_UDP, v6);
	default:
		return finish(REASON_NOT_OURS, TC_NEXT);
	}
}

/* A flow id with no mapping. */
static __always_inline int take_unknown(struct __sk_buff *skb, const bool v6)
{
	__be32 flow_id;

	if (bpf_skb_load_bytes(skb, ETH_HLEN + ip_header_bytes(v6), &flow_id, sizeof(flow_id)))
		return finish(REASON_HOST_INTERNAL, TC_DROP);
	return notify(skb, flow_id, v6);
}

/* A fragment: the first one has the flow id, the others go where it went. */
static __always_inline int take_fragment(struct __sk_buff *skb, const bool v6)
{
	union mapping_key key;
	struct mapping m;
	struct fragment f;
	const void *to;
	enum reason why;
	__be32 flow_id;

	if (!fragment_read(skb, &f, v6))
		return finish(REASON_HOST_MALFORMED, TC_DROP);
	if (!f.first) {
		to = fragment_recall(&f, v6);
		if (!to)
			return finish(REASON_FRAGMENT_EARLY, TC_DROP);
		return addresses_turn(skb, to, v6) ? finish(REASON_HOST_INTERNAL, TC_DROP) :
						     finish(REASON_FRAGMENT_RESTORED, TC_NEXT);
	}
	if (!fragment_has_header(skb, &f) || bpf_skb_load_bytes(skb, f.l4_at, &flow_id, sizeof(flow_id)))
		return finish(REASON_HOST_MALFORMED, TC_DROP);
	if (mapping_key_load(&key, skb, flow_id, v6))
		return finish(REASON_HOST_INTERNAL, TC_DROP);
	if (!mapping_find(&m, &key, v6))
		return notify(skb, flow_id, v6);
	why = unfit(skb, &m, f.proto, v6);
	if (why != REASON_COUNT)
		return finish(why, TC_DROP);
	if (fragment_remember(&f, m.client, v6) || tuple_turn(skb, f.l4_at, m.client, f.proto, v6))
		return finish(REASON_HOST_INTERNAL, TC_DROP);
	return finish(REASON_RESTORED, TC_NEXT);
}

/* Whether the IP header is bare and tells of `least` bytes behind it that are there. */
static __always_inline bool whole4(const struct __sk_buff *skb, const struct iphdr *ip, __u32 least)
{
	return ip->version == 4 && ip->ihl == 5 && bpf_ntohs(ip->tot_len) >= sizeof(*ip) + least &&
	       ETH_HLEN + bpf_ntohs(ip->tot_len) <= skb->len;
}

static __always_inline bool whole6(const struct __sk_buff *skb, const struct ipv6hdr *ip)
{
	return ip->version == 6 && bpf_ntohs(ip->payload_len) >= LEAST_L4 &&
	       ETH_HLEN + sizeof(*ip) + bpf_ntohs(ip->payload_len) <= skb->len;
}

static __always_inline int take_ip4(struct __sk_buff *skb)
{
	void *data = linear(skb, ETH_HLEN + sizeof(struct iphdr));
	struct iphdr *ip = data + ETH_HLEN;
	__be32 source;

	if (!data)
		return finish(REASON_NOT_OURS, TC_NEXT);
	source = ip->saddr;
	if (!bpf_map_lookup_elem(&tunnels4, &source))
		return finish(REASON_NOT_OURS, TC_NEXT);
	if (ip->frag_off & bpf_htons(IP_FRAGMENT)) {
		if (!whole4(skb, ip, 0))
			return finish(REASON_HOST_MALFORMED, TC_DROP);
		bpf_tail_call(skb, &programs, HOST_FRAGMENT4);
		return finish(REASON_HOST_INTERNAL, TC_DROP);
	}
	if (!whole4(skb, ip, LEAST_L4))
		return finish(REASON_HOST_MALFORMED, TC_DROP);
	data = linear(skb, ETH_HLEN + sizeof(struct iphdr) + LEAST_L4);
	if (!data)
		return finish(REASON_HOST_MALFORMED, TC_DROP);
	ip = data + ETH_HLEN;
	return take(skb, ip, ip + 1, ip->protocol, false);
}

static __always_inline int take_ip6(struct __sk_buff *skb)
{
	void *data = linear(skb, ETH_HLEN + sizeof(struct ipv6hdr));
	struct ipv6hdr *ip = data + ETH_HLEN;
	struct in6_key source;

	if (!data)
		return finish(REASON_NOT_OURS, TC_NEXT);
	__builtin_memcpy(&source, &ip->saddr, sizeof(source));
	if (!bpf_map_lookup_elem(&tunnels6, &source))
		return finish(REASON_NOT_OURS, TC_NEXT);
	if (!whole6(skb, ip))
		return finish(REASON_HOST_MALFORMED, TC_DROP);
	if (ip->nexthdr == IPPROTO_FRAGMENT) {
		bpf_tail_call(skb, &programs, HOST_FRAGMENT6);
		return finish(REASON_HOST_INTERNAL, TC_DROP);
	}
	data = linear(skb, ETH_HLEN + sizeof(struct ipv6hdr) + LEAST_L4);
	if (!data)
		return finish(REASON_HOST_MALFORMED, TC_DROP);
	ip = data + ETH_HLEN;
	return take(skb, ip, ip + 1, ip->nexthdr, true);
}

SEC("tc")
int restore(struct __sk_buff *skb)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return take_ip4(skb);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return take_ip6(skb);
	return finish(REASON_NOT_OURS, TC_NEXT);
}

SEC("tc")
int bundle4(struct __sk_buff *skb)
{
	return take_bundle(skb, false);
}

SEC("tc")
int bundle6(struct __sk_buff *skb)
{
	return take_bundle(skb, true);
}

SEC("tc")
int unknown4(struct __sk_buff *skb)
{
	return take_unknown(skb, false);
}

SEC("tc")
int unknown6(struct __sk_buff *skb)
{
	return take_unknown(skb, true);
}

SEC("tc")
int fragment4(struct __sk_buff *skb)
{
	return take_fragment(skb, false);
}

SEC("tc")
int fragment6(struct __sk_buff *skb)
{
	return take_fragment(skb, true);
}

SEC("tc")
int error4(struct __sk_buff *skb)
{
	return take_error(skb, false);
}

SEC("tc")
int error6(struct __sk_buff *skb)
{
	return take_error(skb, true);
}

SEC("tc")
int leave_rest4(struct __sk_buff *skb)
{
	return leave_rest(skb, false);
}

SEC("tc")
int leave_rest6(struct __sk_buff *skb)
{
	return leave_rest(skb, true);
}

/* At the egress, where there are endpoints of their own. */
SEC("tc")
int leave(struct __sk_buff *skb)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return leave_family(skb, false);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return leave_family(skb, true);
	return finish(REASON_OUT_OTHER, TC_NEXT);
}

char _license[] SEC("license") = "Dual BSD/GPL";
