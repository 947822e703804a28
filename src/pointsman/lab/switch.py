"""A switch that costs next to nothing, in front of the bridge that joins a lab's LAN.

In a real network the way from unit to host takes no CPU of either; a bridge in one kernel takes
half of what the unit itself does, and would count against it.
"""

from __future__ import annotations

from pyroute2 import IPRoute

from pointsman.datapath.codecs import U32, Raw
from pointsman.datapath.features import OBJECTS
from pointsman.datapath.libbpf import BpfObject
from pointsman.datapath.maps import Hash
from pointsman.lab import namespaces
from pointsman.lab.plan import Kind, Node, Plan

__all__ = ["SWITCH", "plug_in", "unplug"]

SWITCH = "switch.bpf.o"
INGRESS = "ffff:fff2"
AFTER_FAULTS = 3
ETH_P_ALL = 0x0003


def _ports(plan: Plan) -> list[Node]:
    return [node for node in plan.nodes if node.on_lan]


def plug_in(plan: Plan, router: IPRoute, netns_of: dict[str, str]) -> None:
    """`router` is a socket in the router's namespace; `netns_of` a node's namespace by its name."""
    with BpfObject(OBJECTS / SWITCH) as program:
        program.load()
        macs = Hash(program.map("macs"), Raw(8), U32)
        for node in _ports(plan):
            if node.kind is not Kind.UNIT:
                macs.set(_mac(netns_of[node.name], node.device) + bytes(2), _index(router, node))
        for node in _ports(plan):
            port = _index(router, node)
            if not any(q.get_attr("TCA_KIND") == "clsact" for q in router.get_qdiscs(port)):
                router.tc("add", "clsact", port)
            router.tc(
                "add-filter",
                "bpf",
                port,
                parent=INGRESS,
                prio=AFTER_FAULTS,
                protocol=ETH_P_ALL,
                fd=program.program_fd("switch_frame"),
                name="switch",
                direct_action=True,
            )


def unplug(plan: Plan, router: IPRoute) -> None:
    """Every frame goes over the bridge again, and so through both ends of the ports' hooks."""
    for node in _ports(plan):
        router.tc(
            "del-filter",
            "bpf",
            _index(router, node),
            parent=INGRESS,
            prio=AFTER_FAULTS,
            protocol=ETH_P_ALL,
        )


def _index(router: IPRoute, node: Node) -> int:
    (index,) = router.link_lookup(ifname=node.name)
    return int(index)


def _mac(netns: str, device: str) -> bytes:
    with namespaces.enter(netns):
        ipr = IPRoute()
    with ipr:
        (link,) = ipr.get_links(*ipr.link_lookup(ifname=device))
        return bytes.fromhex(link.get_attr("IFLA_ADDRESS").replace(":", ""))
