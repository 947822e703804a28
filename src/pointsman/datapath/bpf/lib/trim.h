/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* ICMP errors that have no room in a bundle lose the end of what they quote. */
#ifndef POINTSMAN_TRIM_H
#define POINTSMAN_TRIM_H

#include "base.h"
#include "csum.h"
#include "packet.h"
#include "unit_quote.h"

#define TRIM_MOST 80 /* bytes; errors are 1,280 long at most (RFC 4443 §2.4), a bundle's front 72 */

/* Shortens the message to `room` bytes or a little less, as its lengths and checksums tell; returns
 * how many there are then, IP header included, or 0 if that is more than is ever needed.
 * tail: room for what is cut off. */
static __always_inline __u32 icmp_trim(struct xdp_md *ctx, struct packet *p, __u8 tail[TRIM_MOST], __u32 room,
				       const bool v6)
{
	struct icmp_header *icmp = p->l4;
	__u32 keep = room & ~3U, cut = p->ip_bytes - keep, sum;
	__be16 old, fresh;

	barrier_var(cut);
	if (!cut || cut >= TRIM_MOST)
		return 0;
	__builtin_memset(tail, 0, TRIM_MOST);
	if (bpf_xdp_load_bytes(ctx, ETH_HLEN + keep, tail, cut))
		return 0;
	sum = csum_sub_block(0, tail, TRIM_MOST);
	if (v6) {
		old = p->ip6->payload_len;
		fresh = bpf_htons(keep - sizeof(*p->ip6));
		p->ip6->payload_len = fresh;
		/* The pseudo-header's length. */
		sum += (__u16)~old + fresh;
	} else {
		old = p->ip4->tot_len;
		fresh = bpf_htons(keep);
		p->ip4->tot_len = fresh;
		p->ip4->check = csum_apply(p->ip4->check, csum_fold((__u16)~old + fresh));
	}
	icmp->check = csum_apply(icmp->check, csum_fold(sum));
	p->ip_bytes = keep;
	return keep;
}

#endif
