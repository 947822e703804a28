"""The classifier's Python half: services, decks, rules and secrets, as the program wants them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from itertools import accumulate

from pointsman.classifier.choose import Candidate, cards_for, room_for
from pointsman.classifier.maglev import identity
from pointsman.classifier.port_ranges import port_prefixes
from pointsman.classifier.rules import Compiled, compile_rules
from pointsman.classifier.secrets import SLOTS, cookie_secret, epoch_at, live_epochs
from pointsman.config.endpoints import Deck, Endpoint, decks
from pointsman.config.model import Address, Choose, Inspect, Listen, Protocol, Service, Site
from pointsman.datapath import abi
from pointsman.datapath.addresses import range_key4, range_key6, service_key4, service_key6
from pointsman.datapath.live import LiveCounts
from pointsman.datapath.quic_tables import QuicTables, configuration_record
from pointsman.datapath.rule_tables import RuleTables
from pointsman.datapath.unit import UnitDatapath

__all__ = ["Classifier", "compiled_services"]

IP_PROTOCOL = {
    Protocol.TCP: 6,
    Protocol.UDP: 17,
    Protocol.GRE: 47,
    Protocol.ESP: 50,
    Protocol.AH: 51,
}
"""IANA's numbers."""
POLICIES = {
    Choose.CLIENT_IP: abi.Choose.BY_CLIENT,
    Choose.MAGLEV: abi.Choose.BY_FLOW,
    Choose.TWO_CHOICES: abi.Choose.LESS_LOADED,
}
"""The others differ in the order of cards alone."""
RCV_WSCALE = 7
"""What Linux itself offers with the default 6 MB of tcp_rmem."""
VIP_MARK = (0, 0)
"""The port and protocol under which an address is found to be a VIP."""
INSPECT = {
    Inspect.NONE: abi.Inspect.NONE,
    Inspect.HTTP: abi.Inspect.HTTP,
    Inspect.TLS: abi.Inspect.TLS,
    Inspect.RDP: abi.Inspect.RDP,
    Inspect.QUIC: abi.Inspect.QUIC,
}


def compiled_services(site: Site) -> list[Compiled]:
    """Every service's rules, in the site's order; a service's number is its rule set's."""
    return [compile_rules(service.rules) for service in site.services]


