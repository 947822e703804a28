/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reaching into an skb, whose first bytes need not lie in one piece. */
#ifndef POINTSMAN_SKB_H
#define POINTSMAN_SKB_H

#include "base.h"

static __always_inline __u32 address_bytes(const bool v6)
{
	return v6 ? 16 : 4;
}

/* Where the source address of a frame's IP header lies; the destination is behind it. */
static __always_inline __u32 addresses_at(const bool v6)
{
	return ETH_HLEN + (v6 ? offsetof(struct ipv6hdr, saddr) : offsetof(struct iphdr, saddr));
}

/* The start of the frame, with `need` bytes (known at compile time) in one piece and ours to write;
 * NULL if it is shorter. Pointers into the packet from before are void. */
static __always_inline void *linear(struct __sk_buff *skb, const __u32 need)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;

	if (data + need <= end)
		return data;
	if (bpf_skb_pull_data(skb, need))
		return NULL;
	data = (void *)(long)skb->data;
	end = (void *)(long)skb->data_end;
	return data + need <= end ? data : NULL;
}

#endif
