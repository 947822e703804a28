/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Room that the stack has not: a copy of the segment being judged, and keys being built. */
#ifndef POINTSMAN_SCRATCH_H
#define POINTSMAN_SCRATCH_H

#include "base.h"

#define SEGMENT_MAX 2048
#define TEXT_ROOM 256 /* a condition's text while it is put together; only MATCH_TEXT count */

struct scratch {
	__u8 segment[SEGMENT_MAX]; /* from the TCP header on */
	struct rule_bits found[MATCH_CLASSES];
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

#endif
