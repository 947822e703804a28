// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* What a wire would take away of a lab's packet: the sending socket's hash.
 *
 * Left in place, a router on the same machine spreads by it instead of by addresses and ports, and
 * a client's time-out, which draws a new hash, moves its connection to another unit.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

SEC("tc")
int wire(struct __sk_buff *skb)
{
	bpf_set_hash_invalid(skb);
	return TC_ACT_UNSPEC;
}

char _license[] SEC("license") = "Dual BSD/GPL";
