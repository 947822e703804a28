/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* SipHash-2-4 (Aumasson, Bernstein 2012) over whole 64-bit words. */
#ifndef POINTSMAN_SIPHASH_H
#define POINTSMAN_SIPHASH_H

#include "base.h"

#define SIPHASH_ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

struct siphash_state {
	__u64 v0, v1, v2, v3;
};

static __always_inline void siphash_round(struct siphash_state *s)
{
	s->v0 += s->v1;
	s->v1 = SIPHASH_ROTL(s->v1, 13) ^ s->v0;
	s->v0 = SIPHASH_ROTL(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = SIPHASH_ROTL(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = SIPHASH_ROTL(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = SIPHASH_ROTL(s->v1, 17) ^ s->v2;
	s->v2 = SIPHASH_ROTL(s->v2, 32);
}

static __always_inline void siphash_word(struct siphash_state *s, __u64 word)
{
	s->v3 ^= word;
	siphash_round(s);
	siphash_round(s);
	s->v0 ^= word;
}

/* count: known at compile time. The message is count * 8 bytes. */
static __always_inline __u64 siphash(const __u64 *words, int count, const struct siphash_key *key)
{
	struct siphash_state s = {
		.v0 = key->k0 ^ 0x736f6d6570736575ULL,
		.v1 = key->k1 ^ 0x646f72616e646f6dULL,
		.v2 = key->k0 ^ 0x6c7967656e657261ULL,
		.v3 = key->k1 ^ 0x7465646279746573ULL,
	};

#pragma unroll
	for (int i = 0; i < count; i++)
		siphash_word(&s, words[i]);
	siphash_word(&s, (__u64)(count * 8) << 56);
	s.v2 ^= 0xff;
	siphash_round(&s);
	siphash_round(&s);
	siphash_round(&s);
	siphash_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

#endif
