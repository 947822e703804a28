"""Builds a planned network: namespaces, cables, addresses, routes, offloads.

Units must meet frames as a wire would bring them: of the cable's MTU, checksums complete. So
whatever is sent towards them is cut and summed in software, at the clients and at the router's
ports. What only hosts and clients see may stay whole: answers pass no unit.
"""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from ipaddress import IPv4Address, ip_interface
from socket import AF_INET, AF_INET6

from pyroute2 import IPRoute

from pointsman.config.model import Address, Interface
from pointsman.datapath.features import OBJECTS
from pointsman.errors import SystemRefusal
from pointsman.lab import namespaces, switch
from pointsman.lab.cable import Cable, lay_cable
from pointsman.lab.plan import LAN, ROUTER, FarNetwork, Kind, Node, Plan, Route

__all__ = ["PASS", "WIRE", "build", "netns_name", "switch_off", "switch_on"]

PASS = "pass.bpf.o"
WIRE = "wire.bpf.o"
AFTER_FAULTS = ["pref", "2"]

IFA_F_NODAD = 0x02
LAN_MAC = "02:00:00:00:ff:fe"
"""Fixed, or it would change with each port that joins, under neighbours that have learnt it."""

NODE_SYSCTLS = {
    "ipv4/conf/all/rp_filter": 0,
    "ipv4/conf/default/rp_filter": 0,
    "ipv6/conf/all/accept_dad": 0,
    "ipv6/conf/default/accept_dad": 0,
    "ipv6/conf/all/accept_ra": 0,
    "ipv6/conf/default/accept_ra": 0,
}
ROUTER_SYSCTLS = {
    "ipv4/ip_forward": 1,
    "ipv6/conf/all/forwarding": 1,
    "ipv4/conf/all/send_redirects": 0,
    "ipv4/conf/default/send_redirects": 0,
    "ipv4/fib_multipath_hash_policy": 1,
    "ipv6/fib_multipath_hash_policy": 1,
}
"""Policy 1: a connection's packets keep to one unit, its ports count."""
HOST_SYSCTLS = {
    "core/somaxconn": 4096,
    "ipv4/ip_nonlocal_bind": 1,
    "ipv6/ip_nonlocal_bind": 1,
}
"""Applications may listen at a virtual address before the host has it."""

QUIET_SYSCTLS = {"ipv4/conf/all/arp_ignore": 1, "ipv4/conf/all/arp_announce": 2}
"""Answer no ARP for an address on lo, and ask with none: what agents set where there is one."""

WHOLE_FRAMES_OFF = ["tx", "off", "tso", "off", "gso", "off"]


def netns_name(lab: str, node: str) -> str:
    return f"pm-{lab}-{node}"


def build(lab: str, plan: Plan) -> list[Cable]:
    """The cables with a delay: they carry nothing until somebody relays, who then owns them.

    Raises SystemRefusal or NetlinkError with part of it built; the caller removes that.
    """
    _make_namespace(netns_name(lab, ROUTER), NODE_SYSCTLS | ROUTER_SYSCTLS)
    with ExitStack() as on_failure, ExitStack() as stack:
        routers = {ROUTER: stack.enter_context(_open(netns_name(lab, ROUTER)))}
        router = routers[ROUTER]
        router.link("add", ifname=LAN, kind="bridge", address=LAN_MAC, br_mcast_snooping=0)
        bridge = _index(router, LAN)
        _set_addresses(router, bridge, plan.lan_addresses)
        router.link("set", index=bridge, state="up")
        cables = []
        for node in plan.nodes:
            cable = _add_node(lab, node, routers[node.behind], bridge)
            if cable is not None:
                on_failure.callback(cable.close)
                cables.append(cable)
            if node.kind is Kind.ROUTER:
                opened = _open(netns_name(lab, node.name))
                routers[node.name] = stack.enter_context(opened)
        for route in plan.routes:
            _add_route(router, route)
        for far in plan.far_networks:
            _add_far_network(router, far)
        _set_offloads(lab, plan)
        _let_units_transmit(lab, plan)
        _forget_hashes(lab, plan)
        switch_on(lab, plan)
        on_failure.pop_all()
    return cables


def switch_on(lab: str, plan: Plan) -> None:
    """Frames between nodes of the LAN take the short way (switch.py)."""
    names = {node.name: netns_name(lab, node.name) for node in plan.nodes}
    with _open(netns_name(lab, ROUTER)) as router:
        switch.plug_in(plan, router, names)


def switch_off(lab: str, plan: Plan) -> None:
    """They take the bridge, port by port."""
    with _open(netns_name(lab, ROUTER)) as router:
        switch.unplug(plan, router)


def _make_namespace(name: str, sysctls: dict[str, int]) -> None:
    namespaces.create(name)
    namespaces.set_sysctls(name, sysctls)
    with _open(name) as ipr:
        ipr.link("set", index=_index(ipr, "lo"), state="up")


