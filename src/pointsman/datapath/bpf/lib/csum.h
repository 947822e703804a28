/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Internet checksums (RFC 1071, 1624): sums are 32 bits of one's complement 16-bit words. */
#ifndef POINTSMAN_CSUM_H
#define POINTSMAN_CSUM_H

#include "base.h"

/* The largest sum we fold is of 64 words, 64 * 0xffff < 2^22, so two folds suffice. */
static __always_inline __u16 csum_fold(__u32 sum)
{
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return sum;
}

static __always_inline __u32 csum_add32(__u32 sum, __u32 word)
{
	return sum + (word >> 16) + (word & 0xffff);
}

/* bytes: even, known at compile time. */
static __always_inline __u32 csum_add_block(__u32 sum, const void *block, int bytes)
{
	const __u16 *words = block;

#pragma unroll
	for (int i = 0; i < bytes / 2; i++)
		sum += words[i];
	return sum;
}

static __always_inline __u32 csum_sub_block(__u32 sum, const void *block, int bytes)
{
	const __u16 *words = block;

#pragma unroll
	for (int i = 0; i < bytes / 2; i++)
		sum += (__u16)~words[i];
	return sum;
}

/* The checksum field after the words it covers have changed by delta. */
static __always_inline __u16 csum_apply(__u16 check, __u16 delta)
{
	return ~csum_fold((__u16)~check + delta);
}

static __always_inline void ip4_set_csum(struct iphdr *ip)
{
	ip->check = 0;
	ip->check = ~csum_fold(csum_add_block(0, ip, sizeof(*ip)));
}

#endif
