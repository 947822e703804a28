/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the host program reads of the kernel's sockets (CO-RE: the loader finds the true offsets). */
#ifndef POINTSMAN_SOCKETS_H
#define POINTSMAN_SOCKETS_H

#include "base.h"
#include "packet.h"

/* enum of include/net/tcp_states.h */
#define STATE_LISTEN 10

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct tcp_sock {
	__u32 rcv_nxt;
	__u64 bytes_received;
};

struct sock_common {
	__u32 skc_tw_rcv_nxt;
};

struct inet_timewait_sock {
	struct sock_common __tw_common;
};

struct tcp_timewait_sock {
	struct inet_timewait_sock tw_sk;
};

struct tcp_request_sock {
	__u32 rcv_nxt;
};
#pragma clang attribute pop

/* struct bpf_tcp_req_attrs of Linux >= 6.8, include/linux/bpf.h */
struct bpf_tcp_req_attrs {
	__u32 rcv_tsval;
	__u32 rcv_tsecr;
	__u16 mss;
	__u8 rcv_wscale;
	__u8 snd_wscale;
	__u8 ecn_ok;
	__u8 wscale_ok;
	__u8 sack_ok;
	__u8 tstamp_ok;
	__u8 usec_ts_ok;
	__u8 reserved[3];
};

struct sock {
	__u32 unused; /* the loader wants a whole struct where the kernel's prototype has one */
};

extern int bpf_sk_assign_tcp_reqsk(struct __sk_buff *skb, struct sock *listener,
				   struct bpf_tcp_req_attrs *attrs, int attrs__sz) __ksym;

/* The socket, of whatever state, that the stack would give a packet of this 4-tuple. */
static __always_inline struct bpf_sock *socket_find(struct __sk_buff *skb, const void *key,
						    const bool v6)
{
	struct bpf_sock_tuple tuple = {};

	/* struct flow_key4 and flow_key6 begin as the tuple's two halves. */
	__builtin_memcpy(&tuple, key, v6 ? sizeof(tuple.ipv6) : sizeof(tuple.ipv4));
	return bpf_skc_lookup_tcp(skb, &tuple, v6 ? sizeof(tuple.ipv6) : sizeof(tuple.ipv4),
				  BPF_F_CURRENT_NETNS, 0);
}
_Static_assert(offsetof(struct flow_key4, proto) == sizeof(((struct bpf_sock_tuple *)0)->ipv4) &&
	       offsetof(struct flow_key6, proto) == sizeof(((struct bpf_sock_tuple *)0)->ipv6), "same layout");

/* Whether the stack has a connection with this 4-tuple, of whatever state. */
static __always_inline bool socket_lives(struct __sk_buff *skb, const void *key, const bool v6)
{
	struct bpf_sock *skc = socket_find(skb, key, v6);
	__u32 state;

	if (!skc)
		return false;
	state = skc->state;
	bpf_sk_release(skc);
	return state != STATE_LISTEN;
}

/* What a socket expects from its peer next: what a RST must carry to be believed (RFC 5961 §3). */
struct expectation {
	__u32 rcv_nxt;
	__u32 first_seq; /* of the first byte it ever got; only if `full` */
	bool full;
};

static __always_inline bool socket_expects(struct bpf_sock *skc, struct expectation *e)
{
	struct tcp_timewait_sock *tw;
	struct tcp_request_sock *request;
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(skc);

	e->full = false;
	e->first_seq = 0;
	if (tp) {
		e->full = true;
		e->rcv_nxt = tp->rcv_nxt;
		e->first_seq = tp->rcv_nxt - (__u32)tp->bytes_received;
		return true;
	}
	tw = bpf_skc_to_tcp_timewait_sock(skc);
	if (tw) {
		e->rcv_nxt = tw->tw_sk.__tw_common.skc_tw_rcv_nxt;
		return true;
	}
	request = bpf_skc_to_tcp_request_sock(skc);
	if (request)
		e->rcv_nxt = request->rcv_nxt;
	return request;
}

#endif
