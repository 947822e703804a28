// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* The bench's harness (bench/harness.py): a test run with `repeat` hands a program its own output
 * from the second time on, so these programs make the packet new each time and tail-call the one
 * under test. The same restorer in front of a bare verdict is the floor to subtract.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define FRAME_MAX 2044
#define FLOOR_FLOWS 1100000 /* as many routes as the bench gives a unit */

struct template {
	__u32 bytes;
	__u8 frame[FRAME_MAX];
};

struct restorer {
	__u64 here; /* address of the packet's first byte now, written to be read as a number */
	__u64 start; /* the same in the first repetition, which a program that moves the head undoes */
	__u32 templates; /* how many are in use; repetitions take them in turn */
	__u32 next;
	__u32 step; /* 0, or what `number` grows by each time: another client, checksums mended */
	__u32 number;
	__u32 mask; /* how many different clients, less one */
	__u32 reserved;
};

/* templates: packets as they come. Owner: Python. Life: one measurement. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct template);
} templates SEC(".maps");

/* restorer: [0] = what the restorer does and how far it is. Owner: Python. Life: one measurement. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct restorer);
} restorer SEC(".maps");

/* xdp_target, tc_target: [0] = program under test. Owner: Python. Life: one measurement. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} xdp_target SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} tc_target SEC(".maps");

struct floor_key4 {
	__be32 saddr;
	__be32 daddr;
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 zero[3];
};

struct floor_key6 {
	__be32 saddr[4];
	__be32 daddr[4];
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 zero[3];
};

struct floor_value {
	__u64 words[5]; /* as much as a route */
};

/* floor4, floor6: the table of the lookup floor. Owner: Python. Life: the harness's. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FLOOR_FLOWS);
	__type(key, struct floor_key4);
	__type(value, struct floor_value);
} floor4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, FLOOR_FLOWS);
	__type(key, struct floor_key6);
	__type(value, struct floor_value);
} floor6 SEC(".maps");

/* The checksum field after a 16-bit word grew from `was` to `is` (RFC 1624). */
static __always_inline __u16 mend(__u16 check, __u16 was, __u16 is)
{
	__u32 sum = (__u16)~check + (__u16)~was + is;

	sum = (sum >> 16) + (sum & 0xffff);
	return ~((sum >> 16) + (sum & 0xffff));
}

/* Another client: its port, from 32768 on, and the last 16 bits of its address. */
static __always_inline bool vary(struct xdp_md *ctx, __u32 number)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u16 port = bpf_htons(0x8000 | (number & 0x7fff)), word = bpf_htons(number >> 15 & 0xffff);
	struct ethhdr *eth = data;
	struct ipv6hdr *ip6 = data + ETH_HLEN;
	struct iphdr *ip = data + ETH_HLEN;
	__u16 *address, *l4, *check;
	__u8 protocol;

	if ((void *)(ip6 + 1) > end)
		return false;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		l4 = (void *)(ip + 1);
		protocol = ip->protocol;
		address = (__u16 *)&ip->saddr + 1;
		ip->check = mend(ip->check, *address, word);
	} else {
		l4 = (void *)(ip6 + 1);
		protocol = ip6->nexthdr;
		address = (__u16 *)&ip6->saddr + 7;
	}
	check = (void *)l4 + (protocol == IPPROTO_TCP ? offsetof(struct tcphdr, check) :
							offsetof(struct udphdr, check));
	if ((void *)(check + 1) > end)
		return false;
	*check = mend(mend(*check, *address, word), *l4, port);
	*address = word;
	*l4 = port;
	return true;
}

static __always_inline struct template *template_next(struct restorer *r)
{
	__u32 index = r->next;

	r->next = index + 1 < r->templates ? index + 1 : 0;
	return bpf_map_lookup_elem(&templates, &index);
}

SEC("xdp.frags")
int restore_xdp(struct xdp_md *ctx)
{
	__u32 zero = 0, bytes;
	struct restorer *r = bpf_map_lookup_elem(&restorer, &zero);
	struct template *t;

	if (!r)
		return XDP_ABORTED;
	*(volatile __u64 *)&r->here = (long)ctx->data;
	if (!r->start)
		r->start = r->here;
	t = template_next(r);
	if (!t)
		return XDP_ABORTED;
	bytes = t->bytes;
	if (bytes < ETH_HLEN || bytes > FRAME_MAX)
		return XDP_ABORTED;
	/* Moved or not, both are called, so that floors pay as much. */
	if (bpf_xdp_adjust_head(ctx, (int)(r->start - r->here)) ||
	    bpf_xdp_adjust_tail(ctx, (int)(bytes - bpf_xdp_get_buff_len(ctx))) ||
	    bpf_xdp_store_bytes(ctx, 0, t->frame, bytes))
		return XDP_ABORTED;
	if (r->step) {
		if (!vary(ctx, r->number & r->mask))
			return XDP_ABORTED;
		r->number += r->step;
	}
	bpf_tail_call(ctx, &xdp_target, 0);
	return XDP_ABORTED;
}

/* A generator of packets: run with BPF_F_TEST_XDP_LIVE_FRAMES at an interface, it sends them out
 * there. Frames come back from their way as it left them, in other memory each time. */
