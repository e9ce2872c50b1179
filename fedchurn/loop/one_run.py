"""One run at a time per contract, on one machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from fedchurn.contract.load import load_contract
from fedchurn.errors import BusyError, ReleaseError
from fedchurn.settings import Settings


@contextmanager
def one_run(
    settings: Settings, *, wait_seconds: float = 0.0, work: str = "train"
) -> Iterator[None]:
    """Holds the contract's lock; the operating system frees it when the process dies.

    Args:
        settings: name the contract and home.
        wait_seconds: how long to wait for another run to end; a person is told at once.
        work: ``train``, ``package`` or ``retrain``; only runs of the same work exclude each other.

    Raises:
        BusyError: another run of the same contract is under way.
        ContractError: there is no such contract.
        ReleaseError: the home folder cannot be written.
    """
    name = load_contract(settings.contract).contract  # the same for a name and for its path
    path = settings.home.resolve() / "locks" / f"{work}-{name}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=wait_seconds)
        lock.acquire()
    except Timeout:
        raise BusyError(
            f"another {work} run of contract {name!r} is under way",
            where=str(path),
            next_step="wait for it, or give this run another home (--set home=FOLDER)",
        ) from None
    except OSError as error:
        raise ReleaseError(
            f"cannot be written: {error.strerror or error}",
            where=str(path.parent),
            next_step="give rights there, or set home to another folder (--set home=FOLDER)",
        ) from error
    try:
        yield
    finally:
        lock.release()
