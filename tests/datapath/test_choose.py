"""Policies through the unit's program: who gets how many connections, and who keeps them."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
from choosing import ChoosingUnit, Pools, clients
from models import siphash24
from packets import Client
from site_file import KEY

from pointsman.classifier.choose import choosing_key
from pointsman.classifier.maglev import SIZES
from pointsman.config.model import Choose

pytestmark = pytest.mark.datapath

TEN = [(f"h{number}", 1) for number in range(1, 11)]
MIXED = [(name, 1 + number % 3) for number, (name, _) in enumerate(TEN)]
HASHES = ["client-ip", "maglev"]
DECKS = {
    "weighted": "h1 h2 h1 h3 h2 h1",
    "round-robin": "h1 h2 h3",
    "most-tokens-first": "h1 h1 h2 h1 h2 h3",
    "linear": "h1 h1 h1 h2 h2 h3",
}
POOLS: Pools = {
    **{choose.value: (choose, TEN) for choose in Choose},
    **{f"{how}-deck": (Choose(how), [("h1", 3), ("h2", 2), ("h3", 1), ("h4", 0)]) for how in DECKS},
    **{f"{how}-4321": (Choose(how), [(f"h{5 - w}", w) for w in (4, 3, 2, 1)]) for how in HASHES},
    **{f"{how}-nine": (Choose(how), [one for one in TEN if one[0] != "h4"]) for how in HASHES},
    **{f"{how}-mixed": (Choose(how), MIXED) for how in HASHES},
    **{f"{choose}-one": (choose, [("h7", 5)]) for choose in Choose},
    "client-ip-again": (Choose.CLIENT_IP, TEN),
    "linear-long": (Choose.LINEAR, [("h1", 2), ("h2", 99), ("h3", 1)]),
}


@pytest.fixture(scope="module")
def loaded() -> Iterator[ChoosingUnit]:
    with ChoosingUnit(POOLS) as unit:
        yield unit


@pytest.fixture
def unit(loaded: ChoosingUnit) -> ChoosingUnit:
    loaded.reset()
    return loaded


@pytest.mark.parametrize("how", DECKS)
def test_decks_are_dealt_to_the_card(unit: ChoosingUnit, how: str, version: int) -> None:
    deck = DECKS[how].split()
    assert unit.place(f"{how}-deck", clients(version, 3 * len(deck))) == 3 * deck


def test_tokens_of_an_unreachable_host_are_skipped(unit: ChoosingUnit, version: int) -> None:
    """However many in a row: nobody else gets the whole of its share."""
    unit.cut_off("h2")
    assert unit.place("linear-long", clients(version, 6)) == ["h1", "h1", "h3"] * 2


@pytest.mark.parametrize("how", Choose)
def test_nobody_is_chosen_if_none_can_be_reached(
    unit: ChoosingUnit, how: Choose, version: int
) -> None:
    for name, _ in TEN:
        unit.cut_off(name)
    assert unit.send(unit.to(how, Client(version)).syn()).reason == "no_host"


@pytest.mark.parametrize("how", Choose)
def test_the_last_host_gets_all(unit: ChoosingUnit, how: Choose, version: int) -> None:
    for name, _ in TEN[1:]:
        unit.cut_off(name)
    assert set(unit.place(how, clients(version, 50))) == {"h1"}


@pytest.mark.parametrize("how", Choose)
def test_a_pool_of_one(unit: ChoosingUnit, how: Choose, version: int) -> None:
    assert set(unit.place(f"{how}-one", clients(version, 10))) == {"h7"}


def hash_of(client: Client, how: str) -> int:
    """What the program hashes, once more in Python."""
    source, target, sport, dport = client.four_tuple
    message = ip_address(source).packed
    if how == "maglev":
        message += ip_address(target).packed + struct.pack("!HHB3x", sport, dport, client.proto)
    message += bytes(-len(message) % 8)
    return siphash24(choosing_key(KEY), message)


@pytest.mark.parametrize("how", HASHES)
def test_a_hash_points_at_a_place_of_the_table(unit: ChoosingUnit, how: str, version: int) -> None:
    new = clients(version, 100, addresses=50)
    first = unit.datapath.pools.get(unit.deck(how).number).first
    table = unit.datapath.cards.values(first, SIZES[0])
    places = [(hash_of(unit.to(how, one), how) & 0xFFFFFFFF) % SIZES[0] for one in new]
    hosts = [unit.site.hosts[unit.endpoints[table[place]].host].name for place in places]
    assert unit.place(how, new) == hosts


def test_one_client_stays_with_its_host(unit: ChoosingUnit, version: int) -> None:
    """Whatever its ports, and whatever the service, if the hosts are the same."""
    hosts = unit.place("client-ip", clients(version, 200, addresses=20))
    assert [set(hosts[i::20]) for i in range(20)] == [{host} for host in hosts[:20]]
    assert len(set(hosts)) > 3
    assert unit.place("client-ip-again", clients(version, 20, addresses=20)) == hosts[:20]


def test_connections_of_one_client_are_spread(unit: ChoosingUnit, version: int) -> None:
    assert set(unit.place("maglev", clients(version, 300))) == {name for name, _ in TEN}


@pytest.mark.parametrize("how", HASHES)
def test_hashes_spread_by_weight(unit: ChoosingUnit, how: str, version: int) -> None:
    """Within five standard deviations of drawing by lot."""
    number = 1500
    hosts = Counter(unit.place(f"{how}-4321", clients(version, number, addresses=number)))
    for name, share in {"h1": 0.4, "h2": 0.3, "h3": 0.2, "h4": 0.1}.items():
        assert abs(hosts[name] - number * share) < 5 * (number * share * (1 - share)) ** 0.5


def test_units_agree_whatever_the_order_in_the_site_file(unit: ChoosingUnit, version: int) -> None:
    new = clients(version, 300, addresses=300)
    # In the same place, so that the service has the same port, which is hashed.
    turned: Pools = {name: (how, weights[::-1]) for name, (how, weights) in POOLS.items()}
    with ChoosingUnit(turned) as other:
        assert other.site.hosts != unit.site.hosts
        for how in HASHES:
            chosen = unit.place(f"{how}-mixed", new)
            assert other.place(f"{how}-mixed", new) == chosen
            unit.forget()
            assert unit.place(f"{how}-mixed", new) == chosen


@pytest.mark.parametrize("how", HASHES)
def test_of_a_lost_host_the_clients_move_and_no_others(
    unit: ChoosingUnit, how: str, version: int
) -> None:
    new = clients(version, 1000, addresses=1000)
    before = unit.place(how, new)
    unit.forget()
    unit.cut_off("h4")
    after = unit.place(how, new)
    moved = Counter(b for a, b in zip(before, after, strict=True) if a != b)
    assert moved.total() == before.count("h4")
    assert set(moved) == {name for name, _ in TEN if name != "h4"}  # shared out among all


def test_taking_a_host_out_moves_few_others(unit: ChoosingUnit, version: int) -> None:
    """By address, since services differ in the port. A tenth has to move."""
    new = clients(version, 1000, addresses=1000)
    before, after = unit.place("client-ip", new), unit.place("client-ip-nine", new)
    moved = [a for a, b in zip(before, after, strict=True) if a != b]
    assert moved.count("h4") == before.count("h4")
    assert len(moved) - moved.count("h4") < 0.02 * len(new)


def test_hosts_beyond_a_small_deck_get_their_turn(version: int) -> None:
    many: Pools = {"many": (Choose.ROUND_ROBIN, [(f"h{n}", 1) for n in range(1, 1501)])}
    with ChoosingUnit(many) as unit:
        unit.datapath.cursors.set(0, 1400)
        hosts = unit.place("many", clients(version, 200))
    assert hosts == [f"h{1 + number % 1500}" for number in range(1400, 1600)]
