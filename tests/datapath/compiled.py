"""Small packet programs for tests of the loader, compiled on the spot."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

__all__ = ["PASSING", "RECKLESS", "compile_program", "open_fds"]

PASSING = """
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
const volatile struct { __u32 verdict; __u32 spare; } config SEC(".rodata.config");
struct { __uint(type, BPF_MAP_TYPE_HASH); __uint(max_entries, 1);
    __type(key, __u32); __type(value, __u64); } numbers SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 1);
    __type(key, __u32); __type(value, __u64); } recent SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
    __type(key, __u32); __type(value, char[6]); } macs SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1);
    __type(key, __u32); __type(value, __u32); } counts SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PROG_ARRAY); __uint(max_entries, 2);
    __type(key, __u32); __type(value, __u32); } jumps SEC(".maps");
SEC("xdp") int configured(struct xdp_md *ctx) {
    __u32 zero = 0, *count = bpf_map_lookup_elem(&counts, &zero);
    if (count) *count += 1;
    bpf_tail_call(ctx, &jumps, 1);
    return config.verdict;
}
SEC("xdp") int dropping(struct xdp_md *ctx) { return XDP_DROP; }
SEC("xdp") int lengthening(struct xdp_md *ctx) { return bpf_xdp_adjust_head(ctx, -64) ? 0 : 3; }
SEC("xdp") int where(struct xdp_md *ctx) { return ctx->ingress_ifindex; }
SEC("tc") int marked(struct __sk_buff *skb) { return skb->mark ? skb->mark : -1; }
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, 1);
    __type(key, __u32); __type(value, __u64); } order SEC(".maps");
static int note(struct __sk_buff *skb, int digit) {
    __u32 zero = 0; __u64 *seen = bpf_map_lookup_elem(&order, &zero);
    if (seen && skb->protocol == bpf_htons(0x88b5)) *seen = *seen * 10 + digit;
    return -1;
}
SEC("tc") int noting_1(struct __sk_buff *skb) { return note(skb, 1); }
SEC("tc") int noting_2(struct __sk_buff *skb) { return note(skb, 2); }
char _license[] SEC("license") = "Dual BSD/GPL";
"""

RECKLESS = """
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("xdp") int reckless(struct xdp_md *ctx) { return *(__u8 *)(long)ctx->data; }
char _license[] SEC("license") = "Dual BSD/GPL";
"""


def compile_program(folder: Path, name: str, source: str) -> Path:
    """`folder/name.bpf.o`."""
    clang = shutil.which("clang-19") or shutil.which("clang")
    assert clang, "these tests need clang"
    (folder / f"{name}.bpf.c").write_text(source)
    made = folder / f"{name}.bpf.o"
    include = f"-I/usr/include/{platform.machine()}-linux-gnu"
    command = [clang, "-O2", "-g", "-target", "bpf", include, "-c", f"{folder}/{name}.bpf.c"]
    subprocess.run([*command, "-o", str(made)], check=True)
    return made


def open_fds() -> dict[str, str]:
    """What this process holds open, by number."""
    held = {}
    for entry in list(Path("/proc/self/fd").iterdir()):
        try:
            held[entry.name] = str(entry.readlink())
        except FileNotFoundError:  # the listing's own
            continue
    return held
