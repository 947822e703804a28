/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Room that the stack has not: a copy of the segment being judged, keys being built, rules found. */
#ifndef POINTSMAN_SCRATCH_H
#define POINTSMAN_SCRATCH_H

#include "base.h"

#define SEGMENT_MAX 2048
#define BEGINNING_MAX 32
#define TEXT_ROOM 256 /* a condition's text while it is put together; only MATCH_TEXT count */

struct scratch {
	__u8 segment[SEGMENT_MAX]; /* from the TCP header on */
	struct rule_bits found[MATCH_CLASSES]; /* rules that what was read satisfies */
	__u32 classes; /* of the rule set that is asked */
	__u32 flags;
	__u16 ruleset; /* its index */
	union {
		struct match_key match;
		struct {
			__u8 match_head[offsetof(struct match_key, text)];
			__u8 text[TEXT_ROOM];
		};
	};
	struct prefix_key prefix;
};

/* scratch: [0] = this CPU's. Owner: the program that runs. Life: one packet. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} scratch SEC(".maps");

static __always_inline struct scratch *scratch_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&scratch, &zero);
}

/* Bytes of the segment, in network order; 0 past its room. Who asks has checked where it ends. */
static __always_inline __u32 segment8(const struct scratch *s, __u32 at)
{
	return at < SEGMENT_MAX ? s->segment[at] : 0;
}

static __always_inline __u32 segment16(const struct scratch *s, __u32 at)
{
	return segment8(s, at) << 8 | segment8(s, at + 1);
}

/* Whether segment[at, …) begins with these bytes, BEGINNING_MAX of them at most. Without a branch a
 * byte: each would double the ways that the verifier walks. */
static __always_inline bool segment_begins(const struct scratch *s, __u32 at, const char *text, __u32 bytes)
{
	const __u8 *here = s->segment + at;
	__u8 different = 0;

	if (at > SEGMENT_MAX - BEGINNING_MAX)
		return false;
#pragma unroll
	for (__u32 i = 0; i < bytes; i++)
		different |= here[i] ^ (__u8)text[i];
	return !different;
}

#endif
