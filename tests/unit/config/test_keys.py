"""The cluster's key: only its owner reads it, nobody overwrites it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from pointsman.config.keys import KEY_BYTES, key_path, load_key, load_quic_keys, make_key_file
from pointsman.config.load import load_site
from pointsman.config.model import Site
from pointsman.errors import SystemRefusal

DEMO = Path(__file__).parents[3] / "examples" / "demo.yaml"


def key_file(tmp_path: Path, text: str, mode: int = 0o600) -> Path:
    path = tmp_path / "demo.key"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_new_key_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "demo.key"
    make_key_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_key(path) == bytes.fromhex(path.read_text())
    assert len(load_key(path)) == KEY_BYTES


def test_no_two_keys_are_alike(tmp_path: Path) -> None:
    make_key_file(tmp_path / "a")
    make_key_file(tmp_path / "b")
    assert load_key(tmp_path / "a") != load_key(tmp_path / "b")


def test_key_is_the_first_16_bytes(tmp_path: Path) -> None:
    path = key_file(tmp_path, "00112233445566778899aabbccddeeffAABB\n")
    assert load_key(path) == bytes.fromhex("00112233445566778899aabbccddeeff")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_key_that_others_may_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = key_file(tmp_path, 32 * "0", mode)
    with pytest.raises(SystemRefusal) as caught:
        load_key(path)
    assert caught.value.what == f"key file {path}: others than its owner may use it"
    assert caught.value.mend == f"chmod 600 {path}"


@pytest.mark.parametrize("text", ["", "\n", 31 * "0", 30 * "0", 32 * "x", "é" * 40])
def test_no_key_in_the_file(tmp_path: Path, text: str) -> None:
    path = key_file(tmp_path, text)
    with pytest.raises(SystemRefusal) as caught:
        load_key(path)
    assert caught.value.what == f"key file {path}: is not 32 hexadecimal digits or more"
    assert caught.value.mend == f"make a new one: pointsman keys make {path}"


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(SystemRefusal) as caught:
        load_key(tmp_path / "none")
    assert caught.value.what == f"key file {tmp_path}/none: there is none"
    assert caught.value.mend == f"make one: pointsman keys make {tmp_path}/none"


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(SystemRefusal) as caught:
        load_key(tmp_path)
    assert caught.value.what == f"key file {tmp_path}: Is a directory"
    assert caught.value.mend == "name another with --key-file"


def test_key_is_not_overwritten(tmp_path: Path) -> None:
    path = key_file(tmp_path, "precious")
    with pytest.raises(SystemRefusal) as caught:
        make_key_file(path)
    assert caught.value.what == f"key file {path}: exists already"
    assert caught.value.mend == "remove it first, if no unit or host needs it"
    assert path.read_text() == "precious"


def test_key_in_no_folder(tmp_path: Path) -> None:
    path = tmp_path / "none" / "demo.key"
    with pytest.raises(SystemRefusal, match="No such file or directory; name another path"):
        make_key_file(path)


def test_where_a_site_keeps_its_key() -> None:
    site = load_site(DEMO)
    assert key_path(site, DEMO) == Path("/etc/pointsman/demo.key")
    cluster = site.cluster.model_copy(update={"key_file": "keys/k"})
    named: Site = site.model_copy(update={"cluster": cluster})
    assert key_path(named, DEMO) == DEMO.parent / "keys" / "k"


def quic_site(key_file: str) -> Site:
    document = load_site(DEMO).model_dump(mode="json", exclude_unset=True)
    configurations = [
        {"id": 1, "server_id_bytes": 2, "nonce_bytes": 6, "key_file": key_file},
        {"id": 2, "server_id_bytes": 2, "nonce_bytes": 6},
    ]
    document["services"][1]["quic"] = {"configurations": configurations}
    return Site.model_validate(document)


def test_keys_of_connection_ids(tmp_path: Path) -> None:
    path = key_file(tmp_path, "00112233445566778899aabbccddeeff")
    site = quic_site(path.name)
    name = site.services[1].name
    wanted = bytes.fromhex("00112233445566778899aabbccddeeff")
    assert load_quic_keys(site, tmp_path / "site.yaml") == {(name, 1): wanted}


def test_key_of_connection_ids_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SystemRefusal, match=r"none\.key: there is none"):
        load_quic_keys(quic_site("none.key"), tmp_path / "site.yaml")
