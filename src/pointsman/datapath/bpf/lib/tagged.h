/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* VLAN tags (802.1Q, 802.1ad): up to two are taken off and put on again on whatever becomes of the frame. */
#ifndef POINTSMAN_TAGGED_H
#define POINTSMAN_TAGGED_H

#include "base.h"

#define MAC_BYTES (2 * ETH_ALEN)
#define TAG_BYTES 4

struct tags {
	__u8 bytes[2 * TAG_BYTES]; /* as they stand behind the MAC addresses */
	__u32 count;
};

static __always_inline bool is_tag(__be16 proto)
{
	return proto == bpf_htons(ETH_P_8021Q) || proto == bpf_htons(ETH_P_8021AD);
}

/* Moves the MAC addresses over or away from where tags lie. */
static __always_inline bool tags_move(struct xdp_md *ctx, int bytes)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u8 mac[MAC_BYTES];

	if (data + MAC_BYTES > end)
		return false;
	__builtin_memcpy(mac, data, sizeof(mac));
	if (bpf_xdp_adjust_head(ctx, bytes))
		return false;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	if (data + MAC_BYTES > end)
		return false;
	__builtin_memcpy(data, mac, sizeof(mac));
	return true;
}

/* Takes all tags off, if there are one or two in front of IP. */
static __always_inline bool tags_pop(struct xdp_md *ctx, struct tags *tags)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__be16 *inner;

	if (data + MAC_BYTES + 2 * TAG_BYTES + 2 > end)
		return false;
	__builtin_memcpy(tags->bytes, data + MAC_BYTES, sizeof(tags->bytes));
	inner = data + MAC_BYTES + TAG_BYTES;
	tags->count = 1;
	if (is_tag(*inner)) {
		inner = data + MAC_BYTES + 2 * TAG_BYTES;
		tags->count = 2;
	}
	if (*inner != bpf_htons(ETH_P_IP) && *inner != bpf_htons(ETH_P_IPV6))
		return false;
	return tags_move(ctx, tags->count * TAG_BYTES);
}

/* False if the kernel refuses, which it has no cause to: they lay there before, or there is the room
 * that drivers leave in front of frames. */
static __always_inline bool tags_push(struct xdp_md *ctx, const struct tags *tags)
{
	__u32 bytes = tags->count * TAG_BYTES;

	return tags_move(ctx, -(int)bytes) && !bpf_xdp_store_bytes(ctx, MAC_BYTES, (void *)tags->bytes, bytes);
}

#endif
