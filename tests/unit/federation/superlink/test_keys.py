"""Key files: what is made, what is kept, and what proves what."""

from __future__ import annotations

import datetime
import ipaddress
import shutil
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from flwr.supercore.primitives.asymmetric import public_key_to_bytes

from fedchurn.errors import SettingsError
from fedchurn.federation.superlink.certificates import hosts_of
from fedchurn.federation.superlink.keys import (
    client_key,
    make_keys,
    read_private_key,
    read_public_keys,
)

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_what_goes_where(tmp_path: Path) -> None:
    made = make_keys(tmp_path / "keys", ["a", "b"], now=NOW)
    assert sorted(contents(tmp_path / "keys")) == sorted(made.made)
    assert sorted(made.made) == [
        "authority.key",
        "clients/a/client.key",
        "clients/a/roots.crt",
        "clients/b/client.key",
        "clients/b/roots.crt",
        "driver/clients/a.pub",
        "driver/clients/b.pub",
        "driver/driver.secret",
        "driver/roots.crt",
        "link/clients/a.pub",
        "link/clients/b.pub",
        "link/driver.secret",
        "link/roots.crt",
        "link/server.crt",
        "link/server.key",
    ]


def test_only_the_owner_can_read(tmp_path: Path) -> None:
    make_keys(tmp_path / "new" / "keys", ["a"], now=NOW)
    for path in (tmp_path / "new" / "keys", *(tmp_path / "new" / "keys").rglob("*")):
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path


def test_a_client_is_known_by_its_own_key(tmp_path: Path) -> None:
    make_keys(tmp_path, ["a", "b"], now=NOW)
    known = read_public_keys(tmp_path / "link")
    assert known == read_public_keys(tmp_path / "driver")
    for name in ("a", "b"):
        private = read_private_key(client_key(tmp_path, name))
        assert isinstance(private.curve, ec.SECP384R1)
        assert public_key_to_bytes(private.public_key()) == known[name]
    assert known["a"] != known["b"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "link.example.org", "192.0.2.7"])
def test_roots_vouch_for_the_link(tmp_path: Path, host: str) -> None:
    make_keys(tmp_path, [], ["link.example.org", "192.0.2.7"], now=NOW)
    assert verified(tmp_path / "link" / "server.crt", tmp_path / "link" / "roots.crt", host)


def test_roots_vouch_for_nothing_else(tmp_path: Path) -> None:
    make_keys(tmp_path / "one", [], now=NOW)
    make_keys(tmp_path / "other", [], now=NOW)
    server, roots = (
        tmp_path / "one" / "link" / "server.crt",
        tmp_path / "one" / "link" / "roots.crt",
    )
    assert not verified(server, roots, "link.example.org")
    assert not verified(server, tmp_path / "other" / "link" / "roots.crt", "localhost")


def verified(server: Path, roots: Path, host: str) -> bool:
    try:
        subject: x509.DNSName | x509.IPAddress = x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        subject = x509.DNSName(host)
    store = Store([x509.load_pem_x509_certificate(roots.read_bytes())])
    verifier = PolicyBuilder().store(store).time(NOW).build_server_verifier(subject)
    try:
        verifier.verify(x509.load_pem_x509_certificate(server.read_bytes()), [])
    except VerificationError:
        return False
    return True


def test_new_clients_leave_the_rest_alone(tmp_path: Path) -> None:
    make_keys(tmp_path, ["a"], ["link.example.org"], now=NOW)
    before = contents(tmp_path)
    made = make_keys(tmp_path, ["b"], ["link.example.org"], now=NOW)
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == set(made.made)
    assert all("b" in Path(name).parts or name.endswith("b.pub") for name in made.made)


def test_a_key_is_not_overwritten_unasked(tmp_path: Path) -> None:
    make_keys(tmp_path, ["a", "b"], now=NOW)
    before = contents(tmp_path)
    with pytest.raises(SettingsError, match="a key of a already"):
        make_keys(tmp_path, ["a", "c"], now=NOW)
    assert contents(tmp_path) == before


def test_a_folder_that_was_moved_to_its_host_makes_no_new_authority(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    make_keys(folder, ["a"], now=NOW)
    shutil.move(folder / "link", tmp_path / "at the link")
    before = contents(folder)
    make_keys(folder, ["b"], now=NOW)
    after = contents(folder)
    assert before == {name: after[name] for name in before}
    assert after["clients/b/roots.crt"] == before["clients/a/roots.crt"]


def test_an_authority_without_its_certificate_is_not_replaced(tmp_path: Path) -> None:
    make_keys(tmp_path, ["a"], now=NOW)
    for roots in tmp_path.rglob("roots.crt"):
        roots.unlink()
    before = contents(tmp_path)
    with pytest.raises(SettingsError, match=r"an authority's key, but no roots\.crt"):
        make_keys(tmp_path, ["b"], now=NOW)
    assert contents(tmp_path) == before


def test_replaced_are_the_named_clients_the_link_and_the_secret(tmp_path: Path) -> None:
    make_keys(tmp_path, ["a", "b"], now=NOW)
    before = contents(tmp_path)
    make_keys(tmp_path, ["a"], ["link.example.org"], replace=True, now=NOW)
    after = contents(tmp_path)
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {
        "clients/a/client.key",
        "driver/clients/a.pub",
        "driver/driver.secret",
        "link/clients/a.pub",
        "link/driver.secret",
        "link/server.crt",
        "link/server.key",
    }
    assert after["link/driver.secret"] == after["driver/driver.secret"]
    assert "link.example.org" in hosts_of(after["link/server.crt"])


def test_a_new_host_wants_a_new_certificate(tmp_path: Path) -> None:
    make_keys(tmp_path, [], now=NOW)
    with pytest.raises(SettingsError, match=r"does not speak for link\.example\.org") as raised:
        make_keys(tmp_path, [], ["localhost", "link.example.org"], now=NOW)
    assert "--replace" in raised.value.next_step


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "a b", "ä", "x" * 65])
def test_names_that_are_no_file_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="cannot be called"):
        make_keys(tmp_path / "keys", ["fine", name], now=NOW)
    assert not (tmp_path / "keys").exists()


def test_files_that_are_no_keys(tmp_path: Path) -> None:
    wrong = tmp_path / "clients" / "a.pub"
    wrong.parent.mkdir()
    with pytest.raises(SettingsError, match="no public key of a client"):
        read_public_keys(tmp_path)
    wrong.write_text("nothing")
    with pytest.raises(SettingsError, match="no public key can be read"):
        read_public_keys(tmp_path)
    with pytest.raises(SettingsError, match="no private key can be read"):
        read_private_key(wrong)
    with pytest.raises(SettingsError, match="no private key can be read"):
        read_private_key(tmp_path / "absent.key")
