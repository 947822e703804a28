/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The segment being judged, copied where bytes can be read one by one and summed. */
#ifndef POINTSMAN_SEGMENT_H
#define POINTSMAN_SEGMENT_H

#include "base.h"
#include "csum.h"
#include "packet.h"
#include "scratch.h"

#define CSUM_PIECE 512 /* the most that bpf_csum_diff() took before Linux 6.13 */

/* bytes: of the segment, rounded up to whole words. */
static __always_inline __s64 csum_pieces(const struct scratch *s, __u32 bytes, __s64 sum)
{
#pragma unroll
	for (__u32 at = 0; at < SEGMENT_MAX; at += CSUM_PIECE) {
		__u32 piece;

		if (at >= bytes)
			break;
		piece = bytes - at;
		if (piece > CSUM_PIECE)
			piece = CSUM_PIECE;
		sum = bpf_csum_diff(NULL, 0, (__be32 *)(s->segment + at), piece & ~3U, sum);
	}
	return sum;
}

/* Copies TCP header and payload to s->segment, followed by zeros enough to read a header's last
 * option and to sum whole words. Says whether it could, and the checksum was right. */
static __always_inline bool segment_load(struct xdp_md *ctx, const struct packet *p, struct scratch *s,
					 const bool v6)
{
	__u32 bytes = p->l4_bytes, sum;
	__s64 wide;

	barrier_var(bytes);
	if (bytes < sizeof(struct tcphdr) || bytes > SEGMENT_MAX - TCP_HEADER_COPY)
		return false;
	__builtin_memset(s->segment, 0, TCP_HEADER_COPY);
	if (bpf_xdp_load_bytes(ctx, ETH_HLEN + ip_header_bytes(v6), s->segment, bytes))
		return false;
	s->segment[bytes] = 0;
	s->segment[bytes + 1] = 0;
	s->segment[bytes + 2] = 0;
	sum = v6 ? csum_add_block(0, &p->ip6->saddr, 32) : csum_add_block(0, &p->ip4->saddr, 8);
	sum += bpf_htons(IPPROTO_TCP) + bpf_htons(bytes);
	wide = csum_pieces(s, (bytes + 3) & ~3U, sum);
	return wide >= 0 && csum_fold(csum_fold((__u32)wide)) == 0xffff;
}

#endif
