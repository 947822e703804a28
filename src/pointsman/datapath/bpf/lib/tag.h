/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Tags of bundles and notices: SipHash under the cluster's key (docs/wire/bundle.md). */
#ifndef POINTSMAN_TAG_H
#define POINTSMAN_TAG_H

#include "base.h"
#include "packet.h"
#include "siphash.h"

#define TAGGED_BYTES offsetof(struct bundle, tag)
_Static_assert(TAGGED_BYTES == 16 && offsetof(struct notice, tag) == 16, "headers are two words");
_Static_assert(sizeof(struct bundle) == 24 && sizeof(struct notice) == 24, "as on the wire");

/* Copies a key out of read-only configuration, which is volatile. */
#define TAG_KEY() ((struct siphash_key){ config.tag_key.k0, config.tag_key.k1 })

/* Bytes that a bundle puts in front of the client's packet, MAC header apart. */
static __always_inline __u32 bundle_room(const bool v6)
{
	return ip_header_bytes(v6) + sizeof(struct udphdr) + sizeof(struct bundle);
}

/* What a tag covers: our header, and of the carried packet what says whose it is. */
struct tagged4 {
	__u64 header[2];
	struct flow_key4 key;
	__be32 seq;
	__be32 ack;
};

struct tagged6 {
	__u64 header[2];
	struct flow_key6 key;
	__be32 seq;
	__be32 ack;
};
_Static_assert(sizeof(struct tagged4) == 5 * 8 && sizeof(struct tagged6) == 8 * 8, "whole words");

union tagged {
	struct tagged4 v4;
	struct tagged6 v6;
};

/* t: all but the header is there. seq and ack are 0 of what is no TCP. */
static __always_inline __u64 tag_make(union tagged *t, const struct bundle *b, const bool v6)
{
	struct siphash_key secret = TAG_KEY();

	__builtin_memcpy(t, b, TAGGED_BYTES);
	return siphash((const __u64 *)t, (v6 ? sizeof(t->v6) : sizeof(t->v4)) / 8, &secret);
}

/* addresses: source and destination of the notice, 8 or 32 bytes. */
static __always_inline __u64 notice_tag(const struct notice *n, const void *addresses, const bool v6,
					const struct siphash_key *secret)
{
	__u64 words[2 + 4] = {};

	__builtin_memcpy(words, n, TAGGED_BYTES);
	__builtin_memcpy(words + 2, addresses, v6 ? 32 : 8);
	return siphash(words, v6 ? 6 : 3, secret);
}

#endif
