// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* A lab's switch at the price of a real one, which takes no CPU from the machines it joins.
 *
 * On the router's LAN ports: a frame for a known node goes straight into that node's namespace. All
 * others, and those for units, whose XDP programs must see them, are left to the bridge.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

struct mac_key {
	__u8 mac[ETH_ALEN];
	__u8 zero[2];
};

/* macs: MAC -> router's port to that node. Owner: the lab. Life: the lab's. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct mac_key);
	__type(value, __u32);
} macs SEC(".maps");

SEC("tc")
int switch_frame(struct __sk_buff *skb)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct mac_key key = {};
	__u32 *port;

	if (data + ETH_HLEN > end)
		return TC_ACT_UNSPEC;
	__builtin_memcpy(key.mac, data, ETH_ALEN);
	port = bpf_map_lookup_elem(&macs, &key);
	return port ? bpf_redirect_peer(*port, 0) : TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
