/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The unit's maps about connection ids. Sizes given as 1 are set by Python before load. */
#ifndef POINTSMAN_QUIC_MAPS_H
#define POINTSMAN_QUIC_MAPS_H

#include "choice_abi.h"

/* quic_configs: service index * QUIC_CONFIGS + configuration -> how its servers make ids.
 * Owner: Python (site file). Life: configuration. Size: 1, and never asked, if no service is QUIC. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct quic_config);
} quic_configs SEC(".maps");

/* quic_servers: service and server id -> endpoint. Owner: Python (site file). Life: configuration. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct quic_server_key);
	__type(value, __u32);
} quic_servers SEC(".maps");

/* aes_tables: [0] = what a round of AES is made of. Owner: Python. Life: as long as the unit. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct aes_tables);
} aes_tables SEC(".maps");

#endif
