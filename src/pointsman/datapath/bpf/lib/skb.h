/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reaching into an skb, whose first bytes need not lie in one piece. */
#ifndef POINTSMAN_SKB_H
#define POINTSMAN_SKB_H

#include "base.h"

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
