// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Loses a share of the TCP and UDP packets of a lab's cable: connections, bundles and notices.
 *
 * ARP and neighbour discovery go through, for what is tested is not how the lab finds neighbours.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct drop_state {
	__u32 permille; /* of the packets */
	__u32 unused;
	__u64 seen;
	__u64 dropped;
};

/* The share is set, and the counts are read, from user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct drop_state);
} drop_map SEC(".maps");

static __always_inline int transport(struct __sk_buff *skb)
{
	__u8 protocol = 0;

	if (skb->protocol == bpf_htons(ETH_P_IP))
		bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct iphdr, protocol), &protocol, 1);
	else if (skb->protocol == bpf_htons(ETH_P_IPV6))
		bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct ipv6hdr, nexthdr), &protocol, 1);
	return protocol;
}

SEC("tc")
int drop(struct __sk_buff *skb)
{
	int protocol = transport(skb);
	__u32 key = 0;
	struct drop_state *state;

	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return TC_ACT_UNSPEC;
	state = bpf_map_lookup_elem(&drop_map, &key);
	if (!state)
		return TC_ACT_UNSPEC;
	__sync_fetch_and_add(&state->seen, 1);
	if (bpf_get_prandom_u32() % 1000 >= state->permille)
		return TC_ACT_UNSPEC;
	__sync_fetch_and_add(&state->dropped, 1);
	return TC_ACT_SHOT;
}

char _license[] SEC("license") = "Dual BSD/GPL";
