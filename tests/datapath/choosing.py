"""A unit with a plain service for each of several pools, to see whom they choose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_address

from bench import UnitBench
from packets import Client
from site_file import KEY, make_site

from pointsman.config.endpoints import Deck, decks
from pointsman.config.model import Choose, Host, Member, Pool, Service, Site
from pointsman.datapath import testrun

__all__ = ["ChoosingUnit", "Pools", "clients"]

Pools = Mapping[str, tuple[Choose, Sequence[tuple[str, int]]]]
"""Name to policy, and weights by name of host; hosts are called h1 and so on."""
FIRST_CLIENT = {4: "198.18.0.1", 6: "2001:db8:5::1"}
FIRST_PORT = 100
MAX_FLOWS = 65_536


def _host(name: str) -> Host:
    """What a host is called says where it is (h7: 10.1.1.7)."""
    networks = ip_address("10.1.1.0"), ip_address("fd00:1::1:0")
    return Host(name=name, interface="e0", addresses=[n + int(name[1:]) for n in networks])


def choosing_site(pools: Pools) -> Site:
    """Pools and services are called p0 and so on; policies' names are too long for some."""
    site = make_site()
    (template,) = (service for service in site.services if service.name == "plain")
    names = dict.fromkeys(name for _, weights in pools.values() for name, _ in weights)
    services: list[Service] = [
        template.model_copy(update={"name": f"p{i}", "pool": f"p{i}", "port": FIRST_PORT + i})
        for i in range(len(pools))
    ]
    made = [
        Pool(name=f"p{i}", choose=how, members=[Member(host=h, weight=w) for h, w in weights])
        for i, (how, weights) in enumerate(pools.values())
    ]
    return site.model_copy(
        update={
            "hosts": [_host(name) for name in names],
            "pools": made,
            "services": services,
            "units": [site.units[0].model_copy(update={"max_flows": MAX_FLOWS})],
        }
    )


def clients(
    version: int, number: int, *, addresses: int = 1, first_port: int = 20000
) -> list[Client]:
    """Connections of so many different clients, which take turns."""
    first = ip_address(FIRST_CLIENT[version])
    return [
        Client(version, port=first_port + i // addresses, address=str(first + i % addresses))
        for i in range(number)
    ]


class ChoosingUnit(UnitBench):
    """Its hosts are usable."""

    def __init__(self, pools: Pools) -> None:
        super().__init__(choosing_site(pools), KEY)
        self._names = [host.name for host in self.site.hosts]
        self._pools = list(pools)

    def to(self, pool: str, client: Client) -> Client:
        """The same client, of the service that uses this pool."""
        return replace(client, service_port=FIRST_PORT + self._pools.index(pool))

    def place(self, pool: str, new: Iterable[Client]) -> list[str]:
        """Sends each one's SYN; the names of the hosts that get them."""
        program = self.datapath.program_fd("forward")
        found = []
        for client in (self.to(pool, one) for one in new):
            testrun.test_run(program, client.syn())
            found.append(self._names[self.host_of(client)])
        return found

    def live(self, pool: str) -> dict[str, int]:
        """Host to live connections, as the status tells."""
        return self.classifier.live_report()[self.deck(pool).pool]

    def deck(self, pool: str) -> Deck:
        """The pool as its service uses it."""
        return decks(self.site)[self._pools.index(pool)]

    def first(self, pool: str) -> int:
        """The number of the pool's first endpoint; the others follow."""
        return self.deck(pool).endpoints[0].number

    def cut_off(self, name: str) -> None:
        """The host can't be reached any more."""
        self.set_host(self._names.index(name), usable=False)

    def forget(self) -> None:
        """All routes, as if they had been evicted."""
        self.datapath.flows4.clear()
        self.datapath.flows6.clear()

    def reset(self) -> None:
        """As after the start."""
        super().reset()
        endpoints, decks = len(self.datapath.live), len(self.datapath.cursors)
        self.datapath.live.set_many(0, [0] * endpoints)
        self.datapath.cursors.set_many(0, [0] * decks)
        self.classifier.live.settle([0] * endpoints)
