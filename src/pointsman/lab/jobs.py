"""Which applications a lab's hosts run, and where those listen. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from pointsman.config.endpoints import endpoints
from pointsman.config.model import Address, Application, Forward, Host, Lab, Listen, Protocol, Site

__all__ = ["Job", "jobs", "loopback_addresses", "own_addresses"]

ON_VIRTUAL_ADDRESSES = (Forward.TUNNEL, Forward.L2)
"""What is forwarded so reaches the host as the client has sent it."""
WEB = (Application.NGINX, Application.TLS)


@dataclass(frozen=True, slots=True)
class Job:
    """What one host does for some services."""

    host: str
    application: Application
    ports: tuple[int, ...]
    own_ports: tuple[int, ...]
    """Those of them that are ports of endpoints of their own."""
    addresses: tuple[Address, ...]
    """Where to listen, for those who must name them: the host's own, and virtual ones."""


def jobs(site: Site) -> list[Job]:
    """In the order of hosts; none for applications that are `none`."""
    if site.lab is None:
        return []
    made = [
        _job(site, site.lab, host, application)
        for host in site.hosts
        for application in Application
        if application is not Application.NONE
    ]
    return [job for job in made if job.ports]


def _job(site: Site, lab: Lab, host: Host, application: Application) -> Job:
    ports: set[int] = set()
    own: set[int] = set()
    addresses = own_addresses(site, host.name)
    members = defaultdict(list)
    for endpoint in endpoints(site):
        if site.hosts[endpoint.host] == host:
            members[endpoint.service.name].append(endpoint.member)
    for service in site.services:
        if lab.applications.get(service.name, lab.application) is not application:
            continue
        # Web servers are on every host, so that one can be asked past the balancer, too.
        if service.name in members or application in WEB:
            ports |= set(_ports(service.listens, application))
        own |= {member.port for member in members[service.name] if member.port is not None}
        if service.name in members and service.forward in ON_VIRTUAL_ADDRESSES:
            addresses += service.addresses
    unique = tuple(dict.fromkeys(addresses))
    return Job(host.name, application, tuple(sorted(ports | own)), tuple(sorted(own)), unique)


def _ports(listens: Iterable[Listen], application: Application) -> Iterable[int]:
    """Web servers speak TCP only; the others what comes."""
    for listen in listens:
        udp = listen.protocol is Protocol.UDP and application not in WEB
        if listen.protocol is Protocol.TCP or udp:
            yield from range(listen.first, listen.last + 1)


def own_addresses(site: Site, host: str) -> list[Address]:
    """The host's, and those of endpoints of their own on it."""
    found = [address for one in site.hosts if one.name == host for address in one.addresses]
    for pool in site.pools:
        for member in pool.members:
            if member.host == host:
                found += member.addresses
    return list(dict.fromkeys(found))


def loopback_addresses(site: Site, host: str) -> list[Address]:
    """Virtual ones that a host without agent needs for layer 2."""
    found: list[Address] = []
    for endpoint in endpoints(site):
        one, service = site.hosts[endpoint.host], endpoint.service
        if one.name == host and not one.agent and service.forward is Forward.L2:
            found += service.addresses
    return list(dict.fromkeys(found))
