"""Who may take part in a federation: key files, made once and carried to where they belong.

    FOLDER/authority.key       signs link certificates; keep it off the network
    FOLDER/link/               for the link's host
    FOLDER/driver/             for the host that trains
    FOLDER/clients/NAME/       for one client's host, and nobody else's

A client is known by its key: the name it goes by is the name of its public key's file.
"""

from __future__ import annotations

import datetime
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fedchurn.errors import SettingsError
from fedchurn.federation.superlink.certificates import (
    Signed,
    hosts_of,
    new_authority,
    new_key,
    new_server,
)

ROOTS = "roots.crt"
SERVER_CERTIFICATE, SERVER_KEY = "server.crt", "server.key"
DRIVER_SECRET = "driver.secret"  # noqa: S105  (a file name)
CLIENT_KEY = "client.key"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SECRET_BYTES = 32


@dataclass(frozen=True)
class MadeKeys:
    """What ``make_keys`` wrote, and what it left as it was."""

    folder: Path
    made: tuple[str, ...]
    kept: tuple[str, ...]


def make_keys(
    folder: Path,
    clients: Sequence[str],
    hosts: Sequence[str] = (),
    *,
    replace: bool = False,
    now: datetime.datetime | None = None,
) -> MadeKeys:
    """Make what is missing: authority, link certificate, driver's secret, a key pair per client.

    Args:
        folder: made if need be; readable by its owner alone.
        clients: names; letters, digits, dot, dash and underscore.
        hosts: names or addresses by which clients and driver reach the link, beside localhost.
        replace: make new keys of the clients named, a new link certificate and a new secret. The
            authority stays: for another one take another folder.
        now: time of the certificates, UTC.

    Raises:
        SettingsError: a name cannot be a file name, or a key is there and is not to be replaced.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    names = [_checked_name(name) for name in clients]
    taken = [name for name in names if client_key(folder, name).exists()]
    if taken and not replace:
        raise SettingsError(
            f"there is a key of {', '.join(taken)} already",
            where=f"{folder / 'clients'}",
            next_step="name only new clients, or give --replace to make the old keys worthless",
        )
    files = _KeyFiles(folder, replace)
    authority = files.authority(now)
    files.server(authority, hosts, now)
    files.secret()
    for name in names:
        files.client(name, authority)
    return MadeKeys(folder, tuple(files.made), tuple(files.kept))


def client_key(folder: Path, name: str) -> Path:
    """Where the private key of a client lies in the folder that ``make_keys`` wrote."""
    return folder / "clients" / name / CLIENT_KEY


def read_public_keys(folder: Path) -> dict[str, bytes]:
    """Client name -> public key (PEM, as the link stores it) of ``folder/clients/NAME.pub``.

    Raises:
        SettingsError: there is none, or a file is not an elliptic curve key.
    """
    files = sorted((folder / "clients").glob("*.pub"))
    if not files:
        raise SettingsError(
            "no public key of a client",
            where=f"{folder / 'clients'}",
            next_step="make keys with `fedchurn federate keys`, and give its link or driver folder",
        )
    return {file.stem: _public_pem(file) for file in files}


def read_private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A client's private key.

    Raises:
        SettingsError: the file is missing or holds no elliptic curve key.
    """
    try:
        key = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(
            f"no private key can be read: {error}",
            where=f"{path}",
            next_step="give client.key of the folder that `fedchurn federate keys` made",
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise SettingsError("not an elliptic curve key", where=f"{path}")
    return key


def read_file(path: Path, what: str) -> bytes:
    """The bytes of a key file.

    Raises:
        SettingsError: it is not there.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(
            f"{what} cannot be read: {error.strerror}",
            where=f"{path}",
            next_step="`fedchurn federate keys` tells which file goes where",
        ) from error


class _KeyFiles:
    """Writes files of mode 0600 and notes which; one that is there stays, unless replaced."""

    def __init__(self, folder: Path, replace: bool) -> None:
        self._folder = folder
        self._replace = replace
        self.made: list[str] = []
        self.kept: list[str] = []

    def authority(self, now: datetime.datetime) -> Signed:
        key = self._folder / "authority.key"
        if key.exists():
            self.kept.append("authority.key")
            return Signed(self._roots(), key.read_bytes())
        authority = new_authority(now)
        self._write("authority.key", authority.key)
        self._write(f"link/{ROOTS}", authority.certificate)
        self._write(f"driver/{ROOTS}", authority.certificate)
        return authority

    def _roots(self) -> bytes:
        """The authority's certificate: folders may have been moved to where they belong."""
        places = [self._folder / side / ROOTS for side in ("link", "driver")]
        places += sorted((self._folder / "clients").glob(f"*/{ROOTS}"))
        for place in places:
            if place.exists():
                return place.read_bytes()
        raise SettingsError(
            f"there is an authority's key, but no {ROOTS} beside it",
            where=f"{self._folder}",
            next_step=f"copy {ROOTS} back into link/, from any host of the federation; or take"
            " another folder for a new authority",
        )

    def server(self, authority: Signed, hosts: Sequence[str], now: datetime.datetime) -> None:
        path = self._folder / "link" / SERVER_CERTIFICATE
        if path.exists() and not self._replace:
            known = hosts_of(path.read_bytes())
            if strangers := [host for host in hosts if host not in known]:
                raise SettingsError(
                    f"the link's certificate does not speak for {', '.join(strangers)}",
                    where=f"{path}",
                    next_step="give --replace with every --host it is to speak for",
                )
            self.kept.append(f"link/{SERVER_CERTIFICATE}")
            return
        server = new_server(authority, hosts, now)
        self._write(f"link/{SERVER_CERTIFICATE}", server.certificate)
        self._write(f"link/{SERVER_KEY}", server.key)

    def secret(self) -> None:
        sides = [
            side for side in ("link", "driver") if (self._folder / side / DRIVER_SECRET).exists()
        ]
        if sides and not self._replace:
            self.kept.append(f"{sides[0]}/{DRIVER_SECRET}")
            return
        secret = secrets.token_hex(_SECRET_BYTES).encode()
        for side in ("link", "driver"):
            self._write(f"{side}/{DRIVER_SECRET}", secret)

    def client(self, name: str, authority: Signed) -> None:
        key = new_key()
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        self._write(f"clients/{name}/{CLIENT_KEY}", private)
        self._write(f"clients/{name}/{ROOTS}", authority.certificate)
        for side in ("link", "driver"):
            self._write(f"{side}/clients/{name}.pub", public + f" {name}\n".encode())

    def _write(self, name: str, content: bytes) -> None:
        path = self._folder / name
        for folder in reversed([f for f in path.parents if not f.exists()]):
            folder.mkdir(mode=0o700, exist_ok=True)
        new = path.with_name(f"{path.name}.new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        new.replace(path)
        self.made.append(name)


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"a client cannot be called {name!r}",
            where="--clients",
            next_step="take letters, digits, dot, dash and underscore, 64 at most",
        )
    return name


def _public_pem(path: Path) -> bytes:
    try:
        key = serialization.load_ssh_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise SettingsError(f"no public key can be read: {error}", where=f"{path}") from error
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
