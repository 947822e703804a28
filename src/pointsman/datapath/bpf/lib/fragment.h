/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Words of IP fragmentation (RFC 791, 8200 §4.5). */
#ifndef POINTSMAN_FRAGMENT_H
#define POINTSMAN_FRAGMENT_H

#include "base.h"

#define IP_OFFSET 0x1fff /* in 8 bytes */
#define IP_MORE 0x2000
#define IP6_OFFSET 0xfff8 /* in bytes */
#define IP6_MORE 1

struct fragment_header {
	__u8 nexthdr;
	__u8 reserved;
	__be16 offset;
	__be32 id;
};

#endif
