"""The configuration of a host's nginx, as nginx itself judges it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pointsman.lab.nginx import Nginx


def test_nginx_accepts_it_and_each_port_listens_once(tmp_path: Path) -> None:
    nginx = Nginx("h1", tmp_path / "h1", tmp_path / "files")
    argv = nginx.prepare([8081, 8080, 8081])
    text = (nginx.dir / "nginx.conf").read_text()
    assert text.count("listen [::]:8081 ") == 1
    assert text.count("listen [::]:8080 ") == 1
    done = subprocess.run([*argv, "-t"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
