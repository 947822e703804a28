/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Every struct and enum that the packet programs share with Python or put on the wire.
 *
 * tools/gen_abi.py turns this file and host_abi.h, through the BTF of the compiled objects, into
 * datapath/abi.py; a test proves the two equal. __be16/__be32/__be64 fields are in network
 * order and appear in Python as bytes, all others are in host order and appear as integers.
 */
#ifndef POINTSMAN_ABI_H
#define POINTSMAN_ABI_H

#include <linux/types.h>

/* A tick is 2^30 ns (1.07 s): the clock of flow life, cheap to get by a shift. */
#define TICK_SHIFT 30


enum family {
	FAMILY_IPV4 = 0,
	FAMILY_IPV6 = 1,
};

/* What the unit's entry tail-calls; the programs bear these names. */
enum program {
	PROGRAM_CLASSIFY4 = 0, /* TCP that has no route, or may begin a connection anew */
	PROGRAM_CLASSIFY6 = 1,
	PROGRAM_DATAGRAM4 = 2, /* the same for UDP */
	PROGRAM_DATAGRAM6 = 3,
	PROGRAM_REST4 = 4, /* whatever else IP carries, and broken packets */
	PROGRAM_REST6 = 5,
	PROGRAM_TAGGED = 6, /* frames with VLAN tags */
	PROGRAM_TRANSLATE4 = 7, /* packets of half-NAT and NAT, there and back */
	PROGRAM_TRANSLATE6 = 8,
	PROGRAM_FORWARD = 9, /* the entry, once more: of a packet whose options were taken off */
	PROGRAM_OPTIONS4 = 10, /* IP options */
	PROGRAM_OPTIONS6 = 11, /* extension headers */
	PROGRAM_FRAGMENT4 = 12,
	PROGRAM_FRAGMENT6 = 13,
	PROGRAM_ICMP4 = 14,
	PROGRAM_ICMP6 = 15,
	PROGRAM_HANDOVER4 = 16, /* ICMP errors that another unit hands on */
	PROGRAM_HANDOVER6 = 17,
	PROGRAMS = 18,
};

struct in6_key {
	__be32 addr[4];
};

/* A connection, or what passes for one; ports are 0 where the protocol has none. */
struct flow_key4 {
	__be32 saddr;
	__be32 daddr;
	__be16 sport;
	__be16 dport;
	__u32 proto; /* IANA's number */
};

struct flow_key6 {
	__be32 saddr[4];
	__be32 daddr[4];
	__be16 sport;
	__be16 dport;
	__u32 proto;
};

/* Life of a route, as far as the client's half of the conversation shows it (R-A5, R-D7):
 *
 *   plumbed -> OPENING --client acknowledges the host's answer--> OPEN
 *   OPENING | OPEN --FIN--> CLOSING
 *   any --RST--> ZOMBIE (its clock stands still: gone after the zombie time)
 *   ZOMBIE --anything else--> OPEN or CLOSING (the RST was not the client's: it lives)
 *   any --idle for that state's time--> gone
 *
 * Everything but TCP is DATAGRAM from its first packet to its idle end.
 */
enum flow_state {
	FLOW_OPENING = 0,
	FLOW_OPEN = 1,
	FLOW_CLOSING = 2,
	FLOW_ZOMBIE = 3,
	FLOW_DATAGRAM = 4,
	FLOW_STATES = 5,
};

enum flow_flag {
	FLOW_INSPECTED = 1, /* bound on its first data, not on its SYN */
	FLOW_REOPENED = 2, /* a SYN came for this 4-tuple: the next segment may prove a new connection */
	FLOW_GROUPED = 4, /* other flows of the client go where it goes */
	FLOW_TRANSLATED = 8, /* by half-NAT or NAT: its answers come back to us */
	FLOW_UPLOADED = 16, /* its host has shown that it has it (inspected, not tunnelled) */
	FLOW_BY_ID = 32, /* a datagram may name another endpoint (QUIC) */
};

