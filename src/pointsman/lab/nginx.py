"""Starts the distribution's nginx, unmodified, on a lab's host.

| request | answer |
| --- | --- |
| anything not below | 200, `host NAME METHOD URI` |
| GET /files/NAME, /a/files/NAME, /b/files/NAME | the lab's shared file |
| PUT or POST /upload/NAME, /a/upload/NAME, /b/upload/NAME | 201 or 204; the body is kept |

At ports of endpoints of their own, each answer has a header `Endpoint: ADDRESS:PORT`. Behind TLS,
the certificate's name is the host's.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointsman.errors import SystemRefusal
from pointsman.lab.jobs import Job

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
    map $server_addr $own_address {{
        default $server_addr;
        ~^::ffff:(?<own_ipv4>.+)$ $own_ipv4;
    }}
    log_format lab '$client $remote_port "$request" $status $host';
    access_log {dir}/access.log lab;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_header_timeout 10m;
    client_max_body_size 0;
    default_type text/plain;
    client_body_temp_path {dir}/tmp/body;
    proxy_temp_path {dir}/tmp/proxy;
    fastcgi_temp_path {dir}/tmp/fastcgi;
    uwsgi_temp_path {dir}/tmp/uwsgi;
    scgi_temp_path {dir}/tmp/scgi;
{servers}
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
SERVER = """\
    server {{
{lines}
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
"""
LISTEN = "        listen [::]:{port} ipv6only=off backlog=4096;"
LISTEN_TLS = "        listen [::]:{port} ssl ipv6only=off backlog=4096;"
TLS = """\
        ssl_certificate {dir}/tls.crt;
        ssl_certificate_key {dir}/tls.key;"""
# Asking the socket costs a system call: only where it says something.
OWN = '        add_header Endpoint "$own_address:$server_port" always;'
LOOK_EVERY_S = 0.01


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

    def configuration(self, web: Job | None, tls: Job | None) -> str:
        own = web.own_ports if web else ()
        plain = [port for port in web.ports if port not in own] if web else []
        servers = [
            self._server(LISTEN, plain),
            self._server(LISTEN, own, OWN),
            self._server(LISTEN_TLS, tls.ports if tls else (), TLS.format(dir=self.dir)),
        ]
        return CONFIGURATION.format(dir=self.dir, servers="\n".join(servers))

    def _server(self, listen: str, ports: Iterable[int], *lines: str) -> str:
        listens = [listen.format(port=port) for port in ports]
        if not listens:
            return ""
        text = "\n".join([*listens, *lines])
        return SERVER.format(host=self.host, dir=self.dir, files=self.files, lines=text)

    def prepare(self, web: Job | None, tls: Job | None = None) -> list[str]:
        """Lays out its directory; returns the command line that runs it in the foreground."""
        for directory in (self.dir / "tmp", self.uploads):
            directory.mkdir(parents=True)
        if tls is not None:
            self._make_certificate()
        path = self.dir / "nginx.conf"
        path.write_text(self.configuration(web, tls))
        errors = str(self.dir / "error.log")
        return ["nginx", "-e", errors, "-c", str(path), "-g", "daemon off;"]

    def _make_certificate(self) -> None:
        argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        argv += ["-nodes", "-days", "7", "-subj", f"/CN={self.host}"]
        argv += ["-keyout", str(self.dir / "tls.key"), "-out", str(self.dir / "tls.crt")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemRefusal(
                f"a certificate for host {self.host}: {done.stderr.strip()}",
                "see that openssl works",
            )

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
