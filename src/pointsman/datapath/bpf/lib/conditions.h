/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Parts of a client's first data, looked up: which rules does this text satisfy?
 *
 * The readers (http.h, tls.h, rdp.h) find the parts; every text is one look-up in a hash (exact)
 * or a trie (what it begins with), however many rules there are. Functions that the verifier
 * should see once only, not once a caller, are global and take nothing but numbers.
 */
#ifndef POINTSMAN_CONDITIONS_H
#define POINTSMAN_CONDITIONS_H

#include "base.h"
#include "scratch.h"

_Static_assert(RULE_WORDS == 64, "a summary is a word of bits");

#define LONGEST_NAME 255 /* no host's name is longer (RFC 1035 §2.3.4) */

enum decision {
	DECIDED, /* a rule holds, or none does: the pool is right */
	UNDECIDED, /* this segment does not tell: default pool, or the slow path where there is one */
};

/* Of a word that is not 0. Below 64, which the compiler knows and the verifier must see. */
static __always_inline __u32 lowest_bit(__u64 word)
{
	word = (word & -word) - 1; /* the bits below it, to be counted */
	word -= word >> 1 & 0x5555555555555555;
	word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;
	word = word * 0x0101010101010101 >> 56;
	barrier_var(word);
	return word & 63;
}

static __always_inline bool asks(const struct scratch *s, enum match_class class)
{
	return s->classes & 1 << class;
}

/* Adds a set of rules to found[class]. */
__noinline int note_found(__u32 class, __u64 summary, __u32 first)
{
	struct scratch *s = scratch_get();

	if (!s || class >= MATCH_CLASSES)
		return 0;
	for (int i = 0; i < RULE_WORDS && summary; i++) {
		__u32 place = lowest_bit(summary), at = first + i;
		struct rule_bits *found = &s->found[class];
		__u64 *word = bpf_map_lookup_elem(&rule_words, &at);
		__u64 had = found->summary & 1ULL << place ? found->words[place] : 0;

		if (!word)
			return 0;
		found->words[place] = had | *word;
		found->summary |= 1ULL << place;
		summary &= summary - 1;
	}
	return 0;
}

static __always_inline void copy_text(struct scratch *s, __u32 at, __u32 from, __u32 bytes)
{
	if (at > MATCH_TEXT || !bytes || bytes > MATCH_TEXT || from >= SEGMENT_MAX)
		return;
	bpf_probe_read_kernel(s->text + at, bytes, s->segment + from);
}

/* Puts segment[from, from + bytes) into s->text, behind a header's name and a 0 if there is one.
 * bytes and name_bytes together fit. */
static __always_inline __u32 put_text(struct scratch *s, __u32 from, __u32 bytes, __u32 name,
				      __u32 name_bytes)
{
	__u32 at = name_bytes ? name_bytes + 1 : 0;

	__builtin_memset(&s->match, 0, sizeof(s->match));
	if (at)
		copy_text(s, 0, name, name_bytes);
	copy_text(s, at, from, bytes);
	return at + bytes;
}

/* Whether the rule set has a text of this class and length at all: spares most look-ups, and those who
 * send a segment full of parts their effect. */
static __always_inline bool has_length(const struct scratch *s, __u32 class, __u32 bytes)
{
	__u32 number = s->ruleset;
	struct ruleset *set = bpf_map_lookup_elem(&rulesets, &number);

	return set && class < MATCH_CLASSES &&
	       set->lengths[class].words[bytes >> 6 & 1] >> (bytes & 63) & 1;
}

/* The whole of segment[from, from + bytes), of the header segment[name, name + name_bytes) if any. */
__noinline int look_up(__u32 class, __u32 from, __u32 bytes, __u32 name, __u32 name_bytes)
{
	struct scratch *s = scratch_get();
	struct rule_set *rules;
	__u32 text;

	if (!s || bytes > MATCH_TEXT || name_bytes > MATCH_TEXT)
		return 0; /* longer than any condition can be */
	text = bytes + name_bytes + (name_bytes ? 1 : 0);
	if (text > MATCH_TEXT || !has_length(s, class, text))
		return 0;
	put_text(s, from, bytes, name, name_bytes);
	s->match.text_bytes = text;
	s->match.ruleset = s->ruleset;
	s->match.match_class = class;
	rules = bpf_map_lookup_elem(&matches, &s->match);
	return rules ? note_found(class, rules->summary, rules->first) : 0;
}

static __always_inline int look_up_prefix_key(struct scratch *s, __u32 class, __u32 bytes)
{
	struct rule_set *rules;

	s->prefix.ruleset = s->ruleset;
	s->prefix.match_class = class;
	s->prefix.prefixlen = 8 * (offsetof(struct prefix_key, text) - offsetof(struct prefix_key, ruleset) + bytes);
	rules = bpf_map_lookup_elem(&prefixes, &s->prefix);
	return rules ? note_found(class, rules->summary, rules->first) : 0;
}

/* What segment[from, from + bytes) begins with, of a header as above. */
__noinline int look_up_prefix(__u32 class, __u32 from, __u32 bytes, __u32 name, __u32 name_bytes)
{
	__u32 room = MATCH_TEXT - (name_bytes ? name_bytes + 1 : 0);
	struct scratch *s = scratch_get();

	if (!s || name_bytes >= MATCH_TEXT)
		return 0;
	if (bytes > room)
		bytes = room;
	bytes = put_text(s, from, bytes, name, name_bytes);
	__builtin_memcpy(s->prefix.text, s->text, MATCH_TEXT);
	return look_up_prefix_key(s, class, bytes);
}

struct name_reader {
	struct scratch *s;
	__u32 stop; /* of the name */
};

static __always_inline bool is_upper(__u8 c)
{
	return c >= 'A' && c <= 'Z';
}

/* From the name's last byte on: lower case, and as a wildcard is looked up. */
static long name_step(__u32 index, void *context)
{
	struct name_reader *r = context;
	__u32 at = r->stop - 1 - index;
	__u8 c;

	if (at >= SEGMENT_MAX)
		return 1;
	c = r->s->segment[at];
	if (is_upper(c))
		c |= 0x20;
	r->s->segment[at] = c;
	if (index < MATCH_TEXT)
		r->s->prefix.text[index] = c;
	return 0;
}

/* A host's name, segment[from, from + bytes), in any case, with or without a dot at its end. */
__noinline int look_up_name(__u32 from, __u32 bytes)
{
	struct name_reader r = { .s = scratch_get() };

	if (!r.s)
		return 0;
	if (bytes && segment8(r.s, from + bytes - 1) == '.')
		bytes--;
	if (!bytes || bytes > LONGEST_NAME)
		return 0;
	r.stop = from + bytes;
	__builtin_memset(r.s->prefix.text, 0, MATCH_TEXT);
	bpf_loop(bytes, name_step, &r, 0);
	look_up(MATCH_HOST, from, bytes, 0, 0);
	if (r.s->flags & RULESET_WILDCARDS) {
		/* Without its first byte, for `*` stands for something. */
		bytes--;
		look_up_prefix_key(r.s, MATCH_HOST, bytes < MATCH_TEXT ? bytes : MATCH_TEXT);
	}
	return 0;
}

#endif
