"""Clients of the lab's services, in a client's network namespace."""

from __future__ import annotations

import hashlib
import json
import socket
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pointsman.lab.lab import Lab

__all__ = [
    "VIP",
    "Result",
    "ask",
    "connections_of",
    "fetch",
    "hash_of",
    "one_request_connections",
    "url",
]

VIP = {4: "203.0.113.10", 6: "2001:db8:10::10"}
SCRIPT = Path(__file__).with_name("one_request_client.py")


def url(version: int, path: str, port: int = 80) -> str:
    name = VIP[version] if version == 4 else f"[{VIP[version]}]"
    return f"http://{name}:{port}{path}"


def fetch(lab: Lab, where: str, *options: str, client: str = "c1", timeout: float = 60) -> str:
    """What curl prints. CalledProcessError if it fails."""
    argv = ["curl", "--silent", "--show-error", "--fail", "--max-time", str(timeout), *options]
    return lab.run(client, [*argv, where], timeout=timeout + 10).stdout


def ask(
    lab: Lab,
    version: int,
    path: str = "/a",
    *,
    port: int = 80,
    source_port: int = 0,
    timeout: float = 5,
    client: str = "c1",
) -> str:
    """One request over a connection of its own; the host that answered. OSError if none did."""
    with lab.enter_netns(client):
        sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
    with sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.settimeout(timeout)
        if source_port:
            sock.bind(("", source_port))
        sock.connect((VIP[version], port))
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    return answer.split(b"\r\n\r\nhost ")[1].split()[0].decode()


@dataclass(frozen=True)
class Result:
    """Of many one-request connections."""

    answered: int
    failures: dict[str, int]


def one_request_connections(
    lab: Lab,
    version: int,
    path: str,
    *,
    count: int,
    parallel: int,
    port: int = 80,
    timeout: float = 110,
) -> Result:
    """All from one client address: `count` connections, `parallel` at a time."""
    argv = ["python3", str(SCRIPT), VIP[version], str(port), path, str(count), str(parallel)]
    done = lab.run("c1", argv, timeout=timeout)
    document = json.loads(done.stdout)
    return Result(document["answered"], document["failures"])


def hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def connections_of(lab: Lab, unit: str) -> Counter[tuple[str, str]]:
    """(service, host) to connections that the unit has bound."""
    traffic = lab.status(unit)["traffic"]
    return Counter(
        {
            (service, host): total["connections"]
            for service, hosts in traffic.items()
            for host, total in hosts.items()
        }
    )
