/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The unit's maps. Sizes given as 1 are set by Python before load. */
#ifndef POINTSMAN_UNIT_MAPS_H
#define POINTSMAN_UNIT_MAPS_H

#include "abi.h"
#include "choice_abi.h"
#include "reasons.h"

/* Read-only: a section of its own, so that Python can fill it whole. */
const volatile struct unit_config config SEC(".rodata.config");

/* flows4, flows6: bucket -> routes of connections (flow_table.h).
 * Owner: forwarder. Writers: plumb(), flow_advance().
 * Life: dead by state and idleness (enum flow_state), gone when its place is needed.
 * Size: max_flows, twice over, in buckets. Python makes it an array a CPU if the site file wants that. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_bucket4);
} flows4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_bucket6);
} flows6 SEC(".maps");

/* evicted: [0] = routes that lived, and gave their place to others. Owner: flow_store(), per CPU.
 * Life: as long as the unit. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} evicted SEC(".maps");

/* returns4, returns6: an answer of half-NAT or NAT, by its addresses and ports -> whose it is.
 * Owner: translate.h. Life: LRU; one that is lost is made anew by the client's next packet.
 * Size: max_translations, if a service translates. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct flow_key4);
	__type(value, struct translation4);
} returns4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct flow_key6);
	__type(value, struct translation6);
} returns6 SEC(".maps");

/* endpoints4, endpoints6: endpoint -> addresses and next hop.
 * Owner: Python (site file, netlink routes and neighbours). Life: as long as the unit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct endpoint4);
} endpoints4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct endpoint6);
} endpoints6 SEC(".maps");

/* host_numbers4, host_numbers6: host address -> host index, to know whose a notice is.
 * Owner: Python. Life: as long as the unit. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __be32);
	__type(value, __u32);
} host_numbers4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct in6_key);
	__type(value, __u32);
} host_numbers6 SEC(".maps");

/* host_epochs: host index -> how fresh its mappings are.
 * Owner: forwarder (notices). Life: as long as the unit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct host_epoch);
} host_epochs SEC(".maps");

/* services4, services6: VIP, port, protocol -> service; port 0 marks a VIP.
 * Owner: Python (site file). Life: configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct service_key4);
	__type(value, struct service);
} services4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct service_key6);
	__type(value, struct service);
} services6 SEC(".maps");

/* ranges4, ranges6: VIP, protocol, bits of a port -> service.
 * Owner: Python (site file). Life: configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct range_key4);
	__type(value, struct service);
} ranges4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct range_key6);
	__type(value, struct service);
} ranges6 SEC(".maps");

/* affinities4, affinities6: client and group -> the endpoint that has the client's flows.
 * Owner: classifier. Life: LRU; stale as open flows are, by idleness.
 * Size: max_flows if there is a group. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct affinity_key4);
	__type(value, struct affinity);
} affinities4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct affinity_key6);
	__type(value, struct affinity);
} affinities6 SEC(".maps");

/* pools: pool index -> where its deck lies. One aligned 8-byte store flips it to a new deck.
 * Owner: Python. Life: configuration and allotments. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct pool);
} pools SEC(".maps");

/* cards: endpoints; every pool has two places, one in play, one to fill.
 * Owner: Python. Life: until its deck is replaced. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} cards SEC(".maps");

/* cursors: pool index -> number of cards dealt since the start.
 * Owner: classifier. Life: as long as the unit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} cursors SEC(".maps");

/* live: endpoint -> connections begun less those whose end was seen; below 0 it has wrapped.
 * Owner: forwarder and classifier. Life: as long as the unit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} live SEC(".maps");

/* standings: endpoint -> its weight, and what live does not know.
 * Owner: Python (site file, recounts of the routes). Life: until the next recount. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct standing);
} standings SEC(".maps");

/* rulesets: rule set index -> what its rules ask, class by class.
 * Owner: Python (compiled rules). Life: configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct ruleset);
} rulesets SEC(".maps");

/* rule_pools: a rule set's first_pool + rule -> pool index.
 * Owner: Python. Life: configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} rule_pools SEC(".maps");

/* rule_words: words of the sets of rules that conditions satisfy (struct rule_set says which).
 * Owner: Python. Life: configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} rule_words SEC(".maps");

/* matches: exact condition -> rules it satisfies. Owner: Python. Life: configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct match_key);
	__type(value, struct rule_set);
} matches SEC(".maps");

/* prefixes: what a path, a header or a host's name read backwards begins with -> rules that this or
 * a shorter prefix satisfies. Owner: Python. Life: configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix_key);
	__type(value, struct rule_set);
} prefixes SEC(".maps");

/* secrets: epoch modulo SECRET_SLOTS -> cookie secret. Owner: Python. Life: three epochs. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SECRET_SLOTS);
	__type(key, __u32);
	__type(value, struct siphash_key);
} secrets SEC(".maps");

/* cookie_clock: [0] = slot of the present epoch. Owner: Python. Life: as long as the unit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cookie_clock);
} cookie_clock SEC(".maps");

/* next_ids: per CPU, [0] = how many flow ids it has given out; starts at random.
 * Owner: classifier. Life: as long as the unit. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next_ids SEC(".maps");

/* ids4, ids6: low bits of a tunnelled flow's id -> the bucket of flows4 or flows6 that has it.
 * Owner: classifier. Life: until an id with the same low bits is given out; max_flows of them. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} ids4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} ids6 SEC(".maps");

/* peers4, peers6: enum peer -> next hop. Owner: Python (netlink routes and neighbours).
 * Life: as long as the unit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PEERS);
	__type(key, __u32);
	__type(value, struct endpoint4);
} peers4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PEERS);
	__type(key, __u32);
	__type(value, struct endpoint6);
} peers6 SEC(".maps");

struct fragment_key4 {
	__be32 saddr;
	__be32 daddr;
	__be16 id;
	__u16 proto;
};

struct fragment_key6 {
	__be32 saddr[4];
	__be32 daddr[4];
	__be32 id;
};

/* Where a packet's first fragment went. */
#define FRAGMENT_RETURNS ~0U
struct fragment_way {
	__u32 endpoint; /* FRAGMENT_RETURNS: it is an endpoint's answer */
	__be32 id; /* what the fragments bear on the way; of IPv4 the first two bytes */
	__u32 seen; /* tick of the first one */
	union { /* key in returns4 or returns6 of an answer */
		struct flow_key4 back4;
		struct flow_key6 back6;
	};
};

/* fragments4, fragments6: a fragmented packet -> where its first fragment went.
 * Owner: fragment_first(). Life: LRU, max_fragments; FRAGMENT_TICKS. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct fragment_key4);
	__type(value, struct fragment_way);
} fragments4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct fragment_key6);
	__type(value, struct fragment_way);
} fragments6 SEC(".maps");

/* fragment_ids: [0] = how many fragmented packets were given an id of ours; starts at random.
 * Owner: fragment_first(). Life: as long as the unit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} fragment_ids SEC(".maps");

/* traffic: endpoint -> what went that way.
 * Owner: forwarder, per CPU. Life: as long as the unit. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct traffic);
} traffic SEC(".maps");

/* undecided: service index -> first requests the rules could not judge, so took the default pool.
 * Owner: classifier, per CPU. Life: as long as the unit. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} undecided SEC(".maps");

/* reasons: enum reason -> packets. Owner: finish(), per CPU. Life: as long as the unit. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASON_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} reasons SEC(".maps");

/* programs: enum program -> what the entry tail-calls.
 * Owner: Python, at load. Life: as long as the unit. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, PROGRAMS);
	__type(key, __u32);
	__type(value, __u32);
} programs SEC(".maps");

#endif
