/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Flow id -> the client's addresses and ports, one family at a time (R-E9). */
#ifndef POINTSMAN_MAPPINGS_H
#define POINTSMAN_MAPPINGS_H

#include "base.h"
#include "packet.h"
#include "skb.h"

union mapping_key {
	struct mapping_key4 v4;
	struct mapping_key6 v6;
};

/* ip: the outer header, in the packet. */
static __always_inline void mapping_key_from(union mapping_key *key, const void *ip, __be32 flow_id,
					     const bool v6)
{
	if (v6) {
		__builtin_memcpy(key->v6.tunnel, &((const struct ipv6hdr *)ip)->saddr, 16);
		key->v6.flow_id = flow_id;
	} else {
		key->v4.tunnel = ((const struct iphdr *)ip)->saddr;
		key->v4.flow_id = flow_id;
	}
}

/* The same by a copy, where no pointer into the packet is at hand. */
static __always_inline long mapping_key_load(union mapping_key *key, struct __sk_buff *skb, __be32 flow_id,
					     const bool v6)
{
	if (v6)
		key->v6.flow_id = flow_id;
	else
		key->v4.flow_id = flow_id;
	return bpf_skb_load_bytes(skb, addresses_at(v6), key, address_bytes(v6));
}

/* What is known of a flow id, in either family. */
struct mapping {
	const void *client; /* struct flow_key4 or flow_key6, in the map */
	__u32 *flags;
	__u32 learnt;
	__u32 proto;
};

static __always_inline bool mapping_find(struct mapping *m, const union mapping_key *key, const bool v6)
{
	if (v6) {
		struct mapping6 *m6 = bpf_map_lookup_elem(&mappings6, &key->v6);

		if (m6)
			*m = (struct mapping){ &m6->key, &m6->flags, m6->learnt, m6->key.proto };
		return m6;
	}
	struct mapping4 *m4 = bpf_map_lookup_elem(&mappings4, &key->v4);

	if (m4)
		*m = (struct mapping){ &m4->key, &m4->flags, m4->learnt, m4->key.proto };
	return m4;
}

/* enum mapping_flag of the flow id, if it is known to stand for just this connection. */
static __always_inline bool mapping_flags(const union mapping_key *key, const union flow_key *client,
					  __u32 *flags, const bool v6)
{
	struct mapping m;

	if (!mapping_find(&m, key, v6) ||
	    (v6 ? __builtin_memcmp(m.client, client, sizeof(client->v6)) :
		  __builtin_memcmp(m.client, client, sizeof(client->v4))))
		return false;
	*flags = *m.flags;
	return true;
}

static __always_inline bool mapping_is(const union mapping_key *key, const union flow_key *client,
				       const bool v6)
{
	__u32 flags;

	return mapping_flags(key, client, &flags, v6);
}

/* ... and its socket was seen: it has been uploaded before. */
static __always_inline bool mapping_is_used(const union mapping_key *key,
					    const union flow_key *client, const bool v6)
{
	__u32 flags;

	return mapping_flags(key, client, &flags, v6) && flags & MAPPING_CONFIRMED;
}

static __always_inline long mapping_learn(const union mapping_key *key, const union flow_key *client,
					  __u32 flags, const bool v6)
{
	if (v6) {
		struct mapping6 m = { .key = client->v6, .learnt = tick_now(), .flags = flags };

		return bpf_map_update_elem(&mappings6, &key->v6, &m, BPF_ANY);
	}
	struct mapping4 m = { .key = client->v4, .learnt = tick_now(), .flags = flags };

	return bpf_map_update_elem(&mappings4, &key->v4, &m, BPF_ANY);
}

#endif
