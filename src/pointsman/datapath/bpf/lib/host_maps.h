/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The host's maps. Sizes given as 1 are set by Python before load. */
#ifndef POINTSMAN_HOST_MAPS_H
#define POINTSMAN_HOST_MAPS_H

#include "host_abi.h"
#include "reasons.h"

const volatile struct host_config config SEC(".rodata.config");

/* mappings4, mappings6: tunnel address and flow id -> the client's 4-tuple (R-E9, R-E10).
 * Owner: tunneler, host end. Writers: bundles. Life: LRU; overwritten when the id is given anew. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct mapping_key4);
	__type(value, struct mapping4);
} mappings4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct mapping_key6);
	__type(value, struct mapping6);
} mappings6 SEC(".maps");

/* tunnels4, tunnels6: tunnel addresses of the cluster's units -> unit index. Only they are believed.
 * Owner: Python (site file). Life: configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __be32);
	__type(value, __u32);
} tunnels4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct in6_key);
	__type(value, __u32);
} tunnels6 SEC(".maps");

/* endpoints4, endpoints6: id of an endpoint of its own, as bundles name it -> where its application listens.
 * Owner: Python (site file). Life: configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __be32);
	__type(value, struct own_endpoint4);
} endpoints4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __be32);
	__type(value, struct own_endpoint6);
} endpoints6 SEC(".maps");

/* vips4, vips6: connection of an endpoint of its own, from the client -> what the client addressed.
 * Owner: tunneler, host end. Writers: bundles. Life: LRU. Size: as mappings. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct flow_key4);
	__type(value, struct vip4);
} vips4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct flow_key6);
	__type(value, struct vip6);
} vips6 SEC(".maps");

/* fragments4, fragments6: what fragments of one packet have in common -> what their addresses become.
 * Owner: tunneler, host end. Writers: first fragments, on the way in and out.
 * Life: LRU; FRAGMENT_TICKS. Size: max_fragments. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct host_fragment_key4);
	__type(value, struct host_fragment4);
} fragments4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct host_fragment_key6);
	__type(value, struct host_fragment6);
} fragments6 SEC(".maps");

/* reasons: enum reason -> packets. Owner: finish(), per CPU. Life: as long as the host's daemon. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASON_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} reasons SEC(".maps");

/* programs: enum host_program -> what the entry tail-calls.
 * Owner: Python, at load. Life: as long as the host's daemon. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, HOST_PROGRAMS);
	__type(key, __u32);
	__type(value, __u32);
} programs SEC(".maps");

#endif
