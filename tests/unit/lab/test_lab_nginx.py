"""The configuration of a host's nginx, as nginx itself judges it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pointsman.config.model import Application
from pointsman.lab.jobs import Job
from pointsman.lab.nginx import Nginx


def job(application: Application, ports: tuple[int, ...], own: tuple[int, ...] = ()) -> Job:
    return Job("h1", application, ports, own, ())


def test_nginx_accepts_it_and_each_port_listens_once(tmp_path: Path) -> None:
    nginx = Nginx("h1", tmp_path / "h1", tmp_path / "files")
    web = job(Application.NGINX, (8080, 8081, 8082), own=(8082,))
    argv = nginx.prepare(web, job(Application.TLS, (8443,)))
    text = (nginx.dir / "nginx.conf").read_text()
    for port in (8080, 8081, 8082, 8443):
        assert text.count(f"listen [::]:{port} ") == 1
    assert text.count("add_header Endpoint") == 1
    done = subprocess.run([*argv, "-t"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
