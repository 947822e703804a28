/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Steps over a PROXY protocol header, version 1 or 2, in front of a client's first data. The
 * application gets it as it came; only the rules look behind it. */
#ifndef POINTSMAN_PROXY_PROTOCOL_H
#define POINTSMAN_PROXY_PROTOCOL_H

#include "base.h"
#include "scratch.h"

#define PROXY1_MAX 107 /* bytes of a version 1 header, its CR LF included */
#define PROXY1 "PROXY "
#define PROXY1_BYTES (sizeof(PROXY1) - 1)
#define PROXY2 "\r\n\r\n\0\r\nQUIT\n"
#define PROXY2_BYTES (sizeof(PROXY2) - 1)
#define PROXY2_HEADER 16 /* signature, version and command, family, length of what follows */

struct proxy_reader {
	const struct scratch *s;
	__u32 pos;
};

static long proxy1_step(__u32 index, void *context)
{
	struct proxy_reader *r = context;

	if (segment16(r->s, r->pos) == ('\r' << 8 | '\n'))
		return 1;
	r->pos++;
	return 0;
}

/* Where the data behind the header begins; after `end` if there is no whole header there. */
__noinline int proxy_skip(__u32 start, __u32 end)
{
	struct proxy_reader r = { .s = scratch_get(), .pos = start + PROXY1_BYTES };

	if (!r.s)
		return end + 1;
	if (segment_begins(r.s, start, PROXY1, PROXY1_BYTES)) {
		bpf_loop(PROXY1_MAX - PROXY1_BYTES - 2, proxy1_step, &r, 0);
		if (segment16(r.s, r.pos) != ('\r' << 8 | '\n'))
			return end + 1;
		return r.pos + 2;
	}
	if (start + PROXY2_HEADER > end || !segment_begins(r.s, start, PROXY2, PROXY2_BYTES) ||
	    segment8(r.s, start + 12) >> 4 != 2)
		return end + 1;
	return start + PROXY2_HEADER + segment16(r.s, start + 14);
}

#endif
