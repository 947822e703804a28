"""The lab itself, with none of our agents: network, nginx, up and down."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from lab_frames import checksum_holds, send_and_capture
from lab_names import lab_name

from pointsman.errors import PointsmanError, SystemRefusal
from pointsman.lab import namespaces
from pointsman.lab.lab import Lab
from pointsman.lab.state import labs_up

pytestmark = pytest.mark.lab

HOST_ADDRESSES = [
    ("h1", "10.1.0.11", "198.51.100.2"),
    ("h2", "10.1.0.12", "198.51.100.2"),
    ("h3", "10.1.0.13", "198.51.100.2"),
    ("h1", "[fd00:1::11]", "2001:db8:1::2"),
    ("h2", "[fd00:1::12]", "2001:db8:1::2"),
    ("h3", "[fd00:1::13]", "2001:db8:1::2"),
]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize(("host", "address", "client"), HOST_ADDRESSES)
@pytest.mark.parametrize("port", [80, 81])
def test_client_reaches_nginx(
    bare_lab: Lab, host: str, address: str, client: str, port: int
) -> None:
    url = f"http://{address}:{port}/a/small"
    answer = bare_lab.run("c1", ["curl", "-sS", "-m", "5", url]).stdout
    assert answer == f"host {host} GET /a/small\n"
    logged = bare_lab.nginx(host).access_log.read_text().splitlines()[-1]
    assert logged.split()[0] == client
    assert logged.endswith(f'"GET /a/small HTTP/1.1" 200 {address}')


@pytest.mark.parametrize(
    ("family", "destination", "units"),
    [
        ("-4", "203.0.113.10", {"10.1.0.1", "10.1.0.2"}),
        ("-6", "2001:db8:10::10", {"fd00:1::1", "fd00:1::2"}),
    ],
)
def test_router_spreads_a_virtual_address_over_units(
    bare_lab: Lab, family: str, destination: str, units: set[str]
) -> None:
    argv = ["ip", family, "-j", "route", "show", destination]
    (route,) = json.loads(bare_lab.run("router", argv).stdout)
    assert {hop["gateway"] for hop in route["nexthops"]} == units


@pytest.mark.parametrize("version", ["ipv4", "ipv6"])
def test_router_keeps_a_connection_on_one_unit(bare_lab: Lab, version: str) -> None:
    path = f"/proc/sys/net/{version}/fib_multipath_hash_policy"
    assert bare_lab.run("router", ["cat", path]).stdout == "1\n"


def test_only_units_ports_have_a_program(bare_lab: Lab) -> None:
    links = json.loads(bare_lab.run("router", ["ip", "-j", "link"]).stdout)
    assert {link["ifname"] for link in links if "xdp" in link} == {"u1", "u2"}


@pytest.mark.parametrize("sender", ["c1", "h1"])
def test_unit_meets_frames_as_from_a_wire(bare_lab: Lab, sender: str) -> None:
    packets = send_and_capture(bare_lab, sender, "u1", "10.1.0.1", 300_000)
    assert sum(len(packet) for packet in packets) > 300_000
    assert max(len(packet) for packet in packets) == 1500
    assert all(checksum_holds(packet) for packet in packets)


@pytest.mark.parametrize("path", ["/files/", "/a/files/", "/b/files/"])
def test_download_is_what_was_made(bare_lab: Lab, path: str, tmp_path: Path) -> None:
    made = bare_lab.make_file("one.bin", 3_000_001)
    got = tmp_path / "got"
    url = f"http://10.1.0.12{path}one.bin"
    bare_lab.run("c2", ["curl", "-sS", "-f", "-m", "20", "-o", str(got), url])
    assert sha256(got.read_bytes()) == sha256(made.read_bytes())
    assert got.stat().st_size == 3_000_001


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("path", ["/upload/", "/a/upload/", "/b/upload/"])
def test_host_keeps_what_was_uploaded(
    bare_lab: Lab, method: str, path: str, tmp_path: Path
) -> None:
    sent = tmp_path / "sent"
    sent.write_bytes(os.urandom(3_000_001))
    name = f"{method}-{path.replace('/', '')}"
    url = f"http://10.1.0.13:81{path}{name}"
    argv = ["curl", "-sS", "-f", "-m", "20", "-X", method, "--data-binary", f"@{sent}", url]
    bare_lab.run("c1", argv)
    kept = bare_lab.nginx("h3").uploads / name
    assert sha256(kept.read_bytes()) == sha256(sent.read_bytes())


def test_hosts_take_4096_waiting_connections(bare_lab: Lab) -> None:
    listening = bare_lab.run("h1", ["ss", "-Hltn", "sport = :80"]).stdout.split()
    assert listening[2] == "4096"


def test_command_that_fails_is_no_silence(bare_lab: Lab) -> None:
    done = bare_lab.run("c1", ["sh", "-c", "cat; exit 7"], check=False, input="words")
    assert (done.returncode, done.stdout) == (7, "words")


def test_overview_names_every_node(bare_lab: Lab) -> None:
    overview = {node.name: node for node in bare_lab.overview().nodes}
    assert set(overview) == {"router", "u1", "u2", "h1", "h2", "h3", "c1", "c2"}
    assert overview["h1"].addresses == ["10.1.0.11/16", "fd00:1::11/64"]
    assert overview["h1"].nginx_pid in namespaces.members([bare_lab.netns("h1")])
    assert overview["u1"].agent_pid is None


def test_taken_name_is_refused_and_its_lab_lives(bare_lab: Lab) -> None:
    with (
        pytest.raises(PointsmanError, match="exists already"),
        Lab(bare_lab.name, bare_lab.site_path) as second,
    ):
        second.up(agents=False)
    answer = bare_lab.run("c1", ["curl", "-sS", "-m", "5", "http://10.1.0.11/small"]).stdout
    assert answer.startswith("host h1")


def test_labs_side_by_side_and_down_leaves_nothing(demo_site: Path) -> None:
    with Lab(lab_name(), demo_site) as one, Lab(lab_name(), demo_site) as other:
        one.up(agents=False)
        other.up(agents=False)
        sleeper = one.popen("c1", ["sleep", "600"])
        gone = [node.netns for node in one.overview().nodes]
        nginx = [one.nginx(host).pid() for host in ("h1", "h2", "h3")]
        one.down()
        one.down()
        assert sleeper.returncode is not None
        assert not any(Path(f"/proc/{pid}").exists() for pid in nginx)
        assert not any(namespaces.exists(netns) for netns in gone)
        assert one.name not in labs_up()
        answer = other.run("c1", ["curl", "-sS", "-m", "5", "http://10.1.0.11/small"]).stdout
        assert answer.startswith("host h1")


def test_another_process_ends_a_lab(demo_site: Path) -> None:
    with Lab(lab_name(), demo_site) as lab:
        lab.up(agents=False)
        script = f"from pointsman.lab.lab import Lab; Lab.find({lab.name!r}).down()"
        subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
        assert not any(namespaces.exists(lab.netns(node.name)) for node in lab.plan.nodes)
        assert lab.name not in labs_up()


def test_half_built_lab_goes_away(demo_site: Path, tmp_path: Path) -> None:
    document = yaml.safe_load(demo_site.read_text())
    document["hosts"][2]["interface"] = "lo"
    spoilt = tmp_path / "site.yaml"
    spoilt.write_text(yaml.safe_dump(document))
    lab = Lab(lab_name(), spoilt)
    with pytest.raises(SystemRefusal, match=f"lab {lab.name}"):
        lab.up(agents=False)
    assert lab.name not in labs_up()
    assert not any(namespaces.exists(lab.netns(node.name)) for node in lab.plan.nodes)


def test_foreign_namespace_is_left_alone(demo_site: Path) -> None:
    lab = Lab(lab_name(), demo_site)
    foreign = lab.netns("h2")
    namespaces.create(foreign)
    try:
        with pytest.raises(PointsmanError, match=foreign):
            lab.up(agents=False)
        assert namespaces.exists(foreign)
        assert lab.name not in labs_up()
    finally:
        namespaces.delete(foreign)


def test_unknown_lab_and_node_are_named(bare_lab: Lab) -> None:
    with pytest.raises(PointsmanError, match="lab nosuchlab"):
        Lab.find("nosuchlab")
    with pytest.raises(PointsmanError, match="node nosuch"):
        bare_lab.start_agent("nosuch")
    with pytest.raises(PointsmanError, match="a client has no agent"):
        bare_lab.start_agent("c1")
    with pytest.raises(PointsmanError, match="no agent runs"):
        bare_lab.kill_agent("u1")
    with pytest.raises(PointsmanError, match="agent u1: no answer"):
        bare_lab.status("u1")
