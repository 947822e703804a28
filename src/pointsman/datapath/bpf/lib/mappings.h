/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Flow id -> the client's addresses and ports, one family at a time (R-E9). */
#ifndef POINTSMAN_MAPPINGS_H
#define POINTSMAN_MAPPINGS_H

#include "base.h"
#include "open_bundle.h"

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

static __always_inline struct mapping4 *mapping_find4(const union mapping_key *key)
{
	return bpf_map_lookup_elem(&mappings4, &key->v4);
}

static __always_inline struct mapping6 *mapping_find6(const union mapping_key *key)
{
	return bpf_map_lookup_elem(&mappings6, &key->v6);
}

/* enum mapping_flag of the flow id, if it is known to stand for just this connection. */
static __always_inline bool mapping_flags(const union mapping_key *key, const union flow_key *client,
					  __u32 *flags, const bool v6)
{
	if (v6) {
		struct mapping6 *m = mapping_find6(key);

		if (!m || __builtin_memcmp(&m->key, &client->v6, sizeof(m->key)))
			return false;
		*flags = m->flags;
		return true;
	}
	struct mapping4 *m = mapping_find4(key);

	if (!m || __builtin_memcmp(&m->key, &client->v4, sizeof(m->key)))
		return false;
	*flags = m->flags;
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
