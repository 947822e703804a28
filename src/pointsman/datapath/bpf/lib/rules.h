/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Rules of an inspected service, judged on the first data segment (R-E1).
 *
 * Each part of the request is looked up once and yields the set of rules it satisfies, a bitmap; the
 * bitmaps of all classes, each with the rules indifferent to it, are and-ed; the lowest bit left
 * is the first rule that holds. A bitmap's summary tells which of its words hold anything, and
 * only those are touched: the cost is the request's length, and hardly the number of rules.
 */
#ifndef POINTSMAN_RULES_H
#define POINTSMAN_RULES_H

#include "base.h"
#include "conditions.h"
#include "http.h"
#include "proxy_protocol.h"
#include "rdp.h"
#include "tls.h"

#define NO_RULE (~0U)

static __always_inline __u64 found_word(const struct rule_bits *found, __u32 place)
{
	return found->summary & 1ULL << place ? found->words[place] : 0;
}

/* The first rule that all classes let through. */
__noinline int first_rule(__u32 number)
{
	struct ruleset *set = bpf_map_lookup_elem(&rulesets, &number);
	struct scratch *s = scratch_get();
	__u64 left = ~0ULL;

	if (!set || !s)
		return NO_RULE;
	for (int class = 0; class < MATCH_CLASSES; class++)
		left &= set->indifferent[class].summary | s->found[class].summary;
	for (int i = 0; i < RULE_WORDS && left; i++) {
		__u32 place = lowest_bit(left);
		__u64 word = ~0ULL;

		for (int class = 0; class < MATCH_CLASSES; class++) {
			if (!(set->classes & 1 << class))
				continue;
			word &= set->indifferent[class].words[place] |
				found_word(&s->found[class], place);
		}
		if (word)
			return place * 64 + lowest_bit(word);
		left &= left - 1;
	}
	return NO_RULE;
}

/* Reads s->segment[start, end) as the service's protocol. */
static __always_inline enum decision first_data_read(const struct scratch *s, __u32 start, __u32 end,
						     __u8 inspect)
{
	if (s->flags & RULESET_AFTER_PROXY)
		start = proxy_skip(start, end);
	if (start > end)
		return UNDECIDED;
	switch (inspect) {
	case INSPECT_HTTP:
		return http_read(start, end);
	case INSPECT_TLS:
		return tls_read(start, end);
	case INSPECT_RDP:
		return rdp_read(start, end);
	default:
		return UNDECIDED;
	}
}

/* Judges s->segment[start, end) and sets *pool. */
static __always_inline enum decision rules_judge(struct scratch *s, __u32 start, __u32 end,
						 const struct service *service, __u32 *pool)
{
	__u32 number = service->ruleset;
	struct ruleset *set = bpf_map_lookup_elem(&rulesets, &number);
	__u32 rule, *rule_pool;

	*pool = service->pool;
	if (!set || !set->rules)
		return DECIDED;
	for (int class = 0; class < MATCH_CLASSES; class++)
		s->found[class].summary = 0;
	s->classes = set->classes;
	s->flags = set->flags;
	s->ruleset = number;
	if (first_data_read(s, start, end, service->inspect) == UNDECIDED)
		return UNDECIDED;
	rule = first_rule(number);
	if (rule >= set->rules)
		return DECIDED;
	rule += set->first_pool;
	rule_pool = bpf_map_lookup_elem(&rule_pools, &rule);
	if (rule_pool)
		*pool = *rule_pool;
	return DECIDED;
}

#endif
