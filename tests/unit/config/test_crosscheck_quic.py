"""What services that go by connection ids ask of the site."""

from __future__ import annotations

from typing import Any

import pytest
from site_edits import Document, Edit, findings, node, the_only

from pointsman.config.crosscheck import Finding

PATH = ("services", 2)
SERVICE: dict[str, Any] = {
    "name": "h3",
    "addresses": ["203.0.113.10"],
    "protocol": "udp",
    "port": 443,
    "inspect": "quic",
    "pool": "ids",
}
PLAIN = {"id": 0, "server_id_bytes": 2, "nonce_bytes": 6}


def ids(*configurations: dict[str, Any], first: str | None = "aa01", **changes: Any) -> Edit:
    """A QUIC service on h2 and h3, with server ids `first` and bb02."""

    def edit(document: Document) -> None:
        members = [{"host": "h2"}, {"host": "h3", "quic_server_id": "bb02"}]
        if first is not None:
            members[0]["quic_server_id"] = first
        document["pools"].append({"name": "ids", "members": members})
        quic = {"configurations": list(configurations or (PLAIN,))}
        document["services"].append({**SERVICE, "quic": quic, **changes})

    return edit


def test_a_site_with_quic_can_run() -> None:
    other = {"id": 6, "server_id_bytes": 2, "nonce_bytes": 17, "key_file": "key"}
    assert findings(ids()) == []
    assert findings(ids(PLAIN, other)) == []


def test_hosts_without_agent_serve_quic() -> None:
    def edit(document: Document) -> None:
        document["services"] = []
        node(document, "hosts", 1)["agent"] = False
        ids(forward="half-nat")(document)

    assert findings(edit) == []


@pytest.mark.parametrize(
    ("edit", "finding"),
    [
        (
            ids(quic=None),
            Finding(
                (*PATH, "inspect"),
                "service h3 does not say how its servers make connection ids",
                "add `quic` with `configurations`",
            ),
        ),
        (
            ids(inspect="none"),
            Finding(
                (*PATH, "quic"),
                "service h3 does not go by connection ids",
                "add `inspect: quic`, or take `quic` away",
            ),
        ),
        (
            ids(protocol="tcp"),
            Finding((*PATH, "inspect"), "QUIC is carried by UDP alone", "add `protocol: udp`"),
        ),
        (
            ids(PLAIN, PLAIN | {"nonce_bytes": 4}),
            Finding(
                (*PATH, "quic", "configurations", 1, "id"),
                "configuration 0 is there twice",
                "give each an id of its own, 0 to 6",
            ),
        ),
        (
            ids(PLAIN | {"nonce_bytes": 18}),
            Finding(
                (*PATH, "quic", "configurations", 0, "nonce_bytes"),
                "server id and nonce have 20 bytes together, and 19 fit",
                "shorten the nonce, to 4 bytes at least, or the server ids",
            ),
        ),
        (
            ids(first=None),
            Finding(
                ("pools", 3, "members", 0),
                "host h2 has no `quic_server_id`, for service h3",
                "give it one",
            ),
        ),
        (
            ids(first="aabb01"),
            Finding(
                ("pools", 3, "members", 0, "quic_server_id"),
                "has 3 bytes, and 2 in configuration 0 of service h3",
                "make all equally long",
            ),
        ),
        (
            ids(first="BB02"),
            Finding(
                ("pools", 3, "members", 1, "quic_server_id"),
                "bb02 is the server id of host h2 already",
                "give host h3 its own",
            ),
        ),
        (
            ids(rules=[{"path": "/", "pool": "ids"}]),
            Finding(
                (*PATH, "rules"),
                "service h3 has rules, but goes by connection ids",
                "take them away",
            ),
        ),
    ],
)
def test_what_cannot_run(edit: Edit, finding: Finding) -> None:
    assert the_only(findings(edit)) == finding


def test_no_group_goes_by_connection_ids() -> None:
    edit = ids(protocol="tcp", port=None, listen=["udp/443", "udp/8443"])
    assert (*PATH, "inspect") in {each.path for each in findings(edit)}
