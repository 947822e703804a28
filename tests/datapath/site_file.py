"""The site that the packet programs are tested with."""

from __future__ import annotations

from typing import Any

from packets import HOSTS, TUNNEL, VIP

from pointsman.config.model import Site

__all__ = ["KEY", "make_site"]

KEY = bytes(range(16))


def make_site(rules: list[dict[str, Any]] | None = None, **tunnel: Any) -> Site:
    """Service 0 (port 80) is inspected, service 1 (port 81) plain; three hosts, pools a, b, all."""
    if rules is None:
        rules = [{"path_prefix": "/a", "pool": "a"}, {"path_prefix": "/b", "pool": "b"}]
    vips = [VIP[4], VIP[6]]
    return Site.model_validate(
        {
            "cluster": {"name": "test"},
            "tunnel": tunnel,
            "units": [
                {
                    "name": "u1",
                    "interface": "e0",
                    "addresses": ["10.1.0.1", "fd00:1::1"],
                    "tunnel": [TUNNEL[4], TUNNEL[6]],
                    "max_flows": 1024,
                }
            ],
            "hosts": [
                {"name": f"h{i + 1}", "interface": "e0", "addresses": [HOSTS[4][i], HOSTS[6][i]]}
                for i in range(3)
            ],
            "pools": [
                {"name": "a", "members": [{"host": "h1"}]},
                {"name": "b", "members": [{"host": "h2"}, {"host": "h3"}]},
                {"name": "all", "members": [{"host": f"h{i + 1}"} for i in range(3)]},
            ],
            "services": [
                {
                    "name": "web",
                    "addresses": vips,
                    "port": 80,
                    "inspect": "http",
                    "rules": rules,
                    "pool": "all",
                },
                {"name": "plain", "addresses": vips, "port": 81, "pool": "all"},
            ],
        }
    )
