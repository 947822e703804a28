"""Which applications a lab's hosts run, from the site alone."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from pointsman.config.model import Application, Site
from pointsman.lab.jobs import Job, jobs
from pointsman.lab.plan import make_plan

DEMO = Path(__file__).parents[3] / "examples" / "demo.yaml"
H1 = (ip_address("10.1.0.11"), ip_address("fd00:1::11"))
VIPS = (ip_address("203.0.113.10"), ip_address("2001:db8:10::10"))


@pytest.fixture
def demo() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(DEMO.read_text())
    return document


def jobs_of(document: dict[str, Any], host: str = "h1") -> dict[Application, Job]:
    found = jobs(Site.model_validate(document))
    return {job.application: job for job in found if job.host == host}


def test_nginx_is_on_every_host_and_port(demo: dict[str, Any]) -> None:
    for host in ("h1", "h2", "h3"):
        (job,) = jobs_of(demo, host).values()
        assert (job.application, job.ports, job.own_ports) == (Application.NGINX, (80, 81), ())


def test_no_application_is_no_job(demo: dict[str, Any]) -> None:
    demo["lab"]["application"] = "none"
    assert jobs(Site.model_validate(demo)) == []


def test_ports_of_endpoints_are_served_by_their_hosts(demo: dict[str, Any]) -> None:
    demo["pools"][0]["members"] = [{"host": "h1", "port": 8080}, {"host": "h1", "port": 8081}]
    job = jobs_of(demo)[Application.NGINX]
    assert (job.ports, job.own_ports) == ((80, 81, 8080, 8081), (8080, 8081))
    assert jobs_of(demo, "h2")[Application.NGINX].ports == (80, 81)


def add_dns(document: dict[str, Any], **service: Any) -> None:
    vips = [str(address) for address in VIPS]
    entry = {"name": "dns", "addresses": vips, "protocol": "udp", "port": 53, "pool": "a"}
    document["services"].append(entry | service)
    document["lab"]["applications"] = {"dns": "dns"}


def test_dns_is_on_the_hosts_of_its_pool_and_names_its_addresses(demo: dict[str, Any]) -> None:
    add_dns(demo)
    assert jobs_of(demo)[Application.DNS] == Job("h1", Application.DNS, (53,), (), (*H1, *VIPS))
    assert jobs_of(demo)[Application.NGINX].ports == (80, 81)
    assert Application.DNS not in jobs_of(demo, "h2")


@pytest.mark.parametrize("forward", ["nat", "half-nat"])
def test_rewritten_destinations_are_the_hosts_own(demo: dict[str, Any], forward: str) -> None:
    add_dns(demo, forward=forward)
    assert jobs_of(demo)[Application.DNS].addresses == H1


def test_group_of_tcp_and_udp(demo: dict[str, Any]) -> None:
    add_dns(demo, protocol="tcp", port=None, listen=["tcp/5201", "udp/5201-5203", "gre"])
    demo["lab"]["applications"] = {"dns": "iperf3"}
    assert jobs_of(demo)[Application.IPERF3].ports == (5201, 5202, 5203)


def test_addresses_of_endpoints_are_on_the_hosts_interface(demo: dict[str, Any]) -> None:
    demo["pools"][0]["members"] = [{"host": "h1", "addresses": ["10.1.0.77"], "port": 8080}]
    node = make_plan(Site.model_validate(demo)).node("h1")
    assert [str(one) for one in node.addresses] == ["10.1.0.11/16", "fd00:1::11/64", "10.1.0.77/16"]
    assert node.loopback == ()


def test_host_without_agent_has_layer_two_addresses_on_its_loopback(demo: dict[str, Any]) -> None:
    demo["hosts"][0]["agent"] = False
    demo["services"][1]["forward"] = "l2"
    plan = make_plan(Site.model_validate(demo))
    assert plan.node("h1").loopback == VIPS
    assert plan.node("h2").loopback == ()
