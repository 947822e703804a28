"""The bench's harness: packets are as new at every repetition, and a wrong path is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from bench import XDP_TX, UnitBench
from harness import Clients, Harness
from host_bench import HostBench
from own_site import own_site
from packets import CLIENT, Client, split
from paths import (
    MODE_PORTS,
    PacketPath,
    WrongOutput,
    data_paths,
    host_paths,
    large_site,
    mode_paths,
    mode_site,
    opening_path,
    rule_site,
    scale_paths,
    unit_paths,
)
from quic_paths import QUIC_KEYS, quic_paths, quic_site
from site_file import KEY

from pointsman.datapath.reasons import Reason

pytestmark = pytest.mark.datapath

REPEAT = 8


@pytest.fixture(scope="module")
def harness() -> Iterator[Harness]:
    with Harness() as opened:
        yield opened


def run(harness: Harness, path: PacketPath, repeat: int = REPEAT) -> None:
    """As the bench does. WrongOutput if a repetition or the last packet is not as it should be."""
    if path.prepare:
        path.prepare()
    harness.load(path.frames)
    before = path.counts()
    clients = replace(path.clients) if path.clients else None
    made = harness.run(path.program_fd, repeat, clients=clients, tc=path.tc)
    path.check(made.verdict, made.frame, before, repeat)


def test_every_path_of_the_unit(harness: Harness, unit: UnitBench, version: int) -> None:
    paths = unit_paths(unit, version)
    assert len({path.name for path in paths}) == len(paths) > 3
    for path in paths:
        run(harness, path)


def test_every_way_to_forward(harness: Harness, version: int) -> None:
    with UnitBench(mode_site(), KEY) as unit:
        for mode in MODE_PORTS:
            for path in mode_paths(unit, version, *mode):
                run(harness, path)


def test_every_kind_of_connection_id(harness: Harness, version: int) -> None:
    with UnitBench(quic_site(), KEY, QUIC_KEYS) as unit:
        for path in quic_paths(unit, version):
            run(harness, path)


def test_every_path_of_the_host(harness: Harness, version: int) -> None:
    with HostBench(own_site(), KEY) as host:
        for path in host_paths(host, version):
            run(harness, path)


def test_first_data_is_judged_each_time(harness: Harness) -> None:
    with UnitBench(rule_site(10), KEY) as unit:
        request = b"GET /r0009/ HTTP/1.1\r\nHost: a\r\n\r\n"
        [path] = data_paths(unit, request, "data", REPEAT)
        run(harness, path)
        run(harness, path)
        assert unit.host_of(Client(4, port=20000, service_port=80)) == 0


def test_connections_that_were_opened_are_found_again(harness: Harness) -> None:
    with UnitBench(large_site(1000, 4096), KEY) as unit:
        run(harness, opening_path(unit, 64), 64)
        for path in scale_paths(unit, "64 open", 64):
            run(harness, path, 128)


def test_a_packet_is_new_at_every_repetition(harness: Harness, unit: UnitBench) -> None:
    """A bundle is longer than its packet at the front, and others follow in another length."""
    clients = [Client(4, port=port) for port in (1, 2)]
    frames = [clients[0].syn(), clients[1].syn(options=[("MSS", 1460), ("WScale", 7)])]
    for repeat in (1, 2, 7, 8):
        harness.load(frames)
        made = harness.run(unit.datapath.program_fd("forward"), repeat)
        assert made.verdict == XDP_TX
        assert made.frame[-len(frames[1 - repeat % 2]) + 14 :] == frames[1 - repeat % 2][14:]


@pytest.mark.parametrize("version", [4, 6])
def test_each_repetition_may_be_another_client(harness: Harness, version: int) -> None:
    client = Client(version)
    harness.load([client.syn()])
    clients = Clients(next=(3 << 15) - 1)
    seen = set()
    for _ in range(3):
        made = harness.run(harness.program_fd("bare_xdp"), 1, clients=clients)
        network, segment = split(made.frame)
        seen.add((network.src, segment.sport))
    last = {4: "198.51.0.{}", 6: "2001:db8:1::{}"}[version]
    assert seen == {(last.format(2), 65535), (last.format(3), 32768), (last.format(3), 32769)}


def test_floors_answer_as_a_balancer_would(harness: Harness, version: int) -> None:
    frame = Client(version, port=7).frame(flags="A")
    harness.load([frame])
    lookup = harness.program_fd(f"lookup{version}")
    assert harness.run(lookup, 3).verdict != XDP_TX
    assert harness.run(harness.program_fd(f"insert{version}"), 3).verdict == XDP_TX
    assert harness.run(lookup, 3).verdict == XDP_TX


def test_a_path_that_does_something_else_is_refused(harness: Harness, unit: UnitBench) -> None:
    path = unit_paths(unit, 4)[0]
    with pytest.raises(WrongOutput, match="BUNDLED_SYN"):
        run(harness, replace(path, frames=[Client(4, port=9).syn()]), 1)
    with pytest.raises(WrongOutput, match="bytes to"):
        run(harness, replace(path, destinations=frozenset({CLIENT[4]})))
    with pytest.raises(WrongOutput, match="counted"):
        run(harness, replace(path, reason=Reason.TAUGHT))
