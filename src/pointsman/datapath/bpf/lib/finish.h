/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* The one exit: every outcome is counted, by reason, exactly once. Include after the maps. */
#ifndef POINTSMAN_FINISH_H
#define POINTSMAN_FINISH_H

#include "base.h"

static __always_inline int finish(enum reason reason, int verdict)
{
	__u32 index = reason;
	__u64 *count = bpf_map_lookup_elem(&reasons, &index);

	if (count)
		*count += 1;
	return verdict;
}

#endif
