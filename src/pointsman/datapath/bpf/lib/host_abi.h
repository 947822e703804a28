/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The host's part of what the packet programs share with Python: see abi.h, whose rules hold here. */
#ifndef POINTSMAN_HOST_ABI_H
#define POINTSMAN_HOST_ABI_H

#include "abi.h"

/* What the host's entry tail-calls; the programs bear these names. */
enum host_program {
	HOST_BUNDLE4 = 0, /* bundles */
	HOST_BUNDLE6 = 1,
	HOST_UNKNOWN4 = 2, /* a flow id that nobody taught us */
	HOST_UNKNOWN6 = 3,
	HOST_FRAGMENT4 = 4,
	HOST_FRAGMENT6 = 5,
	HOST_ERROR4 = 6, /* bundles with ICMP errors */
	HOST_ERROR6 = 7,
	HOST_LEAVE_REST4 = 8, /* on the way out: fragments and ICMP errors */
	HOST_LEAVE_REST6 = 9,
	HOST_PROGRAMS = 10,
};

struct mapping_key4 {
	__be32 tunnel;
	__be32 flow_id;
};

struct mapping_key6 {
	__be32 tunnel[4];
	__be32 flow_id;
};

enum mapping_flag {
	MAPPING_UPLOADED = 1, /* by upload: until its socket is seen, stray segments must not draw a RST */
	MAPPING_CONFIRMED = 2, /* its socket was seen */
};

struct mapping4 {
	struct flow_key4 key;
	__u32 learnt; /* tick */
	__u32 flags; /* enum mapping_flag */
};

struct mapping6 {
	struct flow_key6 key;
	__u32 learnt;
	__u32 flags;
};

/* A fragment, by what all fragments of its packet have in common. */
struct host_fragment_key4 {
	__be32 saddr;
	__be32 daddr;
	__u32 id; /* as in the packet */
	__u32 proto;
};

struct host_fragment_key6 {
	__be32 saddr[4];
	__be32 daddr[4];
	__u32 id;
	__u32 proto;
};

/* What the first fragment's addresses became, and so must those of the others. */
struct host_fragment4 {
	__be32 saddr;
	__be32 daddr;
	__u32 seen; /* tick of the first one */
};

struct host_fragment6 {
	__be32 saddr[4];
	__be32 daddr[4];
	__u32 seen;
};

/* An endpoint of the host's own: where its application listens. */
struct own_endpoint4 {
	__be32 addr;
	__be16 port; /* 0: the one that the client named */
	__u16 reserved;
};

struct own_endpoint6 {
	__be32 addr[4];
	__be16 port;
	__u16 reserved;
};

/* What the client of a connection with such an endpoint believes to talk to. Its key is the connection as
 * a mapping has it: from the client to the endpoint. */
struct vip4 {
	__be32 addr;
	__be16 port;
	__u16 reserved;
	__u32 seen; /* tick of the last bundle or answer */
};

struct vip6 {
	__be32 addr[4];
	__be16 port;
	__u16 reserved;
	__u32 seen;
};

/* Read-only configuration, set before load. */
struct host_config {
	struct siphash_key tag_key;
	__be64 nonce;
	__be16 bundle_port;
	__u16 reserved;
	__u32 datagram_life; /* ticks without a packet after which a flow that is no TCP is over */
};

#endif
