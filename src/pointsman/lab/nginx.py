"""Starts the distribution's nginx, unmodified, on a lab's host.

| request | answer |
| --- | --- |
| anything not below | 200, `host NAME METHOD URI` |
| GET /files/NAME, /a/files/NAME, /b/files/NAME | the lab's shared file |
| PUT or POST /upload/NAME, /a/upload/NAME, /b/upload/NAME | 201 or 204; the body is kept |
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointsman.errors import SystemRefusal

__all__ = ["Nginx"]

# nginx stores the body of a PUT only: a POST reaches it as one through a socket of its own.
# One socket listens for both families, so an IPv4 client is ::ffff:a.b.c.d: the log says a.b.c.d.
CONFIGURATION = """\
user root;
worker_processes 1;
worker_rlimit_nofile 100000;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 32768; }}
http {{
    map $remote_addr $client {{
        default $remote_addr;
        ~^::ffff:(?<ipv4>.+)$ $ipv4;
    }}
    log_format lab '$client $remote_port "$request" $status $host';
    access_log {dir}/access.log lab;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_max_body_size 0;
    default_type text/plain;
    client_body_temp_path {dir}/tmp/body;
    proxy_temp_path {dir}/tmp/proxy;
    fastcgi_temp_path {dir}/tmp/fastcgi;
    uwsgi_temp_path {dir}/tmp/uwsgi;
    scgi_temp_path {dir}/tmp/scgi;
    server {{
{listen}
        location / {{ return 200 "host {host} $request_method $request_uri\\n"; }}
        location ~ ^(?:/[ab])?/files/([^/]+)$ {{ alias {files}/$1; }}
        location ~ ^(?:/[ab])?/upload/([^/]+)$ {{
            if ($request_method = POST) {{ return 418; }}
            error_page 418 = @post;
            alias {dir}/uploads/$1;
            dav_methods PUT;
        }}
        location @post {{
            proxy_method PUT;
            proxy_request_buffering off;
            proxy_pass http://unix:{dir}/put.sock;
        }}
    }}
    server {{
        listen unix:{dir}/put.sock;
        access_log off;
        location ~ ^(?:/[ab])?/upload/([^/]+)$ {{
            alias {dir}/uploads/$1;
            dav_methods PUT;
        }}
    }}
}}
"""
LOOK_EVERY_S = 0.01
LISTEN = "        listen [::]:{port} ipv6only=off backlog=4096;"


@dataclass(frozen=True, slots=True)
class Nginx:
    """One host's nginx; everything it writes is in `dir`."""

    host: str
    dir: Path
    files: Path
    """What it serves below /files/."""

    @property
    def access_log(self) -> Path:
        """A line per request: address, port, "request line", status, host asked for."""
        return self.dir / "access.log"

    @property
    def uploads(self) -> Path:
        """What was put below /upload/, by its name."""
        return self.dir / "uploads"

    def configuration(self, ports: Iterable[int]) -> str:
        listen = "\n".join(LISTEN.format(port=port) for port in sorted(set(ports)))
        return CONFIGURATION.format(host=self.host, dir=self.dir, files=self.files, listen=listen)

    def prepare(self, ports: Iterable[int]) -> list[str]:
        """Lays out its directory; returns the command line that runs it in the foreground."""
        for directory in (self.dir / "tmp", self.uploads):
            directory.mkdir(parents=True)
        path = self.dir / "nginx.conf"
        path.write_text(self.configuration(ports))
        errors = str(self.dir / "error.log")
        return ["nginx", "-e", errors, "-c", str(path), "-g", "daemon off;"]

    def wait_listening(self, master: subprocess.Popen[Any], deadline: float) -> None:
        """`deadline` is of time.monotonic(). Raises SystemRefusal with nginx's own words."""
        while time.monotonic() < deadline:
            # It writes its number down when all its sockets listen.
            if self.pid() is not None:
                return
            try:
                master.wait(LOOK_EVERY_S)
            except subprocess.TimeoutExpired:
                continue
            break
        said = (self.dir / "error.log").read_text().splitlines()
        raise SystemRefusal(
            f"nginx on host {self.host}: {said[-1] if said else 'no word in time'}",
            f"see {self.dir / 'nginx.conf'}",
        )

    def pid(self) -> int | None:
        """The master's; None until it has written it down."""
        try:
            return int((self.dir / "nginx.pid").read_text())
        except (FileNotFoundError, ValueError):
            return None