def _open(name: str) -> IPRoute:
    """Its socket stays in the namespace where it was opened."""
    with namespaces.enter(name):
        return IPRoute()


def _index(ipr: IPRoute, device: str) -> int:
    (index,) = ipr.link_lookup(ifname=device)
    return int(index)


def _add_node(lab: str, node: Node, router: IPRoute, bridge: int) -> Cable | None:
    name = netns_name(lab, node.name)
    _make_namespace(name, _sysctls(node))
    cable = _lay_cable(lab, node, router)
    port = _index(router, node.name)
    if node.on_lan:
        router.link("set", index=port, master=bridge)
    else:
        _set_addresses(router, port, node.router_addresses)
    router.link("set", index=port, mtu=node.mtu, state="up")
    with _open(name) as ipr:
        device = _index(ipr, node.device)
        _set_addresses(ipr, device, node.addresses)
        _set_addresses(ipr, _index(ipr, "lo"), tuple(map(ip_interface, node.loopback)))
        ipr.link("set", index=device, mtu=node.mtu, state="up")
        for gateway in node.gateways:
            ipr.route(
                "add", family=_family(gateway), dst="default", gateway=str(gateway), oif=device
            )
    return cable


def _sysctls(node: Node) -> dict[str, int]:
    if node.forwards:
        return NODE_SYSCTLS | ROUTER_SYSCTLS
    host = HOST_SYSCTLS if node.kind is Kind.HOST else {}
    return NODE_SYSCTLS | host | (QUIET_SYSCTLS if node.loopback else {})


def _lay_cable(lab: str, node: Node, router: IPRoute) -> Cable | None:
    if node.delay_ms:
        near = (netns_name(lab, node.behind), node.name)
        return lay_cable(near, (netns_name(lab, node.name), node.device), node.delay_ms)
    queues = {"num_tx_queues": node.queues, "num_rx_queues": node.queues}
    router.link(
        "add",
        ifname=node.name,
        kind="veth",
        **queues,
        peer={"ifname": node.device, "net_ns_fd": netns_name(lab, node.name), **queues},
    )
    return None


def _set_addresses(ipr: IPRoute, index: int, addresses: tuple[Interface, ...]) -> None:
    for interface in addresses:
        ipr.addr(
            "add",
            index=index,
            address=str(interface.ip),
            prefixlen=interface.network.prefixlen,
            flags=0 if interface.version == 4 else IFA_F_NODAD,
        )


def _add_route(router: IPRoute, route: Route) -> None:
    router.route(
        "add",
        family=_family(route.destination),
        dst=f"{route.destination}/{route.destination.max_prefixlen}",
        multipath=[{"gateway": str(address)} for address in route.via],
    )


def _add_far_network(router: IPRoute, far: FarNetwork) -> None:
    router.route(
        "add",
        family=_family(far.via),
        dst=str(far.network),
        gateway=str(far.via),
        oif=_index(router, far.device),
    )


def _family(address: Address) -> int:
    return AF_INET if isinstance(address, IPv4Address) else AF_INET6


def _set_offloads(lab: str, plan: Plan) -> None:
    for node in plan.nodes:
        router = netns_name(lab, node.behind)
        cut = WHOLE_FRAMES_OFF if node.kind is Kind.UNIT else []
        _call(router, ["ethtool", "-K", node.name, "gro", "off", *cut])
        own = netns_name(lab, node.name)
        if node.kind is Kind.CLIENT:
            _call(own, ["ethtool", "-K", node.device, *WHOLE_FRAMES_OFF])
        if node.kind is Kind.ROUTER:
            _call(own, ["ethtool", "-K", node.device, "gro", "off"])


def _let_units_transmit(lab: str, plan: Plan) -> None:
    """XDP_TX out of a veth reaches the peer only if that has a program too."""
    for node in plan.nodes:
        if node.native_xdp:
            argv = ["ip", "link", "set", "dev", node.name, "xdpdrv"]
            _call(netns_name(lab, ROUTER), [*argv, "obj", str(OBJECTS / PASS), "sec", "xdp.frags"])


def _forget_hashes(lab: str, plan: Plan) -> None:
    """The router spreads by what packets say, not by what the clients' sockets thought of them."""
    router = netns_name(lab, ROUTER)
    for node in plan.nodes:
        if node.behind == ROUTER and not node.on_lan:
            _call(router, ["tc", "qdisc", "add", "dev", node.name, "clsact"])
            argv = ["tc", "filter", "add", "dev", node.name, "ingress", *AFTER_FAULTS, "bpf"]
            _call(router, [*argv, "direct-action", "object-file", str(OBJECTS / WIRE), "sec", "tc"])


def _call(netns: str, argv: list[str]) -> None:
    done = subprocess.run(
        namespaces.inside(netns, argv), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemRefusal(
            f"{' '.join(argv)} (in {netns}): {done.stderr.strip()}",
            "see that the kernel has veth, bridge and XDP",
        )
