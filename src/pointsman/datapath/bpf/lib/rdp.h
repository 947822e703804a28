/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reads the user's name out of an RDP connection request (MS-RDPBCGR §2.2.1.1): a TPKT (RFC 1006)
 * that holds an X.224 connection request, in it "Cookie: mstshash=NAME\r\n". A request with a routing
 * token instead, or with neither, has no name; a name cut off by the segment's end is undecided.
 */
#ifndef POINTSMAN_RDP_H
#define POINTSMAN_RDP_H

#include "base.h"
#include "conditions.h"
#include "scratch.h"

#define TPKT_VERSION 3
#define X224_CONNECTION_REQUEST 0xe0
#define RDP_HEADERS 11 /* TPKT and the fixed part of the X.224 request */
#define RDP_REQUEST_MAX 259 /* the X.224 part's length is a byte, 255 is reserved */
#define RDP_COOKIE "Cookie: mstshash="
#define RDP_COOKIE_BYTES (sizeof(RDP_COOKIE) - 1)

struct rdp_reader {
	struct scratch *s;
	__u32 pos;
	__u32 end;
};

/* A byte of the name, put into lower case; the end of it stops. */
static long rdp_step(__u32 index, void *context)
{
	struct rdp_reader *r = context;
	__u8 c = segment8(r->s, r->pos);

	if (r->pos >= r->end || r->pos >= SEGMENT_MAX || c == '\r')
		return 1;
	if (is_upper(c))
		r->s->segment[r->pos] = c | 0x20;
	r->pos++;
	return 0;
}

/* Reads segment[start, end); what the rules ask of it is in found afterwards. */
__noinline int rdp_read(__u32 start, __u32 end)
{
	struct rdp_reader r = { .s = scratch_get(), .pos = start + RDP_HEADERS, .end = end };
	__u32 bytes, name;

	if (!r.s || r.pos > end)
		return UNDECIDED;
	bytes = segment16(r.s, start + 2);
	if (segment8(r.s, start) != TPKT_VERSION || bytes < RDP_HEADERS || bytes > RDP_REQUEST_MAX ||
	    segment8(r.s, start + 4) != bytes - 5 || segment8(r.s, start + 5) != X224_CONNECTION_REQUEST)
		return UNDECIDED;
	if (r.end > start + bytes)
		r.end = start + bytes;
	if (r.pos + RDP_COOKIE_BYTES > r.end)
		return r.end < start + bytes ? UNDECIDED : DECIDED;
	if (!segment_begins(r.s, r.pos, RDP_COOKIE, RDP_COOKIE_BYTES))
		return DECIDED;
	name = r.pos += RDP_COOKIE_BYTES;
	bpf_loop(RDP_REQUEST_MAX, rdp_step, &r, 0);
	if (r.pos + 2 > r.end || segment16(r.s, r.pos) != ('\r' << 8 | '\n'))
		return UNDECIDED;
	look_up(MATCH_MSTSHASH, name, r.pos - name, 0, 0);
	return DECIDED;
}

#endif