/* A route: where the packets of one connection go, and how to rewrite them (R-A3, R-E9). */
struct flow {
	__u32 endpoint; /* index in endpoints4 or endpoints6 */
	__be32 flow_id; /* what stands in the two port fields on the way to the host */
	__u32 first_seq; /* sequence number of the SYN (plain) or of the first data byte (inspected) */
	__u32 isn; /* our cookie (inspected) */
	__u32 seen; /* tick of the last packet, or of the RST */
	__u16 epoch; /* the host's epoch in which it was taught this mapping */
	__u16 l4_delta; /* one's complement difference the rewriting makes to the TCP or UDP checksum */
	__u16 ip_delta; /* the same for the IPv4 header checksum; TTL included */
	__u8 state; /* enum flow_state */
	__u8 flags; /* enum flow_flag */
	__u8 rcv_wscale; /* the client was told (inspected) */
	__u8 spare;
	__u16 service; /* index, of a flow in a group */
};

/* The table of routes is buckets of FLOW_WAYS slots. A connection's hash names its bucket; a
 * fingerprint of it, its slot: 0 is a free one. lib/flow_table.h has the whole story. */
#define FLOW_WAYS 16

struct flow_head {
	__u32 lock; /* who puts a route in holds it */
	__u32 spare[7];
	__u16 prints[FLOW_WAYS];
};

struct flow_slot4 {
	struct flow_key4 key;
	struct flow flow;
};

struct flow_slot6 {
	struct flow_key6 key;
	struct flow flow;
};

struct flow_bucket4 {
	struct flow_head head;
	struct flow_slot4 slots[FLOW_WAYS];
};

struct flow_bucket6 {
	struct flow_head head;
	struct flow_slot6 slots[FLOW_WAYS];
};

/* How packets reach an endpoint (R-A6). */
enum forward_mode {
	FORWARD_TUNNEL = 0, /* flow id in the port fields */
	FORWARD_HALF_NAT = 1, /* the destination becomes the endpoint's */
	FORWARD_NAT = 2, /* the source becomes ours, too */
	FORWARD_L2 = 3, /* only the MAC addresses change */
};

/* What turns an answer of half-NAT or NAT back, found by the key it comes with. */
struct translation4 {
	struct flow_key4 client; /* the connection, as the client sees it */
	__u8 dmac[6]; /* the way to the client: where its packets came from */
	__u8 smac[6];
	__u32 ifindex;
	__u32 seen; /* tick of the last answer, roughly */
	__u16 ip_delta; /* as of struct flow, for the way back */
	__u16 l4_delta;
};

struct translation6 {
	struct flow_key6 client;
	__u8 dmac[6];
	__u8 smac[6];
	__u32 ifindex;
	__u32 seen;
	__u16 ip_delta;
	__u16 l4_delta;
};

enum endpoint_flag {
	ENDPOINT_USABLE = 1, /* its next hop is known and it may get packets */
};

/* An endpoint as the forwarder sees it: one member of one pool, as one service uses it.
 * Owner: Python (site file, netlink neighbours). */
struct endpoint4 {
	__be32 addr; /* what becomes the destination: the host's (tunnel), or its own */
	__be32 source; /* what becomes the source: our tunnel or NAT address; 0: the client's stays */
	__u8 dmac[6];
	__u8 smac[6];
	__u32 ifindex; /* interface towards it */
	__u32 host; /* index in host_epochs */
	__be32 id; /* tells the host's program which of its own endpoints (tunnel); 0: none */
	__be16 port; /* what becomes the destination port (NAT); 0: the one that the client named */
	__u8 mode; /* enum forward_mode */
	__u8 flags; /* enum endpoint_flag */
};

struct endpoint6 {
	__be32 addr[4];
	__be32 source[4];
	__u8 dmac[6];
	__u8 smac[6];
	__u32 ifindex;
	__u32 host;
	__be32 id;
	__be16 port;
	__u8 mode;
	__u8 flags;
};

/* Whom the unit sends packets to besides endpoints: an index in peers4 and peers6. */
enum peer {
	PEER_CLIENTS = 0, /* the next hop of the default route; it has no address */
	PEER_UNIT = 1, /* the next unit of the site that can be reached, by its tunnel address */
	PEERS = 2,
};

/* How fresh a host's mappings are. A notice raises the epoch; flows taught in an older epoch
 * travel as a bundle once more. Owner: the kernel. */
