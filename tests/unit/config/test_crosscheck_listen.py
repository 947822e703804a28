"""What a service answers to: protocols, ports, ranges of them, and groups of all these."""

from __future__ import annotations

import pytest
from site_edits import Document, Edit, findings, node

from pointsman.config.crosscheck import Finding

GROUP = {"name": "vpn", "addresses": ["203.0.113.10"], "listen": ["tcp/1723", "gre"], "pool": "b"}


def with_service(**changes: object) -> Edit:
    return lambda d: d["services"].append({**GROUP, **changes})


@pytest.mark.parametrize(
    ("changes", "path", "what", "mend"),
    [
        (
            {},
            ("services", 2, "pool"),
            "units would choose different hosts of pool b for flows of one client",
            "add `choose: client-ip` to pool b",
        ),
        (
            {"inspect": "http", "pool": "a"},
            ("services", 2, "inspect"),
            "group vpn goes by the client alone",
            "inspect ports in services of their own",
        ),
        (
            {"port": 80, "pool": "a"},
            ("services", 2, "listen"),
            "stands beside port or protocol",
            "say it all in listen",
        ),
        (
            {"listen": ["udp/20000-10000"], "pool": "a"},
            ("services", 2, "listen", 0),
            "udp/20000-10000 is no port and no range of ports",
            "take ports from 1 to 65535, the lower one first",
        ),
        (
            {"listen": ["udp/0"], "pool": "a"},
            ("services", 2, "listen", 0),
            "udp/0 is no port and no range of ports",
            "take ports from 1 to 65535, the lower one first",
        ),
        (
            {"listen": ["udp/70000"], "pool": "a"},
            ("services", 2, "listen", 0),
            "udp/70000 is no port and no range of ports",
            "take ports from 1 to 65535, the lower one first",
        ),
        (
            {"listen": ["tcp/70-90", "gre"], "pool": "a"},
            ("services", 2, "addresses"),
            "203.0.113.10 tcp/70-90 is service web already",
            "give one of them another address or port",
        ),
        (
            {"listen": [], "pool": "a"},
            ("services", 2),
            "service vpn has no port",
            "add `port`",
        ),
        (
            {"listen": [], "protocol": "gre", "port": 47, "pool": "a"},
            ("services", 2, "port"),
            "gre has no ports",
            "leave it out",
        ),
    ],
)
def test_what_a_service_listens_to(
    changes: dict[str, object], path: tuple[str | int, ...], what: str, mend: str
) -> None:
    assert Finding(path, what, mend) in findings(with_service(**changes))


def test_a_group_whose_pool_chooses_by_client() -> None:
    def edit(document: Document) -> None:
        node(document, "pools", 1)["choose"] = "client-ip"
        document["services"].append(GROUP)

    assert not [f for f in findings(edit) if f.path[:2] == ("services", 2) and "pool" in f.path]