SEC("xdp.frags")
int generate(struct xdp_md *ctx)
{
	__u32 zero = 0, bytes;
	struct restorer *r = bpf_map_lookup_elem(&restorer, &zero);
	struct template *t = r ? template_next(r) : NULL;

	if (!t)
		return XDP_ABORTED;
	bytes = t->bytes;
	if (bytes < ETH_HLEN || bytes > FRAME_MAX || bytes != bpf_xdp_get_buff_len(ctx) ||
	    bpf_xdp_store_bytes(ctx, 0, t->frame, bytes))
		return XDP_ABORTED;
	if (r->step) {
		if (!vary(ctx, r->number & r->mask))
			return XDP_ABORTED;
		r->number += r->step;
	}
	return XDP_TX;
}

SEC("tc")
int restore_tc(struct __sk_buff *skb)
{
	__u32 zero = 0, bytes;
	struct restorer *r = bpf_map_lookup_elem(&restorer, &zero);
	struct template *t;

	if (!r)
		return TC_ACT_SHOT;
	t = template_next(r);
	if (!t)
		return TC_ACT_SHOT;
	bytes = t->bytes;
	if (bytes < ETH_HLEN || bytes > FRAME_MAX || bytes != skb->len)
		return TC_ACT_SHOT;
	if (bpf_skb_store_bytes(skb, 0, t->frame, bytes, 0))
		return TC_ACT_SHOT;
	bpf_tail_call(skb, &tc_target, 0);
	return TC_ACT_SHOT;
}

SEC("xdp.frags")
int bare_xdp(struct xdp_md *ctx)
{
	return XDP_TX;
}

SEC("tc")
int bare_tc(struct __sk_buff *skb)
{
	return TC_ACT_UNSPEC;
}

struct floor_packet {
	struct floor_key4 key4;
	struct floor_key6 key6;
	__u32 seq;
};

/* The key of a TCP segment or a UDP datagram as long as one's header; the forwarder checks as much. */
static __always_inline bool parse4(struct xdp_md *ctx, struct floor_packet *p)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + ETH_HLEN;
	struct tcphdr *tcp = (void *)(ip + 1);

	if ((void *)(tcp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->version != 4 || ip->ihl != 5 ||
	    (ip->protocol != IPPROTO_TCP && ip->protocol != IPPROTO_UDP) || ip->frag_off & bpf_htons(0x3fff))
		return false;
	p->key4 = (struct floor_key4){ .proto = ip->protocol };
	__builtin_memcpy(&p->key4.saddr, &ip->saddr, 8);
	__builtin_memcpy(&p->key4.sport, &tcp->source, 4);
	p->seq = tcp->seq;
	return true;
}

static __always_inline bool parse6(struct xdp_md *ctx, struct floor_packet *p)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct ipv6hdr *ip = data + ETH_HLEN;
	struct tcphdr *tcp = (void *)(ip + 1);

	if ((void *)(tcp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IPV6) || ip->version != 6 ||
	    (ip->nexthdr != IPPROTO_TCP && ip->nexthdr != IPPROTO_UDP))
		return false;
	p->key6 = (struct floor_key6){ .proto = ip->nexthdr };
	__builtin_memcpy(p->key6.saddr, &ip->saddr, 32);
	__builtin_memcpy(&p->key6.sport, &tcp->source, 4);
	p->seq = tcp->seq;
	return true;
}

/* What any balancer must do: parse, and one lookup. A packet that is not in the table is dropped. */
SEC("xdp.frags")
int lookup4(struct xdp_md *ctx)
{
	struct floor_packet p;

	return parse4(ctx, &p) && bpf_map_lookup_elem(&floor4, &p.key4) ? XDP_TX : XDP_DROP;
}

SEC("xdp.frags")
int lookup6(struct xdp_md *ctx)
{
	struct floor_packet p;

	return parse6(ctx, &p) && bpf_map_lookup_elem(&floor6, &p.key6) ? XDP_TX : XDP_DROP;
}

/* What any balancer must do that remembers a new connection: look, and write. */
SEC("xdp.frags")
int insert4(struct xdp_md *ctx)
{
	struct floor_value *known, value = {};
	struct floor_packet p;

	if (!parse4(ctx, &p))
		return XDP_DROP;
	known = bpf_map_lookup_elem(&floor4, &p.key4);
	value.words[0] = known ? known->words[0] + 1 : p.seq;
	return bpf_map_update_elem(&floor4, &p.key4, &value, BPF_ANY) ? XDP_DROP : XDP_TX;
}

SEC("xdp.frags")
int insert6(struct xdp_md *ctx)
{
	struct floor_value *known, value = {};
	struct floor_packet p;

	if (!parse6(ctx, &p))
		return XDP_DROP;
	known = bpf_map_lookup_elem(&floor6, &p.key6);
	value.words[0] = known ? known->words[0] + 1 : p.seq;
	return bpf_map_update_elem(&floor6, &p.key6, &value, BPF_ANY) ? XDP_DROP : XDP_TX;
}

char _license[] SEC("license") = "Dual BSD/GPL";
