"""Servers where uploads look for them; nobody connects to them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from packets import HOSTS, VIP

__all__ = ["listeners"]

FREEBIND = {4: (socket.SOL_IP, 15), 6: (socket.IPPROTO_IPV6, 78)}
FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}


@contextmanager
def listeners() -> Iterator[None]:
    """At the virtual IPs, and at an endpoint of the host's own. The addresses need not be there."""
    places = [(VIP, 80), (VIP, 443), ({4: HOSTS[4][0], 6: HOSTS[6][0]}, 8080)]
    with ExitStack() as stack:
        for addresses, port in places:
            for version, family in FAMILY.items():
                server = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
                server.setsockopt(*FREEBIND[version], 1)
                server.bind((addresses[version], port))
                server.listen()
        yield
