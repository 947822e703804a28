/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Turns a flow id back into the client's addresses and ports. */
#ifndef POINTSMAN_RESTORE_H
#define POINTSMAN_RESTORE_H

#include "base.h"
#include "csum.h"
#include "finish.h"
#include "mappings.h"
#include "skb.h"
#include "sockets.h"

#define EARLY_TICKS 3 /* an upload is over long before, or never */

/* A segment that overtakes its connection's upload would draw a RST that ends it. */
static __always_inline bool is_early(struct __sk_buff *skb, const struct mapping *m, const bool v6)
{
	if ((*m->flags & (MAPPING_UPLOADED | MAPPING_CONFIRMED)) != MAPPING_UPLOADED)
		return false;
	if (socket_lives(skb, m->client, v6)) {
		*m->flags |= MAPPING_CONFIRMED;
		return false;
	}
	return tick_now() - m->learnt < EARLY_TICKS;
}

/* The checksum field of TCP or UDP after the addresses and the ports have changed by these sums.
 * What GRO has put together has the sum of its pseudo-header there, for whoever sends it on
 * (CHECKSUM_PARTIAL). */
static __always_inline __u16 check_after(const struct __sk_buff *skb, __u16 check, __u32 addresses,
					 __u32 ports)
{
	return skb->gso_size ? csum_fold(check + addresses) :
			       csum_apply(check, csum_fold(addresses + ports));
}

/* Mends the checksum that follows a TCP or UDP header, the checksum and a driver's sum over the
 * whole packet (CHECKSUM_COMPLETE). In such a sum the IPv4 header's addresses and checksum cancel
 * out; over IPv6, the addresses and the checksum of what follows do. */
static __always_inline void l4_mend(struct __sk_buff *skb, void *l4, __u32 addresses, __u32 ports,
				    const __u8 proto, const bool v6)
{
	__u16 *field = proto == IPPROTO_TCP ? &((struct tcphdr *)l4)->check :
					      &((struct udphdr *)l4)->check;
	__u16 check;

	if (proto == IPPROTO_UDP && !*field) { /* the sender made none, and none it stays (RFC 768) */
		bpf_csum_update(skb, csum_fold(v6 ? addresses + ports : ports));
		return;
	}
	check = check_after(skb, *field, addresses, ports);
	*field = proto == IPPROTO_UDP && !check ? 0xffff : check;
	if (!v6)
		bpf_csum_update(skb, (__u16)~csum_fold(addresses));
}

/* Both write into the packet, whose headers are in its linear part (skb.h). `client` is the
 * 4-tuple that the application is to see, addresses then ports. */
static __always_inline void restore4(struct __sk_buff *skb, struct iphdr *ip,
				     const struct flow_key4 *client, const __u8 proto)
{
	__be32 *l4 = (void *)(ip + 1);
	__u32 addresses = csum_add_block(csum_sub_block(0, &ip->saddr, 8), client, 8);
	__u32 ports = csum_add_block(csum_sub_block(0, l4, 4), &client->sport, 4);

	ip->check = csum_apply(ip->check, csum_fold(addresses));
	__builtin_memcpy(&ip->saddr, client, 8);
	__builtin_memcpy(l4, &client->sport, 4);
	l4_mend(skb, l4, addresses, ports, proto, false);
}

static __always_inline void restore6(struct __sk_buff *skb, struct ipv6hdr *ip,
				     const struct flow_key6 *client, const __u8 proto)
{
	__be32 *l4 = (void *)(ip + 1);
	__u32 addresses = csum_add_block(csum_sub_block(0, &ip->saddr, 32), client, 32);
	__u32 ports = csum_add_block(csum_sub_block(0, l4, 4), &client->sport, 4);

	__builtin_memcpy(&ip->saddr, client, 32);
	__builtin_memcpy(l4, &client->sport, 4);
	l4_mend(skb, l4, addresses, ports, proto, true);
}

/* What keeps a packet of this flow id from the stack: a reason, or REASON_COUNT if nothing does. */
static __always_inline enum reason unfit(struct __sk_buff *skb, const struct mapping *m, __u8 proto,
					 const bool v6)
{
	if (m->proto != proto)
		return REASON_OTHER_PROTOCOL;
	return is_early(skb, m, v6) ? REASON_EARLY : REASON_COUNT;
}

/* A whole TCP segment or UDP datagram from a tunnel address: its ports are a flow id. */
static __always_inline int restore_packet(struct __sk_buff *skb, const union mapping_key *key,
					  const __u8 proto, const bool v6)
{
	const __u32 l4_header = proto == IPPROTO_TCP ? sizeof(struct tcphdr) : sizeof(struct udphdr);
	enum reason why;
	struct mapping m;
	void *data;

	if (!mapping_find(&m, key, v6)) {
		bpf_tail_call(skb, &programs, v6 ? HOST_UNKNOWN6 : HOST_UNKNOWN4);
		return finish(REASON_HOST_INTERNAL, TC_DROP); /* Python fills the map before it attaches us */
	}
	why = unfit(skb, &m, proto, v6);
	if (why != REASON_COUNT)
		return finish(why, TC_DROP);
	data = linear(skb, ETH_HLEN + ip_header_bytes(v6) + l4_header);
	if (!data)
		return finish(REASON_HOST_MALFORMED, TC_DROP);
	if (v6)
		restore6(skb, data + ETH_HLEN, m.client, proto);
	else
		restore4(skb, data + ETH_HLEN, m.client, proto);
	return finish(REASON_RESTORED, TC_NEXT);
}

#endif
