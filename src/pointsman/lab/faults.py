"""Makes a lab's cables lose packets.

The program sits at the router's end of a node's cable: there it meets frames that an XDP program
has sent, which the node's own TC hooks never see, and it can't get into the way of the programs
that an agent attaches.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pointsman.datapath.features import OBJECTS, require_objects
from pointsman.errors import SystemRefusal
from pointsman.lab.lab import Lab
from pointsman.lab.network import switch_off, switch_on
from pointsman.lab.plan import Kind

__all__ = ["Direction", "Losses", "drop"]

DROP = "drop.bpf.o"
FILTER = ["pref", "1", "handle", "1", "bpf"]
"""A place of its own: the kernel refuses a second program there."""


_depth: Counter[str] = Counter()
"""Faults at work, by lab: the first takes the switch out, the last puts it back."""


class Direction(StrEnum):
    """As the node sees it."""

    INGRESS = "ingress"
    EGRESS = "egress"


@dataclass(slots=True)
class Losses:
    """Counted in TCP and UDP packets; zero until the block of `drop` has ended."""

    seen: int = 0
    """Lost ones included."""
    dropped: int = 0


@contextmanager
def drop(lab: Lab, node: str, direction: Direction, permille: int) -> Iterator[Losses]:
    """Loses that share of a node's TCP and UDP packets, at random, until the block ends.

    Hosts send single segments meanwhile: else a packet here would be up to 64 KB of them.
    One at a time for each node and direction. Raises SystemRefusal if a tool refuses.
    """
    hook = "egress" if direction is Direction.INGRESS else "ingress"
    losses = Losses()
    require_objects([DROP])
    with ExitStack() as stack:
        stack.enter_context(_single_segments(lab))
        stack.enter_context(_through_every_port(lab))
        stack.enter_context(_attached(lab, node, hook))
        map_id = _map_id(lab, node, hook)
        share = [str(byte) for byte in permille.to_bytes(4, "little") + bytes(20)]
        key = ["key", "0", "0", "0", "0"]
        _at_port(lab, node, ["bpftool", "map", "update", "id", map_id, *key, "value", *share])
        try:
            yield losses
        finally:
            (entry,) = json.loads(
                _at_port(lab, node, ["bpftool", "-j", "map", "dump", "id", map_id])
            )
            losses.seen = entry["formatted"]["value"]["seen"]
            losses.dropped = entry["formatted"]["value"]["dropped"]


@contextmanager
def _through_every_port(lab: Lab) -> Iterator[None]:
    """The lab's switch bypasses the egress of ports, where losses towards a node happen."""
    outermost = _depth[lab.name] == 0
    if outermost:
        switch_off(lab.name, lab.plan)
    _depth[lab.name] += 1
    try:
        yield
    finally:
        _depth[lab.name] -= 1
        if outermost:
            switch_on(lab.name, lab.plan)


@contextmanager
def _single_segments(lab: Lab) -> Iterator[None]:
    hosts = [node for node in lab.plan.nodes if node.kind is Kind.HOST]

    def switch(to: str) -> None:
        for host in hosts:
            _call(lab, host.name, ["ethtool", "-K", host.device, "tso", to, "gso", to])

    switch("off")
    try:
        yield
    finally:
        switch("on")


@contextmanager
def _attached(lab: Lab, node: str, hook: str) -> Iterator[None]:
    qdiscs = json.loads(_at_port(lab, node, ["tc", "-j", "qdisc", "show", "dev", node]))
    if not any(qdisc["kind"] == "clsact" for qdisc in qdiscs):
        _at_port(lab, node, ["tc", "qdisc", "add", "dev", node, "clsact"])
    argv = ["tc", "filter", "add", "dev", node, hook, *FILTER, "direct-action"]
    _at_port(lab, node, [*argv, "object-file", str(OBJECTS / DROP), "section", "tc"])
    try:
        yield
    finally:
        _at_port(lab, node, ["tc", "filter", "delete", "dev", node, hook, "pref", "1"])


def _map_id(lab: Lab, node: str, hook: str) -> str:
    shown: list[dict[str, Any]] = json.loads(
        _at_port(lab, node, ["tc", "-j", "filter", "show", "dev", node, hook])
    )
    (program,) = [
        one["options"]["prog"]["id"] for one in shown if "options" in one and one["pref"] == 1
    ]
    loaded = json.loads(_at_port(lab, node, ["bpftool", "-j", "prog", "show", "id", str(program)]))
    (map_id,) = loaded["map_ids"]
    return str(map_id)


def _at_port(lab: Lab, node: str, argv: list[str]) -> str:
    """In the namespace of the router at the other end of the node's cable."""
    return _call(lab, lab.plan.node(node).behind, argv)


def _call(lab: Lab, node: str, argv: list[str]) -> str:
    done = lab.run(node, argv, check=False)
    if done.returncode != 0:
        raise SystemRefusal(
            f"{' '.join(argv)} (on {node}): {done.stderr.strip()}",
            "see that iproute2, bpftool and ethtool are installed, and the lab is up",
        )
    return done.stdout
