/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* From a flow id back to its route, for ICMP errors that quote tunnelled packets.
 *
 * Ids are given out in sequence, so an array whose index is an id's low bits remembers the latest
 * max_flows of them: 4 bytes each, the bucket. The id in the route itself says whether it is the one.
 */
#ifndef POINTSMAN_FLOW_IDS_H
#define POINTSMAN_FLOW_IDS_H

#include "base.h"
#include "flow_table.h"

#define IDS_A_BUCKET (FLOW_WAYS / 2) /* the table of routes is max_flows, twice over */

static __always_inline __u32 *id_place(__be32 flow_id, const bool v6)
{
	__u32 index = bpf_ntohl(flow_id) & (config.flow_masks[v6] * IDS_A_BUCKET + IDS_A_BUCKET - 1);

	return v6 ? bpf_map_lookup_elem(&ids6, &index) : bpf_map_lookup_elem(&ids4, &index);
}

/* bucket: of the route that has been stored with this id. */
static __always_inline void flow_id_note(__be32 flow_id, __u32 bucket, const bool v6)
{
	__u32 *place = id_place(flow_id, v6);

	if (place)
		*place = bucket;
}

/* The slot of the living route with this id: its key, then the route. NULL if there is none. */
static __always_inline void *flow_by_id(__be32 flow_id, const bool v6)
{
	__u32 *place = id_place(flow_id, v6), now = tick_now();
	void *bucket = place ? bucket_get(*place, v6) : NULL;
	const struct flow_head *head = bucket;

	if (!bucket)
		return NULL;
	for (int i = 0; i < FLOW_WAYS; i++) {
		void *slot = slot_at(bucket, i, v6);
		struct flow *flow = slot_flow(slot, v6);

		if (head->prints[i] != FREE_PRINT && flow->flow_id == flow_id && flow_alive(flow, now))
			return slot;
	}
	return NULL;
}

#endif
