/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Fragments at the host: only a packet's first one says whose it is (RFC 791, 8200 §4.5). What became of
 * its addresses is remembered for the others. */
#ifndef POINTSMAN_HOST_FRAGMENTS_H
#define POINTSMAN_HOST_FRAGMENTS_H

#include "base.h"
#include "packet.h"
#include "skb.h"
#include "turn.h"

#define IP6_OFFSET 0xfff8
#define FRAGMENT_TICKS 30 /* as long as the kernel waits for the rest of a packet */

union fragment_key {
	struct host_fragment_key4 v4;
	struct host_fragment_key6 v6;
};

struct fragment {
	union fragment_key key;
	__u32 l4_at; /* from the MAC header */
	__u32 l4_bytes;
	__u32 proto;
	bool first;
};

/* IPv6's fragment header. */
struct fragment_header {
	__u8 nexthdr;
	__u8 reserved;
	__be16 offset; /* in bytes; the lowest bit: more are to come */
	__be32 id;
};

/* False if its headers are cut off. Of IPv6, the fragment header must be the first extension. */
static __always_inline bool fragment_read(struct __sk_buff *skb, struct fragment *f, const bool v6)
{
	struct fragment_header extension;
	struct ipv6hdr ip6;
	struct iphdr ip4;
	__u32 bytes;

	__builtin_memset(f, 0, sizeof(*f));
	if (v6) {
		if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip6, sizeof(ip6)) ||
		    bpf_skb_load_bytes(skb, ETH_HLEN + sizeof(ip6), &extension, sizeof(extension)) ||
		    bpf_ntohs(ip6.payload_len) < sizeof(extension))
			return false;
		__builtin_memcpy(f->key.v6.saddr, &ip6.saddr, 32);
		f->key.v6.id = extension.id;
		f->key.v6.proto = f->proto = extension.nexthdr;
		f->l4_at = ETH_HLEN + sizeof(ip6) + sizeof(extension);
		f->l4_bytes = bpf_ntohs(ip6.payload_len) - sizeof(extension);
		f->first = !(extension.offset & bpf_htons(IP6_OFFSET));
		return true;
	}
	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip4, sizeof(ip4)))
		return false;
	bytes = bpf_ntohs(ip4.tot_len);
	if (ip4.ihl < 5 || bytes < ip4.ihl * 4)
		return false;
	f->key.v4.saddr = ip4.saddr;
	f->key.v4.daddr = ip4.daddr;
	f->key.v4.id = ip4.id;
	f->key.v4.proto = f->proto = ip4.protocol;
	f->l4_at = ETH_HLEN + ip4.ihl * 4;
	f->l4_bytes = bytes - ip4.ihl * 4;
	f->first = !(ip4.frag_off & bpf_htons(IP_OFFSET));
	return true;
}

/* addresses: what the first fragment's became. */
static __always_inline long fragment_remember(const struct fragment *f, const void *addresses, const bool v6)
{
	if (v6) {
		struct host_fragment6 to = { .seen = tick_now() };

		__builtin_memcpy(&to, addresses, 32);
		return bpf_map_update_elem(&fragments6, &f->key.v6, &to, BPF_ANY);
	}
	struct host_fragment4 to = { .seen = tick_now() };

	__builtin_memcpy(&to, addresses, 8);
	return bpf_map_update_elem(&fragments4, &f->key.v4, &to, BPF_ANY);
}

/* What the addresses of a later fragment must become; NULL if its first one was not seen of late. */
static __always_inline const void *fragment_recall(const struct fragment *f, const bool v6)
{
	__u32 now = tick_now();

	if (v6) {
		const struct host_fragment6 *to = bpf_map_lookup_elem(&fragments6, &f->key.v6);

		return to && now - to->seen <= FRAGMENT_TICKS ? to : NULL;
	}
	const struct host_fragment4 *to = bpf_map_lookup_elem(&fragments4, &f->key.v4);

	return to && now - to->seen <= FRAGMENT_TICKS ? to : NULL;
}

/* Whether a first fragment holds all of a TCP or UDP header that is looked at, by its IP header and in
 * the frame, which may be cut off (both matter: behind a short packet, a frame is padded). */
static __always_inline bool fragment_has_header(const struct __sk_buff *skb, const struct fragment *f)
{
	__u32 bytes;

	if (f->proto == IPPROTO_TCP)
		bytes = sizeof(struct tcphdr);
	else if (f->proto == IPPROTO_UDP)
		bytes = sizeof(struct udphdr);
	else
		return false;
	return f->l4_bytes >= bytes && f->l4_at + bytes <= skb->len;
}

#endif
