"""The site file's words as the unit's programs want them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from pointsman.classifier.choose import choosing_key, room_for
from pointsman.classifier.port_ranges import port_prefixes
from pointsman.classifier.rules import Compiled
from pointsman.config.endpoints import decks
from pointsman.config.model import Choose, Forward, OtherPorts, Role, Site, TableKind, Unit
from pointsman.datapath import abi
from pointsman.datapath.flow_table import bucket_count
from pointsman.datapath.rule_tables import words_needed
from pointsman.datapath.unit import UnitSizes, cpu_bits
from pointsman.tunnel.bundles import advertised_mss
from pointsman.tunnel.keys import tag_key

__all__ = ["client_mss", "unit_config", "unit_sizes"]


def client_mss(site: Site) -> dict[int, int]:
    """IP version to the MSS that leaves room for a bundle, bytes."""
    return {version: advertised_mss(version, site.tunnel.mtu) for version in (4, 6)}


def translates(site: Site) -> bool:
    """Whether answers of some service come back through the units."""
    return any(s.forward in (Forward.HALF_NAT, Forward.NAT) for s in site.services)


def flow_buckets(site: Site, unit: Unit) -> dict[int, int]:
    """IP version to buckets of the table of routes; one where no service has an address."""
    per_cpu = unit.flow_table is TableKind.PER_CPU
    return {
        version: bucket_count(unit.max_flows if version in site.versions else 1, per_cpu=per_cpu)
        for version in (4, 6)
    }


def unit_sizes(site: Site, unit: Unit, compiled: Sequence[Compiled]) -> UnitSizes:
    """How large the maps must be."""
    found = decks(site)
    quic = any(service.quic is not None for service in site.services)
    return UnitSizes(
        buckets=flow_buckets(site, unit),
        max_flows=unit.max_flows,
        flow_table_per_cpu=unit.flow_table is TableKind.PER_CPU,
        max_fragments=unit.max_fragments,
        hosts=len(site.hosts),
        endpoints=sum(len(deck.endpoints) for deck in found),
        services=len(site.services),
        ranges=sum(
            len(s.addresses) * len(list(port_prefixes(listen.first, listen.last)))
            for s in site.services
            for listen in s.listens
            if listen.first != listen.last
        ),
        groups=sum(service.is_group for service in site.services),
        quic_configurations=abi.QUIC_CONFIGS * len(site.services) if quic else 0,
        quic_servers=sum(
            each.member.quic_server_id is not None for deck in found for each in deck.endpoints
        ),
        translations=unit.max_translations if translates(site) else 0,
        listens=sum(len(s.addresses) * (len(s.listens) + 1) for s in site.services),
        pools=len(found),
        cards=sum(room_for(deck.choose, len(deck.endpoints)) for deck in found),
        rulesets=len(site.services),
        rules=sum(rules.rules for rules in compiled),
        rule_words=words_needed(compiled),
        matches=sum(len(rules.matches) for rules in compiled),
        prefixes=sum(len(rules.prefixes) for rules in compiled),
    )


def unit_config(site: Site, unit: Unit, cluster_key: bytes) -> abi.UnitConfig:
    """What the programs are told before they are loaded."""
    tunnel = {address.version: address.packed for address in unit.tunnel}
    nat = {address.version: address.packed for address in unit.nat}
    times = site.timeouts
    # A tick more than asked for: the present one has only begun.
    life = tuple(
        (seconds * 10**9 >> abi.TICK_SHIFT) + 1
        for seconds in (
            times.opening_s,
            times.open_s,
            times.closing_s,
            times.zombie_s,
            times.datagram_s,
        )
    )
    flags = abi.UnitFlag.CLASSIFIES if Role.CLASSIFIER in unit.roles else abi.UnitFlag(0)
    if site.other_ports is OtherPorts.PASS:
        flags |= abi.UnitFlag.PASSES_OTHER_PORTS
    if any(pool.choose is Choose.TWO_CHOICES for pool in site.pools):
        flags |= abi.UnitFlag.COUNTS_LIVE
    if translates(site):
        flags |= abi.UnitFlag.TRANSLATES
    buckets = flow_buckets(site, unit)
    return abi.UnitConfig(
        choose_key=abi.SiphashKey.unpack(choosing_key(cluster_key)),
        tag_key=abi.SiphashKey.unpack(tag_key(cluster_key)),
        flow_seed=secrets.randbits(64),
        flow_masks=(buckets[4] - 1, buckets[6] - 1),
        life=life,
        tunnel4=tunnel.get(4, bytes(4)),
        tunnel6=tunnel.get(6, bytes(16)),
        bundle_port=site.tunnel.port.to_bytes(2, "big"),
        mtu=site.tunnel.mtu,
        units=len(site.units),
        cpu_bits=cpu_bits(),
        nat4=nat.get(4, bytes(4)),
        nat6=nat.get(6, bytes(16)),
        nat_first=unit.nat_ports.first,
        nat_last=unit.nat_ports.last,
        flags=flags,
    )