class Classifier:
    """Owner of the service, pool and rule maps of one unit.

    `mss`: IP version to the MSS that clients of inspected services are told, bytes.
    `quic_keys`: service and configuration of connection ids to its key, of all that have one.
    """

    def __init__(
        self,
        datapath: UnitDatapath,
        site: Site,
        cluster_key: bytes,
        mss: Mapping[int, int],
        quic_keys: Mapping[tuple[str, int], bytes],
    ) -> None:
        self._datapath = datapath
        self._site = site
        self._key = cluster_key
        self._mss = mss
        self._quic_keys = quic_keys
        self.live = LiveCounts(datapath)
        self._decks = decks(site)
        rooms = [2 * room_for(deck.choose, len(deck.endpoints)) for deck in self._decks]
        self._first = list(accumulate(rooms, initial=0))
        self._numbers = {(deck.service, deck.pool): deck.number for deck in self._decks}

    def fill(self, compiled: Sequence[Compiled], wall_s: float) -> None:
        """Writes the whole configuration. Before the program is attached."""
        self.rotate(wall_s)
        for deck in self._decks:
            self.live.weigh((each.number, each.member.weight) for each in deck.endpoints)
            self._deal_in(deck)
        self._write_rules(compiled)
        self._write_quic()
        for number, service in enumerate(self._site.services):
            for address in service.addresses:
                self._write_service(number, service, address)

    def rotate(self, wall_s: float) -> None:
        """Writes the secrets that are good at a Unix time (seconds), then the epoch."""
        epoch = epoch_at(wall_s)
        for live in live_epochs(epoch):
            secret = cookie_secret(self._key, live)
            self._datapath.secrets.set(live % SLOTS, abi.SiphashKey.unpack(secret))
        self._datapath.cookie_clock.set(0, abi.CookieClock(epoch % SLOTS))

    def undecided_report(self) -> dict[str, int]:
        """Service to first requests that the kernel could not judge."""
        return {
            service.name: self._datapath.undecided.total(number)
            for number, service in enumerate(self._site.services)
        }

    def live_report(self) -> dict[str, dict[str, int]]:
        """Service and host to connections that live, as far as their clients' packets tell."""
        report: dict[str, Counter[str]] = {
            service.name: Counter() for service in self._site.services
        }
        connections = self.live.connections()
        for deck in self._decks:
            for each in deck.endpoints:
                name = self._site.hosts[each.host].name
                report[deck.service][name] += connections[each.number]
        return {service: dict(hosts) for service, hosts in report.items()}

    def _deal_in(self, deck: Deck) -> None:
        cards = cards_for(deck.choose, [self._candidate(each) for each in deck.endpoints])
        first = self._first[deck.number]
        self._datapath.cards.set_many(first, cards)
        how = POLICIES.get(deck.choose, abi.Choose.IN_TURN)
        value = abi.Pool(first, len(cards) | how << abi.POOL_SIZE_BITS)
        self._datapath.pools.set(deck.number, value)

    def _candidate(self, endpoint: Endpoint) -> Candidate:
        member, host = endpoint.member, self._site.hosts[endpoint.host]
        addresses = [str(address) for address in member.addresses or host.addresses]
        who = identity(host.name, addresses, member.port or 0)
        return Candidate(endpoint.number, member.weight, who)

    def _write_rules(self, compiled: Sequence[Compiled]) -> None:
        tables = RuleTables(self._datapath)
        for number, service in enumerate(self._site.services):
            pools = [self._numbers[service.name, rule.pool] for rule in service.rules]
            flags = abi.RulesetFlag.AFTER_PROXY if service.proxy_protocol else 0
            tables.write(number, compiled[number], pools, int(flags))

    def _write_quic(self) -> None:
        tables = QuicTables(self._datapath)
        for number, service in enumerate(self._site.services):
            for each in service.quic.configurations if service.quic else []:
                key = self._quic_keys[service.name, each.id] if each.key_file else None
                record = configuration_record(each.server_id_bytes, each.nonce_bytes, key)
                tables.configure(number, each.id, record)
            deck = self._decks[self._numbers[service.name, service.pool]]
            for endpoint in deck.endpoints if service.quic else ():
                if endpoint.member.quic_server_id is not None:
                    server_id = bytes.fromhex(endpoint.member.quic_server_id)
                    tables.assign(number, server_id, endpoint.number)

    def _write_service(self, number: int, service: Service, address: Address) -> None:
        value = abi.Service(
            id=number,
            inspect=int(INSPECT[service.inspect]),
            rcv_wscale=RCV_WSCALE,
            mss=self._mss[address.version],
            ruleset=number,
            pool=self._numbers[service.name, service.pool],
            flags=abi.ServiceFlag.GROUP if service.is_group else 0,
        )
        for listen in service.listens:
            self._write_listen(address, listen, value)
        self._write_port(address, *VIP_MARK, value)

    def _write_listen(self, address: Address, listen: Listen, value: abi.Service) -> None:
        protocol = IP_PROTOCOL[listen.protocol]
        if listen.first == listen.last:
            self._write_port(address, listen.first, protocol, value)
            return
        for port, bits in port_prefixes(listen.first, listen.last):
            if isinstance(address, IPv4Address):
                self._datapath.ranges4.set(range_key4(address, port, protocol, bits), value)
            else:
                self._datapath.ranges6.set(range_key6(address, port, protocol, bits), value)

    def _write_port(self, address: Address, port: int, protocol: int, value: abi.Service) -> None:
        if isinstance(address, IPv4Address):
            self._datapath.services4.set(service_key4(address, port, protocol), value)
        else:
            self._datapath.services6.set(service_key6(address, port, protocol), value)