struct host_epoch {
	__be64 nonce; /* of the host agent's present run */
	__u32 epoch; /* the low 16 bits stand in struct flow */
	__u32 tick; /* when it was raised last */
};

struct siphash_key {
	__u64 k0;
	__u64 k1;
};

/* Cookie secrets by epoch modulo SECRET_SLOTS; valid: the present epoch and its neighbours. */
#define SECRET_SLOTS 4
struct cookie_clock {
	__u32 slot; /* of the present epoch */
};

struct traffic {
	__u64 packets; /* client to host */
	__u64 bytes; /* IP length as it came from the client */
	__u64 connections; /* plumbed */
};

/* ---- wire: UDP payload between a unit's tunnel address and a host, docs/wire/bundle.md ---- */

#define BUNDLE_VERSION 1
#define BUNDLE_NAME 0x80000000 /* no flow id has this bit: a name for a connection that needs none */

enum bundle_kind {
	BUNDLE_SYN = 1, /* client's SYN follows: let the listener have it */
	BUNDLE_DATA = 2, /* client's first data follows: upload it with these attributes */
	BUNDLE_TEACH = 3, /* a packet of an established connection follows: learn and let it through */
	BUNDLE_TEACH_ONLY = 4, /* its headers only: learn and drop */
	BUNDLE_DATAGRAM = 5, /* a flow's first packet that is no TCP: learn and let it through */
	BUNDLE_ICMP = 6, /* an ICMP error about a connection of the host's: let it through */
	BUNDLE_HANDOVER = 7, /* unit to unit: an ICMP error about no connection of the sender's */
	NOTICE_UNKNOWN = 128, /* host to unit: I do not know this flow id */
};

enum bundle_flag {
	BUNDLE_WSCALE = 1, /* TCP options the client and the cookie agreed on */
	BUNDLE_SACK = 2,
	BUNDLE_ECN = 8,
	BUNDLE_AGAIN = 128, /* set by the host on its own second try; no part of the tag */
};

struct bundle {
	__u8 version;
	__u8 kind; /* enum bundle_kind */
	__u8 flags; /* enum bundle_flag */
	__u8 hops; /* units that it has passed (HANDOVER) */
	__be32 flow_id;
	__be16 mss; /* the client's */
	__u8 snd_wscale; /* the client's */
	__u8 rcv_wscale; /* what the client was told */
	__be32 endpoint; /* id of the host's endpoint that gets it; 0: as the client addressed it */
	__be64 tag; /* SipHash-2-4 over the 16 bytes above and the inner flow key, seq, ack */
};

struct notice {
	__u8 version;
	__u8 kind;
	__u16 reserved;
	__be32 flow_id;
	__be64 nonce; /* drawn by the host agent at its start */
	__be64 tag; /* SipHash-2-4 over the 16 bytes above and both outer addresses */
};

/* ---- read-only configuration, set before load ---- */

enum unit_flag {
	UNIT_CLASSIFIES = 1, /* it may bind connections to hosts, not only forward those it knows */
	UNIT_PASSES_OTHER_PORTS = 2, /* what is for a VIP but no service goes to our own stack */
	UNIT_TRANSLATES = 4, /* some service goes by half-NAT or NAT: answers come back to us */
	UNIT_COUNTS_LIVE = 8, /* some pool chooses by live connections */
};

struct unit_config {
	struct siphash_key tag_key;
	struct siphash_key choose_key; /* of hashes that choose an endpoint; equal on all units */
	__u64 flow_seed; /* of the hash that names buckets; drawn at random */
	__u32 flow_masks[2]; /* of IPv4 and IPv6: number of buckets, a power of two, less one */
	__u32 life[FLOW_STATES]; /* ticks without a packet after which a flow in that state is gone */
	__be32 tunnel4;
	__be32 tunnel6[4];
	__be16 bundle_port;
	__u16 mtu; /* between units and hosts */
	__u32 units; /* of the site */
	__u32 cpu_bits; /* low bits of a flow id that name the CPU */
	__be32 nat4; /* our source addresses of NAT; 0: none */
	__be32 nat6[4];
	__u16 nat_first; /* first and last of their ports */
	__u16 nat_last;
	__u32 flags; /* enum unit_flag */
};

#endif
