"""Starts the distribution's NSD, unmodified, on a lab's host: the zone `lab.test`.

| name | type | answer |
| --- | --- | --- |
| host.lab.test | TXT | the host's name |
| small.lab.test | A, AAAA | one address |
| big.lab.test | TXT | the host's name, and 2,000 bytes more: over UDP, fragments |
| many.lab.test | AAAA | 60 addresses, 1,680 bytes |
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pointsman.config.model import Address

__all__ = ["Nsd"]

# No limit on answers a second: all of a lab's questions come from few clients.
CONFIGURATION = """\
server:
    username: ""
    server-count: 1
    database: ""
    zonesdir: "{dir}"
    zonelistfile: "{dir}/zone.list"
    xfrdfile: "{dir}/xfrd.state"
    xfrdir: "{dir}"
    pidfile: "{dir}/nsd.pid"
    logfile: "{dir}/nsd.log"
    ipv4-edns-size: 4096
    ipv6-edns-size: 4096
    rrl-ratelimit: 0
{listen}
remote-control:
    control-enable: no
zone:
    name: lab.test
    zonefile: lab.zone
"""
ZONE = """\
$ORIGIN lab.test.
$TTL 60
@ SOA ns admin 1 3600 600 86400 60
@ NS ns
ns A 192.0.2.53
host TXT "{host}"
small A 192.0.2.1
small AAAA 2001:db8::1
big TXT "{host}" {padding}
{many}
"""
PADDING = " ".join(f'"{"x" * 250}"' for _ in range(8))
MANY = "\n".join(f"many AAAA 2001:db8::{number:x}" for number in range(1, 61))


@dataclass(frozen=True, slots=True)
class Nsd:
    """One host's; everything it writes is in `dir`."""

    host: str
    dir: Path

    def prepare(self, addresses: Iterable[Address], ports: Iterable[int]) -> list[str]:
        """Lays out its directory; returns the command line that runs it in the foreground."""
        self.dir.mkdir(parents=True)
        ports = list(ports)
        listen = [f"    ip-address: {a}@{port}" for a in addresses for port in ports]
        path = self.dir / "nsd.conf"
        path.write_text(CONFIGURATION.format(dir=self.dir, listen="\n".join(listen)))
        zone = ZONE.format(host=self.host, padding=PADDING, many=MANY)
        (self.dir / "lab.zone").write_text(zone)
        return ["nsd", "-d", "-c", str(path)]
