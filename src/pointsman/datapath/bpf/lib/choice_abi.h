/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the unit and Python share of choosing: services, pools, affinity, rules. See abi.h. */
#ifndef POINTSMAN_CHOICE_ABI_H
#define POINTSMAN_CHOICE_ABI_H

#include "abi.h"

#define MAX_RULES 4096 /* rules of one service; a bitmap of them is RULE_WORDS words */
#define RULE_WORDS (MAX_RULES / 64)
#define MATCH_TEXT 124 /* longest text of one condition, bytes */
#define POOL_SIZE_BITS 24 /* of struct pool's deck: how many cards; what is above is enum choose */

struct service_key4 {
	__be32 addr;
	__be16 port; /* 0: marks the address as a VIP, whatever the port */
	__u8 proto;
	__u8 reserved;
};

struct service_key6 {
	__be32 addr[4];
	__be16 port;
	__u8 proto;
	__u8 reserved;
};

enum inspect {
	INSPECT_NONE = 0, /* plain: bound on its first packet */
	INSPECT_HTTP = 1,
	INSPECT_TLS = 2,
	INSPECT_RDP = 3,
	INSPECT_QUIC = 4, /* not inspected: every datagram goes by its connection id */
};

/* Services by ranges of ports, a longest-prefix trie; prefixlen counts bits from addr on. */
struct range_key4 {
	__u32 prefixlen;
	__be32 addr;
	__u8 proto;
	__u8 zero;
	__be16 port;
};

struct range_key6 {
	__u32 prefixlen;
	__be32 addr[4];
	__u8 proto;
	__u8 zero;
	__be16 port;
};

enum service_flag {
	SERVICE_GROUP = 1, /* all flows of a client go to one endpoint */
};

struct service {
	__u16 id;
	__u8 inspect; /* enum inspect */
	__u8 rcv_wscale; /* window scale advertised to clients of inspected services */
	__u16 mss; /* advertised to clients of inspected services; leaves room for a bundle */
	__u16 ruleset; /* index in rulesets */
	__u32 pool; /* index in pools: of a plain service, or the default one */
	__u32 flags; /* enum service_flag */
};

/* A client of a group of ports (R-A9) ... */
struct affinity_key4 {
	__be32 client;
	__u32 service; /* index */
};

struct affinity_key6 {
	__be32 client[4];
	__u32 service;
};

/* ... and the endpoint that has its flows. */
struct affinity {
	__u32 endpoint;
	__u32 seen; /* tick in which one of them had a packet, roughly */
};

/* How a pool's next endpoint is found among its cards (R-B12). */
enum choose {
	CHOOSE_IN_TURN = 0, /* card by card: their order is the policy */
	CHOOSE_BY_CLIENT = 1, /* where the hash of the client's address points */
	CHOOSE_BY_FLOW = 2, /* where the hash of addresses, ports and protocol points */
	CHOOSE_LESS_LOADED = 3, /* of two drawn at random, who has fewer connections for his weight */
};

/* A pool's deck (R-B11) for one service: cards[first … first + size) are endpoints. */
struct pool {
	__u32 first;
	__u32 deck; /* low POOL_SIZE_BITS: size, 0 if nobody can take a connection; above: enum choose */
};

/* What Python knows of an endpoint's load. */
struct standing {
	__u32 lost; /* connections that are still counted in live, but ended without a word */
	__u32 weight; /* how many it should have, relative to the others of its pool */
};

#define QUIC_CONFIGS 8 /* of a service, by an id's first three bits; the last one is nobody's */
#define AES_ROUNDS 10 /* of AES-128 */
#define AES_KEY_WORDS (4 * (AES_ROUNDS + 1))

/* What stands between a server id and the connection id (draft-ietf-quic-load-balancers). */
enum quic_cipher {
	QUIC_PLAIN = 0,
	QUIC_SINGLE_PASS = 1, /* server id and nonce are one block */
	QUIC_FOUR_PASSES = 2,
};

/* How servers make connection ids. Masks are of bytes as they stand in memory. */
struct quic_config {
	__u8 server_id_bytes; /* 0: there is no such configuration */
	__u8 nonce_bytes;
	__u8 cipher; /* enum quic_cipher */
	__u8 zero[5];
	__u64 server_id_mask[2];
	__u64 left_mask[2]; /* of the halves that four passes mix */
	__u64 right_mask[2];
	__u32 round_keys[AES_KEY_WORDS]; /* to decipher a block (single pass), or to encipher one */
};

/* Server ids are padded with zeros: all of a service have one length. */
struct quic_server_key {
	__u32 service; /* index */
	__u32 zero;
	__u8 server_id[16];
};

struct aes_tables {
	__u32 encipher[256];
	__u32 decipher[256];
	__u8 box[256];
	__u8 inverse_box[256];
};

/* What a condition is about. A rule has one condition of a class at most. */
enum match_class {
	MATCH_METHOD = 0,
	MATCH_HOST = 1, /* HTTP's host or TLS's server name: exact, or a wildcard */
	MATCH_PATH = 2,
	MATCH_PREFIX = 3, /* what the path begins with */
	MATCH_HEADER = 4,
	MATCH_COOKIE = 5,
	MATCH_HEADER_PREFIX = 6,
	MATCH_QUERY = 7,
	MATCH_ALPN = 8,
	MATCH_MSTSHASH = 9,
	MATCH_CLASSES = 10,
};

/* A set of rules of one service, one bit a rule; the lowest set bit is the first rule. */
struct rule_bits {
	__u64 summary; /* bit i set: words[i] holds some rule, and only then is it good */
	__u64 words[RULE_WORDS];
};

/* The same set as a condition's value: words that are not 0, in rule_words from `first` on. */
struct rule_set {
	__u64 summary;
	__u32 first;
	__u32 reserved;
};

/* Lengths that exact texts of a class have, bit by bit: what has another fits none. */
struct text_lengths {
	__u64 words[2];
};

enum ruleset_flag {
	RULESET_WILDCARDS = 1, /* some rule has a wildcard for a host */
	RULESET_AFTER_PROXY = 2, /* clients' data begins with a PROXY protocol header */
};

/* What the rules of one service ask. */
struct ruleset {
	__u32 classes; /* bit c set: some rule has a condition of class c */
	__u32 rules; /* how many */
	__u32 first_pool; /* index in rule_pools of the first rule's */
	__u32 flags; /* enum ruleset_flag */
	struct text_lengths lengths[MATCH_CLASSES];
	struct rule_bits indifferent[MATCH_CLASSES]; /* rules that ask nothing of class c */
};

/* Exact conditions: (rule set, class, text) -> the rules it satisfies. Text is padded with 0; names of
 * hosts and of headers are in lower case; headers read "name\0value", cookies and queries "name=value". */
struct match_key {
	__u16 ruleset;
	__u8 match_class; /* enum match_class */
	__u8 text_bytes; /* of the text: a client's may end with zeros of its own */
	__u8 text[MATCH_TEXT];
};

/* What texts begin with, a longest-prefix trie; prefixlen counts bits from ruleset on. Wildcards of
 * hosts are here too, with the name read backwards: "*.example.org" is "gro.elpmaxe.". */
struct prefix_key {
	__u32 prefixlen;
	__u16 ruleset;
	__u16 match_class;
	__u8 text[MATCH_TEXT];
};

#endif
