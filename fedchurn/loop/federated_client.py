"""One client of a federation: its own file, read and checked here, then questions answered."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from fedchurn.contract.load import contract_digest, load_contract
from fedchurn.errors import BusyError
from fedchurn.loop.client_rows import CheckedClient, client_table_from_file
from fedchurn.release.personal import own_folder
from fedchurn.settings import Settings

FOLDER = "client"  # under the client's home


@dataclass(frozen=True)
class ClientOptions:
    """What starts a client.

    Attributes:
        name: the client's; that of its public key's file at the link.
        data: file, SQLAlchemy URL or ``env:NAME``.
        link: HOST:PORT of the link for clients.
        key: file of the client's private key.
        roots: file of the certificate that vouches for the link.
    """

    name: str
    data: str
    link: str
    key: Path
    roots: Path


def serve_own_file(
    options: ClientOptions,
    settings: Settings,
    tell: Callable[[str], None],
    is_ended: Callable[[], bool] = lambda: False,
) -> CheckedClient:
    """Read, check and split one file, then answer the driver until ``is_ended``.

    Nothing leaves this process before the rows are checked, and no rows ever do.

    Args:
        options: name, file, link and keys.
        settings: contract, ``quality``, ``split`` and ``federation.min_cell_rows`` (a driver can
            raise it, not lower it); the node's number and the quality page are kept under home.
        tell: takes lines for whoever watches.
        is_ended: asked between questions.

    Raises:
        SourceError, ValidationFailed, SplitError: the file; see ``client_table_from_file``.
        SettingsError: a key file is missing.
        BusyError: this home already has a client of this name running.
        FederationError: the link does not know the key, or cannot be trusted.
    """
    from fedchurn.federation.client.session import ClientSession
    from fedchurn.federation.flower.environment import apply_flower_settings
    from fedchurn.federation.privacy.noise_floor import with_noise_floor
    from fedchurn.federation.secure.switch import secured_handler
    from fedchurn.federation.superlink.client import ClientPlace, serve_client
    from fedchurn.federation.superlink.keys import read_file, read_private_key

    apply_flower_settings(os.environ, settings.home.resolve() / "flower")
    folder = settings.home / FOLDER
    place = ClientPlace(
        name=options.name,
        address=options.link,
        roots=read_file(options.roots, "the link's roots"),
        key=read_private_key(options.key),
        data=options.data,
        node_file=folder / f"{options.name}.node",
    )
    contract = load_contract(settings.contract)
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder / f"{options.name}.lock", options.name):
        tell(f"client {options.name}: reading and checking its rows")  # some seconds, even of few
        checked = client_table_from_file(
            options.data, contract, settings, client=options.name, reports=folder
        )
        checked.write_quarantine(folder)
        tell(
            f"client {options.name}: {checked.table.num_rows} rows, contract {contract.contract} "
            f"{contract.version} ({contract_digest(contract)[:12]})"
        )
        session = ClientSession(
            checked.table,
            contract,
            min_cell_rows=settings.federation.min_cell_rows,
            validation=checked.validation,
            personal=own_folder(settings.home, contract.contract, options.name),
        )
        guarded = with_noise_floor(options.name, session, settings.privacy)
        handler = secured_handler(options.name, guarded, settings.federation.secure)
        serve_client(place, handler, tell=tell, is_ended=is_ended)
    return checked


@contextmanager
def _alone(path: Path, name: str) -> Iterator[None]:
    """Holds a lock that the operating system frees when the process dies."""
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise BusyError(
            f"client {name!r} is running already",
            where=str(path),
            next_step="end it first, or give this one another name, key and home",
        ) from None
    try:
        yield
    finally:
        lock.release()
