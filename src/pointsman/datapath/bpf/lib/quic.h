/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* QUIC by connection id: which endpoint a datagram names (draft-ietf-quic-load-balancers-21).
 *
 * A server writes its server id into the connection ids that it gives its clients. Their first
 * octet's upper three bits say by which configuration: in plain, as one AES block, or by four passes
 * of AES. So what a datagram says of itself beats the addresses it comes from. Nothing here looks
 * beyond what all versions of QUIC have in common (RFC 8999).
 */
#ifndef POINTSMAN_QUIC_H
#define POINTSMAN_QUIC_H

#include "aes.h"
#include "base.h"
#include "deck.h"
#include "quic_maps.h"

#define QUIC_LONG 0x80 /* in the first byte: a long header (RFC 8999 §5) */
#define QUIC_ID_AT_SHORT 1
#define QUIC_ID_AT_LONG 6 /* behind version and length */
#define QUIC_ID_MAX 20
#define QUIC_HEAD (QUIC_ID_AT_LONG + QUIC_ID_MAX)
#define QUIC_ROTATION 5 /* shift of the configuration's number in an id's first octet */

union quic_half {
	__u64 part[2];
	struct aes_block block;
};

/* What the stack has no room for: [0] = this CPU's. Owner: quic_named(). Life: one datagram. */
struct quic_room {
	__u8 head[QUIC_HEAD + 22]; /* the datagram's beginning; ids are copied with what lies behind */
	__u8 id[48]; /* without its first octet */
	union quic_half left, right, pass;
	__u8 plain[32];
	struct quic_server_key key;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct quic_room);
} quic_room SEC(".maps");

/* One pass of the four: `from` enciphered, over `onto`, as much as a half has. */
static __always_inline void quic_pass(struct quic_room *room, const struct quic_config *c,
				      const union quic_half *from, union quic_half *onto,
				      const __u64 *mask, __u32 number)
{
	room->pass = *from;
	room->pass.block.word[3] |= (__u32)(c->server_id_bytes + c->nonce_bytes) << 16 | number << 24;
	aes_encipher(&room->pass.block, c);
	for (int i = 0; i < 2; i++)
		onto->part[i] = (onto->part[i] ^ room->pass.part[i]) & mask[i];
}

/* room->id -> room->plain, by the draft's four passes backwards. The halves overlap in one byte, a
 * nibble each, if their sum is odd. Masks take away what is no half's. */
static __always_inline void quic_four_passes(struct quic_room *room, const struct quic_config *c)
{
	__u32 second = (c->server_id_bytes + c->nonce_bytes) / 2 & 15;

	for (int i = 0; i < 2; i++) {
		room->left.part[i] = *(__u64 *)(room->id + 8 * i) & c->left_mask[i];
		room->right.part[i] = *(__u64 *)(room->id + second + 8 * i) & c->right_mask[i];
	}
	quic_pass(room, c, &room->right, &room->left, c->left_mask, 4);
	quic_pass(room, c, &room->left, &room->right, c->right_mask, 3);
	quic_pass(room, c, &room->right, &room->left, c->left_mask, 2);
	if (c->server_id_bytes > c->nonce_bytes)
		quic_pass(room, c, &room->left, &room->right, c->right_mask, 1);
	__builtin_memset(room->plain, 0, sizeof(room->plain));
	for (int i = 0; i < 2; i++)
		*(__u64 *)(room->plain + 8 * i) = room->left.part[i];
	for (int i = 0; i < 2; i++)
		*(__u64 *)(room->plain + second + 8 * i) |= room->right.part[i];
}

/* The endpoint whose server id stands in room->id. */
static __always_inline __u32 quic_server(struct quic_room *room, const struct quic_config *c, __u32 service)
{
	__u32 *endpoint;

	switch (c->cipher) {
	case QUIC_PLAIN:
		__builtin_memcpy(room->plain, room->id, 16);
		break;
	case QUIC_SINGLE_PASS:
		__builtin_memcpy(&room->pass, room->id, 16);
		aes_decipher(&room->pass.block, c);
		__builtin_memcpy(room->plain, &room->pass, 16);
		break;
	default:
		quic_four_passes(room, c);
	}
	room->key.service = service;
	for (int i = 0; i < 2; i++)
		*(__u64 *)(room->key.server_id + 8 * i) =
			*(__u64 *)(room->plain + 8 * i) & c->server_id_mask[i];
	endpoint = bpf_map_lookup_elem(&quic_servers, &room->key);
	return endpoint ? *endpoint : NO_CARD;
}

/* The endpoint that a datagram names, or NO_CARD. Its payload begins at `at` of the frame.
 * An id of a known server that is longer than it need be is good; one of more than QUIC_ID_MAX
 * bytes is no server's. */
__noinline __u32 quic_named(struct xdp_md *ctx, __u32 service, __u32 at, __u32 bytes)
{
	__u32 zero = 0, read = bytes < QUIC_HEAD ? bytes : QUIC_HEAD, id_bytes, number;
	struct quic_room *room = bpf_map_lookup_elem(&quic_room, &zero);
	const struct quic_config *c;
	__u8 first;

	if (!room || read <= QUIC_ID_AT_SHORT || bpf_xdp_load_bytes(ctx, at, room->head, read))
		return NO_CARD;
	if (room->head[0] & QUIC_LONG) {
		id_bytes = room->head[QUIC_ID_AT_LONG - 1];
		if (read <= QUIC_ID_AT_LONG || id_bytes > QUIC_ID_MAX || id_bytes > read - QUIC_ID_AT_LONG)
			return NO_CARD;
		first = room->head[QUIC_ID_AT_LONG];
		__builtin_memcpy(room->id, room->head + QUIC_ID_AT_LONG + 1, 32);
	} else {
		id_bytes = read - QUIC_ID_AT_SHORT;
		first = room->head[QUIC_ID_AT_SHORT];
		__builtin_memcpy(room->id, room->head + QUIC_ID_AT_SHORT + 1, 32);
	}
	number = service * QUIC_CONFIGS + (first >> QUIC_ROTATION);
	c = bpf_map_lookup_elem(&quic_configs, &number);
	if (!c || !c->server_id_bytes || id_bytes <= c->server_id_bytes + c->nonce_bytes)
		return NO_CARD;
	return quic_server(room, c, service);
}

#endif
