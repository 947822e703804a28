/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reads the server name and the ALPN protocols out of a TLS ClientHello (RFC 8446 §4.1.2, 6066 §3,
 * 7301 §3.1), of TLS 1.3 and of older versions that have extensions.
 *
 * Nothing is understood but lengths and the two extensions, in any order and among any others. A
 * hello longer than the segment, or than its first record, is read as far as it is there: it is
 * decided if all that the rules ask for was seen, or is known to be missing. One whose lengths
 * contradict each other, or that repeats what it may say once, is undecided.
 */
#ifndef POINTSMAN_TLS_H
#define POINTSMAN_TLS_H

#include "base.h"
#include "conditions.h"
#include "scratch.h"

#define TLS_HANDSHAKE 22
#define TLS_CLIENT_HELLO 1
#define TLS_RECORD_MAX 16384
#define TLS_SERVER_NAME 0
#define TLS_ALPN 16

struct tls_reader {
	struct scratch *s;
	__u32 pos;
	__u32 seen; /* where the part that is here ends */
	__u32 end; /* where the hello ends, here or in a segment to come */
	__u32 missing; /* bits of classes asked for and not seen yet */
	__u8 decision; /* enum decision */
};

/* Whether the next bytes are here, all of them; steps over them. */
static __always_inline bool tls_skip(struct tls_reader *r, __u32 bytes)
{
	r->pos += bytes;
	return r->pos <= r->seen;
}

/* One name of type host_name is all that RFC 6066 has. */
static __always_inline bool tls_server_name(__u32 at, __u32 bytes, const struct scratch *s)
{
	__u32 name = bytes >= 5 ? segment16(s, at + 3) : 0;

	if (!name || segment16(s, at) != bytes - 2 || segment8(s, at + 2) || name > bytes - 5)
		return false;
	look_up_name(at + 5, name);
	return true;
}

struct alpn_reader {
	struct scratch *s;
	__u32 pos;
	__u32 end;
};

static long alpn_step(__u32 index, void *context)
{
	struct alpn_reader *r = context;
	__u32 bytes = segment8(r->s, r->pos);

	if (r->pos >= r->end || !bytes || r->pos + 1 + bytes > r->end)
		return 1;
	look_up(MATCH_ALPN, r->pos + 1, bytes, 0, 0);
	r->pos += 1 + bytes;
	return 0;
}

static __always_inline bool tls_alpn(__u32 at, __u32 bytes, struct scratch *s)
{
	struct alpn_reader r = { .s = s, .pos = at + 2, .end = at + bytes };

	if (bytes < 4 || segment16(s, at) != bytes - 2)
		return false;
	bpf_loop(SEGMENT_MAX / 2, alpn_step, &r, 0);
	return r.pos == r.end;
}

/* An extension; says whether to stop. */
static long tls_step(__u32 index, void *context)
{
	struct tls_reader *r = context;
	__u32 at = r->pos + 4, type, bytes, class;
	bool good;

	if (r->pos == r->end) {
		r->decision = DECIDED;
		return 1;
	}
	if (at > r->seen)
		return 1;
	type = segment16(r->s, r->pos);
	bytes = segment16(r->s, r->pos + 2);
	r->pos = at + bytes;
	if (r->pos > r->end)
		return 1;
	if (type != TLS_SERVER_NAME && type != TLS_ALPN)
		return 0;
	class = type == TLS_ALPN ? MATCH_ALPN : MATCH_HOST;
	if (!asks(r->s, class))
		return 0;
	if (r->pos > r->seen || !(r->missing & 1 << class))
		return 1;
	good = type == TLS_ALPN ? tls_alpn(at, bytes, r->s) : tls_server_name(at, bytes, r->s);
	r->missing &= ~(1 << class);
	if (good && !r->missing)
		r->decision = DECIDED;
	return !good || !r->missing;
}

/* Steps over everything before the extensions; false if that is no hello, or does not end here. */
static __always_inline bool tls_to_extensions(struct tls_reader *r, __u32 end)
{
	const struct scratch *s = r->s;
	__u32 start = r->pos, record, hello, bytes;

	r->seen = end;
	if (!tls_skip(r, 9))
		return false;
	record = segment16(s, start + 3);
	hello = segment16(s, start + 7);
	if (segment8(s, start) != TLS_HANDSHAKE || segment8(s, start + 1) != 3 || record < 4 ||
	    record > TLS_RECORD_MAX || segment8(s, start + 5) != TLS_CLIENT_HELLO || segment8(s, start + 6))
		return false;
	r->end = start + 9 + hello;
	if (r->seen > start + 5 + record)
		r->seen = start + 5 + record; /* behind it is another record's head */
	if (r->seen > r->end)
		r->seen = r->end;
	/* Version and random, then session id, cipher suites, compression methods. */
	if (!tls_skip(r, 35) || segment8(s, r->pos - 35) != 3)
		return false;
	bytes = segment8(s, r->pos - 1);
	if (bytes > 32 || !tls_skip(r, bytes + 2))
		return false;
	bytes = segment16(s, r->pos - 2);
	if (!bytes || bytes & 1 || !tls_skip(r, bytes + 1))
		return false;
	bytes = segment8(s, r->pos - 1);
	return bytes && tls_skip(r, bytes);
}

/* Reads segment[start, end); what the rules ask of it is in found afterwards. */
__noinline int tls_read(__u32 start, __u32 end)
{
	struct tls_reader r = { .s = scratch_get(), .pos = start, .decision = UNDECIDED };

	if (!r.s || !tls_to_extensions(&r, end))
		return UNDECIDED;
	if (r.pos == r.end)
		return DECIDED; /* a client that knows no extensions */
	if (!tls_skip(&r, 2) || r.pos + segment16(r.s, r.pos - 2) != r.end)
		return UNDECIDED;
	r.missing = r.s->classes;
	bpf_loop(SEGMENT_MAX / 4, tls_step, &r, 0);
	return r.decision;
}

#endif
