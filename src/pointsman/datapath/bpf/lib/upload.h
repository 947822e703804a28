/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Connection upload: first data of a connection becomes the end of a handshake that the host's
 * stack never saw (R-E4). */
#ifndef POINTSMAN_UPLOAD_H
#define POINTSMAN_UPLOAD_H

#include "base.h"
#include "csum.h"
#include "finish.h"
#include "ip.h"
#include "mappings.h"
#include "open_bundle.h"
#include "sockets.h"
#include "tcp_options.h"

/* The kernel refuses an upload with less. Its own SYN cookies, too, take a client whose MSS over
 * IPv6 is smaller for one with this: what IPv6's least MTU leaves. */
static __always_inline __u16 least_mss(const bool v6)
{
	return v6 ? 1280 - 60 : 536;
}

static __always_inline void attrs_fill(struct bpf_tcp_req_attrs *a, const struct bundle *b,
				       const struct tcp_options *o, const bool v6)
{
	a->mss = bpf_ntohs(b->mss);
	if (a->mss < least_mss(v6))
		a->mss = least_mss(v6);
	a->sack_ok = !!(b->flags & BUNDLE_SACK);
	a->ecn_ok = !!(b->flags & BUNDLE_ECN);
	a->wscale_ok = !!(b->flags & BUNDLE_WSCALE);
	a->snd_wscale = b->snd_wscale;
	a->rcv_wscale = b->rcv_wscale;
	a->tstamp_ok = o->tstamp;
	a->rcv_tsval = o->tsval;
	a->rcv_tsecr = o->tsecr;
}

static __always_inline bool options_load(struct __sk_buff *skb, const struct parcel *in,
					 struct tcp_options *o, const bool v6)
{
	__u8 header[TCP_HEADER_COPY] = {};
	__u32 bytes = in->l4_header;

	barrier_var(bytes);
	if (bytes < sizeof(struct tcphdr) || bytes > TCP_HEADER_MAX)
		return false;
	if (bpf_skb_load_bytes(skb, in->offset + ip_header_bytes(v6), header, bytes))
		return false;
	tcp_options_read(header, bytes, o);
	return true;
}

/* The new socket's clock begins at the timestamp that the client echoes, so the kernel would measure
 * a round trip of nothing; congestion control that believes in the shortest (BBR does) would keep next
 * to nothing in flight for seconds. Of a segment that echoes none it takes no measure. */
static __always_inline long echo_forget(struct __sk_buff *skb, const struct tcp_options *o, const bool v6)
{
	const __u32 at = ETH_HLEN + ip_header_bytes(v6);
	__be32 echo = bpf_htonl(o->tsecr), none = 0;

	if (!o->tstamp || !o->tsecr)
		return 0;
	if (o->tsecr_at % 2) /* its bytes stand in the other half of the sum's words */
		echo = echo << 8 | echo >> 24;
	return bpf_l4_csum_replace(skb, at + offsetof(struct tcphdr, check), echo, none, sizeof(echo)) ||
	       bpf_skb_store_bytes(skb, at + o->tsecr_at, &none, sizeof(none), 0);
}

/* Consumes the reference to the listener. */
static __always_inline int upload_to(struct __sk_buff *skb, struct bpf_sock *listener,
				     const struct parcel *in, const union mapping_key *key, const bool v6)
{
	enum reason why = REASON_HOST_INTERNAL;
	struct bpf_tcp_req_attrs attrs = {};
	struct tcp_options options;
	struct tcp_sock *tp;

	if (!options_load(skb, in, &options, v6))
		goto out;
	attrs_fill(&attrs, &in->head, &options, v6);
	if (mapping_learn(key, &in->key, MAPPING_UPLOADED, v6) || parcel_strip(skb, in, v6) ||
	    echo_forget(skb, &options, v6))
		goto out;
	tp = bpf_skc_to_tcp_sock(listener);
	if (!tp)
		goto out;
	why = bpf_sk_assign_tcp_reqsk(skb, (struct sock *)tp, &attrs, sizeof(attrs)) ?
		      REASON_UPLOAD_REFUSED : REASON_UPLOADED;
out:
	bpf_sk_release(listener);
	return finish(why, why == REASON_UPLOADED ? TC_NEXT : TC_DROP);
}

/* ---- an old connection holds the 4-tuple ---- */

