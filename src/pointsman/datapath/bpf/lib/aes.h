/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* AES-128 of one block (FIPS 197), by tables: a round is 16 look-ups. Python makes the tables and the
 * round keys (datapath/aes.py), so that what is a secret's is worked out once.
 *
 * Words are columns, their first byte the lowest. Deciphering goes by the equivalent inverse cipher
 * (FIPS 197 §5.3.5), whose round keys differ.
 */
#ifndef POINTSMAN_AES_H
#define POINTSMAN_AES_H

#include "base.h"
#include "quic_maps.h"

struct aes_block {
	__u32 word[4];
};

static __always_inline __u32 aes_turn(__u32 word, int bits)
{
	return word << bits | word >> (32 - bits);
}

/* Column j of a round: one byte of each of four columns, by the table. */
#define AES_COLUMN(table, b, j, step)                                              \
	((table)[(b)->word[j] & 0xff] ^                                            \
	 aes_turn((table)[(b)->word[((j) + (step)) & 3] >> 8 & 0xff], 8) ^         \
	 aes_turn((table)[(b)->word[((j) + 2 * (step)) & 3] >> 16 & 0xff], 16) ^   \
	 aes_turn((table)[(b)->word[((j) + 3 * (step)) & 3] >> 24], 24))

/* The same in the last round, which mixes no columns. */
#define AES_LAST(box, b, j, step)                                                  \
	((__u32)(box)[(b)->word[j] & 0xff] |                                       \
	 (__u32)(box)[(b)->word[((j) + (step)) & 3] >> 8 & 0xff] << 8 |            \
	 (__u32)(box)[(b)->word[((j) + 2 * (step)) & 3] >> 16 & 0xff] << 16 |      \
	 (__u32)(box)[(b)->word[((j) + 3 * (step)) & 3] >> 24] << 24)

static __always_inline void aes_add(struct aes_block *b, const __u32 *key)
{
	for (int j = 0; j < 4; j++)
		b->word[j] ^= key[j];
}

/* step: 1 to encipher, 3 to decipher, for the rows shift the other way. */
static __always_inline void aes_rounds(struct aes_block *block, const __u32 *keys, const __u32 *table,
				       const __u8 *box, const int step)
{
	struct aes_block b = *block, next;

	aes_add(&b, keys);
	for (int round = 1; round < AES_ROUNDS; round++) {
		for (int j = 0; j < 4; j++)
			next.word[j] = AES_COLUMN(table, &b, j, step) ^ keys[4 * round + j];
		b = next;
	}
	for (int j = 0; j < 4; j++)
		block->word[j] = AES_LAST(box, &b, j, step) ^ keys[4 * AES_ROUNDS + j];
}

/* Functions that the verifier walks once. What a block is not, they leave alone. */
__noinline int aes_encipher(struct aes_block *block, const struct quic_config *key)
{
	__u32 zero = 0;
	struct aes_tables *t = bpf_map_lookup_elem(&aes_tables, &zero);

	if (!block || !key || !t)
		return 0;
	aes_rounds(block, key->round_keys, t->encipher, t->box, 1);
	return 1;
}

__noinline int aes_decipher(struct aes_block *block, const struct quic_config *key)
{
	__u32 zero = 0;
	struct aes_tables *t = bpf_map_lookup_elem(&aes_tables, &zero);

	if (!block || !key || !t)
		return 0;
	aes_rounds(block, key->round_keys, t->decipher, t->inverse_box, 3);
	return 1;
}

#endif
