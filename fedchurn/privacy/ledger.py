"""The ledger: what every training spent of every client, for ever.

Before its first round a training reserves what it may spend; when it is over it settles what it
did spend. A training that was killed stays reserved, and counts in full. The file is append-only
and chained like every journal (``fedchurn.journal``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fedchurn.errors import PrivacyError
from fedchurn.journal.chained_file import ChainedFile, Words
from fedchurn.privacy.spending import Spending

_WORDS = Words(
    PrivacyError,
    busy="private training's booking",
    restored="without it nobody knows what was spent of whom",
)
RESERVE, SETTLE = "reserve", "settle"


@dataclass(frozen=True)
class LedgerEntry:
    """A line.

    Attributes:
        action: ``reserve`` or ``settle``.
        number: of the booking, 1-based; a settlement has its reservation's.
        training: key of the training.
        time: ISO 8601 with a UTC offset; given by the caller.
        mechanism, noise_multiplier, sampling_rate: see ``Spending``.
        epsilon, delta: what the training promises each client.
        num_rounds: per client, rounds in which its update may be (reserve) or may have been.
    """

    action: str
    number: int
    training: str
    time: str
    mechanism: str
    noise_multiplier: float
    sampling_rate: float
    epsilon: float
    delta: float
    num_rounds: Mapping[str, int]

    def __post_init__(self) -> None:
        if self.action not in (RESERVE, SETTLE):
            raise PrivacyError(f"unknown ledger action {self.action!r}")

    def spending(self, client: str) -> Spending:
        """What it spends of one client."""
        return Spending(
            self.mechanism,
            int(self.num_rounds.get(client, 0)),
            self.noise_multiplier,
            self.sampling_rate,
        )


def read_entry(stored: Mapping[str, Any]) -> LedgerEntry:
    """The entry behind a line."""
    return LedgerEntry(**stored)


def ledger_path(home: Path, contract: str) -> Path:
    """``HOME/privacy/CONTRACT/ledger.jsonl``; ``contract`` is the contract's name."""
    return home / "privacy" / contract / "ledger.jsonl"


class Ledger:
    """The ledger of one contract.

    Args:
        path: the JSONL file; made at the first entry. ``PATH.lock`` beside it is the lock.
        lock_seconds: how long to wait for another writer.
    """

    def __init__(self, path: Path, *, lock_seconds: float = 60.0) -> None:
        self.path = path
        self._file = ChainedFile(path, read_entry, _WORDS, lock_seconds=lock_seconds)

    def entries(self) -> tuple[LedgerEntry, ...]:
        """All lines in order; a torn last one (a writer was killed) does not count.

        Raises:
            PrivacyError: a line is altered.
        """
        return tuple(line.entry for line in self._file.lines())

    def bookings(self) -> tuple[LedgerEntry, ...]:
        """One entry per booking, in order: its settlement, or its reservation if there is none."""
        newest: dict[int, LedgerEntry] = {}
        for entry in self.entries():
            newest[entry.number] = entry
        return tuple(newest[number] for number in sorted(newest))

    def history(self) -> dict[str, tuple[Spending, ...]]:
        """Per client, what all trainings spent or may still spend of it."""
        found: dict[str, list[Spending]] = {}
        for booking in self.bookings():
            for client in booking.num_rounds:
                found.setdefault(client, []).append(booking.spending(client))
        return {client: tuple(found[client]) for client in sorted(found)}

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other trainings from booking, in this and in other processes; may be nested.

        Raises:
            BusyError: another writer holds it for longer than ``lock_seconds``.
            PrivacyError: the folder cannot be written.
        """
        with self._file.lock():
            yield

    def reserve(self, entry: LedgerEntry) -> LedgerEntry:
        """Book what a training may spend; on disk when this returns.

        Args:
            entry: with any number; it is given its own.

        Raises:
            PrivacyError: the disk refuses, or the ledger is altered; nothing was added.
        """
        with self._file.lock():
            lines = self._file.lines()
            number = max((li.entry.number for li in lines), default=0) + 1
            booked = replace(entry, action=RESERVE, number=number)
            self._file.append(booked, after=lines[-1] if lines else None)
            return booked

    def settle(self, reserved: LedgerEntry, num_rounds: Mapping[str, int], time: str) -> None:
        """Write what a training did spend, which is never more than it reserved.

        Of two processes that played one training each has spent, so the larger number stands.

        Raises:
            PrivacyError: more than was reserved; the disk refuses; or the ledger is altered.
        """
        for client, rounds in num_rounds.items():
            if rounds > reserved.num_rounds.get(client, 0):
                raise PrivacyError(
                    f"{client} was in {rounds} rounds, and"
                    f" {reserved.num_rounds.get(client, 0)} were reserved",
                    where=str(self.path),
                    next_step="keep the reservation; this is a defect of Fedchurn",
                )
        counted = {client: int(num_rounds.get(client, 0)) for client in reserved.num_rounds}
        with self._file.lock():
            lines = self._file.lines()
            for line in lines:
                earlier = line.entry
                if (earlier.action, earlier.number) == (SETTLE, reserved.number):
                    counted = {c: max(n, earlier.num_rounds.get(c, 0)) for c, n in counted.items()}
            entry = replace(reserved, action=SETTLE, time=time, num_rounds=counted)
            self._file.append(entry, after=lines[-1] if lines else None)
