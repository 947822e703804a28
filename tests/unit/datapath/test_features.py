"""What a machine may lack: one refusal each, naming the lack and the mend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pointsman.datapath.features import (
    require_btf,
    require_kfunc,
    require_libbpf,
    require_objects,
    require_root,
    require_syncookies,
)
from pointsman.errors import SystemRefusal

NOBODY = 65534


def test_this_machine_has_what_it_takes() -> None:
    require_libbpf()
    require_btf()
    require_kfunc("bpf_sk_assign_tcp_reqsk")
    require_syncookies()


def test_missing_libbpf() -> None:
    with pytest.raises(SystemRefusal, match=r"^libbpf.so.99: ") as caught:
        require_libbpf("libbpf.so.99")
    assert caught.value.mend == "install it: apt install libbpf1"


def test_missing_object(tmp_path: Path) -> None:
    (tmp_path / "unit.bpf.o").touch()
    with pytest.raises(SystemRefusal, match=r"/host.bpf.o: .* missing") as caught:
        require_objects(["unit.bpf.o", "host.bpf.o"], tmp_path)
    assert caught.value.mend.startswith("make build")


def test_kernel_without_btf(tmp_path: Path) -> None:
    with pytest.raises(
        SystemRefusal, match=r"/vmlinux: missing, so the kernel has no BTF"
    ) as caught:
        require_btf(tmp_path / "vmlinux")
    assert "6.8" in caught.value.mend
    with pytest.raises(SystemRefusal, match="has no BTF"):
        require_kfunc("bpf_sk_assign_tcp_reqsk", tmp_path / "vmlinux")


def test_unreadable_btf(tmp_path: Path) -> None:
    (tmp_path / "vmlinux").write_bytes(b"not BTF")
    with pytest.raises(SystemRefusal, match="cannot be read as BTF"):
        require_kfunc("bpf_sk_assign_tcp_reqsk", tmp_path / "vmlinux")


def test_kernel_without_the_kfunc() -> None:
    with pytest.raises(
        SystemRefusal, match=rf"kernel {os.uname().release}: has no bpf_no_such"
    ) as caught:
        require_kfunc("bpf_no_such")
    assert "6.8" in caught.value.mend


def test_syncookies_off_or_absent(tmp_path: Path) -> None:
    switch = tmp_path / "tcp_syncookies"
    with pytest.raises(SystemRefusal, match="has no SYN cookies"):
        require_syncookies(switch)
    switch.write_text("0\n")
    with pytest.raises(SystemRefusal, match="tcp_syncookies: is 0") as caught:
        require_syncookies(switch)
    assert caught.value.mend == "sysctl -w net.ipv4.tcp_syncookies=1"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_not_root() -> None:
    code = (
        "import os, sys; from pointsman.datapath.features import require_root\n"
        "from pointsman.errors import SystemRefusal\n"
        "require_root(); os.setuid(int(sys.argv[1]))\n"
        "try: require_root()\n"
        "except SystemRefusal as refusal: print(refusal.what)\n"
    )
    command = [sys.executable, "-c", code, str(NOBODY)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"not root (user id {NOBODY})\n"
    require_root()
