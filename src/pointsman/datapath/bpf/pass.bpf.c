// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Lets everything pass. XDP_TX out of a veth reaches the peer only if that has a program too. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp.frags")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
