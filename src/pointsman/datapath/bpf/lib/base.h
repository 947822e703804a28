/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What every program includes first: kernel headers and words the kernel's headers lack. */
#ifndef POINTSMAN_BASE_H
#define POINTSMAN_BASE_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"
#include "reasons.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tags and cookies are hashed as little-endian words");

#define IP_DF 0x4000
#define IP_FRAGMENT 0x3fff /* more-fragments bit and offset */
#define IP_OFFSET 0x1fff

/* Verdicts of a tcx program (enum tcx_action_base, Linux >= 6.6); Debian 12's headers are older. */
#define TC_NEXT (-1)
#define TC_DROP 2

static __always_inline __u32 tick_now(void)
{
	return bpf_ktime_get_coarse_ns() >> TICK_SHIFT;
}

#endif
