/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Which service a packet is for. */
#ifndef POINTSMAN_SERVICE_H
#define POINTSMAN_SERVICE_H

#include "base.h"
#include "finish.h"
#include "packet.h"

#define VIP_MARK 0 /* the protocol and port under which an address is found to be a VIP */

static __always_inline struct service *service_find(const struct packet *p, __be16 port, __u8 proto,
						    const bool v6)
{
	struct service_key4 key4 = { .port = port, .proto = proto };
	struct service_key6 key6 = { .port = port, .proto = proto };

	if (v6) {
		__builtin_memcpy(key6.addr, &p->ip6->daddr, sizeof(key6.addr));
		return bpf_map_lookup_elem(&services6, &key6);
	}
	key4.addr = p->ip4->daddr;
	return bpf_map_lookup_elem(&services4, &key4);
}

/* The same by ranges of ports. */
static __always_inline struct service *range_find(const struct packet *p, __be16 port, __u8 proto,
						  const bool v6)
{
	struct range_key4 key4 = { .prefixlen = 64, .port = port, .proto = proto };
	struct range_key6 key6 = { .prefixlen = 160, .port = port, .proto = proto };

	if (v6) {
		__builtin_memcpy(key6.addr, &p->ip6->daddr, sizeof(key6.addr));
		return bpf_map_lookup_elem(&ranges6, &key6);
	}
	key4.addr = p->ip4->daddr;
	return bpf_map_lookup_elem(&ranges4, &key4);
}

static __always_inline struct service *service_of(const struct packet *p, const bool v6)
{
	struct service *service = service_find(p, p->udp->dest, p->proto, v6);

	return service ? service : range_find(p, p->udp->dest, p->proto, v6);
}

/* For an address of ours? The IP header must be known to be there. */
static __always_inline bool to_vip(const struct packet *p, const bool v6)
{
	return service_find(p, VIP_MARK, VIP_MARK, v6) != NULL;
}

/* The end of a packet that is for no service, and no answer of half-NAT or NAT. */
static __always_inline int no_service(const struct packet *p, const bool v6)
{
	if (!to_vip(p, v6))
		return finish(REASON_NOT_OURS, XDP_PASS);
	return config.flags & UNIT_PASSES_OTHER_PORTS ? finish(REASON_OTHER_PORT, XDP_PASS) :
					 finish(REASON_NO_SERVICE, XDP_DROP);
}

/* A packet that is for no service may be an answer. */
static __always_inline int no_service_here(struct xdp_md *ctx, const struct packet *p, const bool v6)
{
	if (config.flags & UNIT_TRANSLATES)
		bpf_tail_call(ctx, &programs, v6 ? PROGRAM_TRANSLATE6 : PROGRAM_TRANSLATE4);
	return no_service(p, v6);
}

#endif
