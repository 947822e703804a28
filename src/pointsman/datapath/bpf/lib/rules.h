/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Rules of an inspected service, judged on the first data segment (R-E1).
 *
 * Each part of the request is looked up once and yields a bitmap of the rules it satisfies; the
 * bitmaps of all classes, each with the rules indifferent to it, are and-ed; the lowest bit left
 * is the first rule that holds. So the cost is the request's length, not the number of rules.
 */
#ifndef POINTSMAN_RULES_H
#define POINTSMAN_RULES_H

#include "base.h"
#include "http.h"

#define NO_RULE (~0U)

enum decision {
	DECIDED, /* a rule holds, or none does: the pool is right */
	UNDECIDED, /* this segment does not tell: default pool, or the slow path where there is one */
};

static __always_inline __u32 lowest_bit(__u64 word)
{
	__u32 n = 0;

	if (!(word & 0xffffffff)) {
		n += 32;
		word >>= 32;
	}
	if (!(word & 0xffff)) {
		n += 16;
		word >>= 16;
	}
	if (!(word & 0xff)) {
		n += 8;
		word >>= 8;
	}
	if (!(word & 0xf)) {
		n += 4;
		word >>= 4;
	}
	if (!(word & 3)) {
		n += 2;
		word >>= 2;
	}
	return n + !(word & 1);
}

static __always_inline __u32 first_rule(const struct ruleset *set, const struct scratch *s)
{
	for (__u32 i = 0; i < RULE_WORDS; i++) {
		__u64 word = ~0ULL;

#pragma unroll
		for (int class = 0; class < MATCH_CLASSES; class++)
			word &= set->indifferent[class].words[i] | s->found[class].words[i];
		if (word)
			return i * 64 + lowest_bit(word);
	}
	return NO_RULE;
}

/* Judges s->segment[start, end) and sets *pool. */
static __always_inline enum decision rules_judge(struct scratch *s, __u32 start, __u32 end,
						 const struct service *service, __u32 *pool)
{
	__u32 number = service->ruleset;
	struct ruleset *set = bpf_map_lookup_elem(&rulesets, &number);
	__u32 rule, *rule_pool;
	struct http_reader r = {};

	*pool = service->pool;
	if (!set || !set->rules)
		return DECIDED;
	__builtin_memset(s->found, 0, sizeof(s->found));
	r.s = s;
	r.classes = set->classes;
	r.ruleset = number;
	r.pos = r.start = start;
	r.end = end;
	bpf_loop(SEGMENT_MAX, http_step, &r, 0);
	if (r.state != HTTP_DONE)
		return UNDECIDED;
	rule = first_rule(set, s);
	if (rule >= set->rules)
		return DECIDED;
	rule += number * MAX_RULES;
	rule_pool = bpf_map_lookup_elem(&rule_pools, &rule);
	if (rule_pool)
		*pool = *rule_pool;
	return DECIDED;
}

#endif
