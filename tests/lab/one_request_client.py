"""python3 one_request_client.py ADDRESS PORT PATH COUNT PARALLEL

Opens COUNT connections, PARALLEL at a time, sends one request on each and reads to the end.
Prints {"answered": n, "failures": {"what happened": n}}. Standard library only.
"""

from __future__ import annotations

import json
import resource
import selectors
import socket
import sys
import time
from collections import Counter

TIMEOUT_S = 20.0


class Connection:
    def __init__(self, family: int, address: str, port: int, request: bytes) -> None:
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.setblocking(False)
        self.request = request
        self.answer = b""
        self.began = time.monotonic()
        self.connected = False
        self.sock.connect_ex((address, port))

    def proceed(self) -> str | None:
        """What became of it; None if it goes on."""
        if not self.connected:
            error = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                return f"connect: errno {error}"
            self.connected = True
            self.sock.send(self.request)
            return None
        try:
            chunk = self.sock.recv(65536)
        except OSError as error:
            return f"read: {error.strerror}"
        if chunk:
            self.answer += chunk
            return None
        whole = self.answer.startswith(b"HTTP/1.1 200 ") and b"\r\n\r\nhost " in self.answer
        return "answered" if whole else f"cut short after {len(self.answer)} bytes"


def main() -> None:
    address, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    count, parallel = int(sys.argv[4]), int(sys.argv[5])
    resource.setrlimit(resource.RLIMIT_NOFILE, (parallel + 100, parallel + 100))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    request = f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    outcomes: Counter[str] = Counter()
    poll = selectors.EpollSelector()
    begun = 0
    live: dict[int, Connection] = {}
    while begun < count or live:
        while begun < count and len(live) < parallel:
            connection = Connection(family, address, port, request)
            live[connection.sock.fileno()] = connection
            poll.register(connection.sock, selectors.EVENT_WRITE, connection)
            begun += 1
        for key, _ in poll.select(1.0):
            connection = key.data
            outcome = connection.proceed()
            if outcome is None:
                poll.modify(connection.sock, selectors.EVENT_READ, connection)
            else:
                finish(poll, live, connection, outcome, outcomes)
        if len(live) == parallel or begun == count:
            now = time.monotonic()
            for connection in [c for c in live.values() if now - c.began > TIMEOUT_S]:
                finish(poll, live, connection, "timed out", outcomes)
    answered = outcomes.pop("answered", 0)
    print(json.dumps({"answered": answered, "failures": dict(outcomes)}))


def finish(
    poll: selectors.BaseSelector,
    live: dict[int, Connection],
    connection: Connection,
    outcome: str,
    outcomes: Counter[str],
) -> None:
    outcomes[outcome] += 1
    poll.unregister(connection.sock)
    del live[connection.sock.fileno()]
    connection.sock.close()


if __name__ == "__main__":
    main()