/* Turns the carried packet into a RST in the client's name. */
static __always_inline long make_rst(struct __sk_buff *skb, const struct parcel *in, __u32 seq,
				     const bool v6)
{
	const __u32 at = ETH_HLEN + ip_header_bytes(v6);
	struct tcphdr rst = { .source = in->tcp.source, .dest = in->tcp.dest, .seq = bpf_htonl(seq),
			      .doff = sizeof(rst) / 4, .rst = 1 };
	struct ipv6hdr ip6;
	struct iphdr ip4;
	__u32 sum = bpf_htons(IPPROTO_TCP) + bpf_htons(sizeof(rst));

	if (bpf_skb_change_tail(skb, at + sizeof(rst), 0))
		return -1;
	sum = csum_add_block(sum, &in->key, v6 ? 32 : 8);
	rst.check = ~csum_fold(csum_add_block(sum, &rst, sizeof(rst)));
	if (v6)
		ip6_fill(&ip6, in->key.v6.saddr, in->key.v6.daddr, IPPROTO_TCP, sizeof(rst));
	else
		ip4_fill(&ip4, in->key.v4.saddr, in->key.v4.daddr, IPPROTO_TCP, sizeof(rst));
	return bpf_skb_store_bytes(skb, ETH_HLEN, v6 ? (void *)&ip6 : (void *)&ip4, ip_header_bytes(v6),
				   BPF_F_RECOMPUTE_CSUM) ||
	       bpf_skb_store_bytes(skb, at, &rst, sizeof(rst), BPF_F_RECOMPUTE_CSUM);
}

/* Ends the old connection with a RST that it must believe, then lets the bundle come in once more,
 * behind it in the same queue: so TIME_WAIT never costs a connection, and no agent takes part. */
static __always_inline int replace_old(struct __sk_buff *skb, const struct parcel *in, __u32 rcv_nxt,
				       const bool v6)
{
	const __u32 at = ETH_HLEN + ip_header_bytes(v6) + sizeof(struct udphdr);
	__u8 flags = in->head.flags | BUNDLE_AGAIN;

	if (in->head.flags & BUNDLE_AGAIN)
		return finish(REASON_OLD_SOCKET_STAYS, TC_DROP);
	if (bpf_skb_store_bytes(skb, at + offsetof(struct bundle, flags), &flags, sizeof(flags), 0) ||
	    bpf_clone_redirect(skb, skb->ifindex, BPF_F_INGRESS) || parcel_strip(skb, in, v6) ||
	    make_rst(skb, in, rcv_nxt, v6))
		return finish(REASON_HOST_INTERNAL, TC_DROP);
	return finish(REASON_OLD_SOCKET, TC_NEXT);
}

/* The 4-tuple is taken: by this very connection, or by one before it? Consumes the reference. */
static __always_inline int upload_beside(struct __sk_buff *skb, struct bpf_sock *skc,
					 const struct parcel *in, const union mapping_key *key,
					 const bool v6)
{
	__u32 seq = bpf_ntohl(in->tcp.seq);
	struct expectation e;
	bool known, same;

	known = socket_expects(skc, &e);
	bpf_sk_release(skc);
	if (!known)
		return finish(REASON_UPLOAD_REFUSED, TC_DROP);
	/* A FIN takes a number and is no byte. */
	same = mapping_is(key, &in->key, v6) || (e.full && (e.first_seq == seq || e.first_seq == seq + 1));
	if (!same)
		return replace_old(skb, in, e.rcv_nxt, v6);
	if (mapping_learn(key, &in->key, MAPPING_UPLOADED | MAPPING_CONFIRMED, v6))
		return finish(REASON_HOST_INTERNAL, TC_DROP);
	return parcel_pass(skb, in, REASON_REPEATED, v6);
}

/* First data of an inspected connection. */
static __always_inline int upload(struct __sk_buff *skb, const struct parcel *in,
				  const union mapping_key *key, const bool v6)
{
	struct bpf_sock *skc = socket_find(skb, &in->key, v6);

	if (!skc)
		return parcel_pass(skb, in, REASON_NO_LISTENER, v6);
	if (skc->state == STATE_LISTEN) {
		if (!mapping_is_used(key, &in->key, v6))
			return upload_to(skb, skc, in, key, v6);
		/* A late duplicate must not make the application serve its request twice. */
		bpf_sk_release(skc);
		return parcel_pass(skb, in, REASON_OVER, v6);
	}
	return upload_beside(skb, skc, in, key, v6);
}

#endif
