"""Every error a user can meet, as one tree.

    FedchurnError                        1
    ├── SettingsError                    2   a setting, flag or --set key is wrong
    ├── ContractError                    3   the contract file is wrong
    ├── DataError
    │   ├── SourceError                  4   a table cannot be found or read
    │   ├── ValidationFailed             5   rows break an error-level check
    │   └── SplitError                   6   rows cannot be dealt to clients or split
    │       └── LeakError                7   copies of one customer straddle a split
    ├── FederationError                  8   a round cannot go on
    │   └── QuorumError                  9   too few clients answered
    ├── TrackingError                   10   MLflow cannot be reached or used
    ├── ReleaseError                    11   a release folder cannot be written
    │   └── IntegrityError              12   a release folder is not what its manifest says
    ├── PromotionError                  13   a promotion, rollback or look-up cannot be done
    │   ├── PromotionRefused            20   the challenger does not deserve production
    │   └── PromotionConflict           21   another promoter came first
    ├── BusyError                       14   another run of this contract is under way
    ├── PackageError                    15   a bento cannot be built, or does not answer as it must
    ├── RetrainingError                 16   a trigger or decision about retraining cannot be kept
    ├── WatchError                      17   the drift runner's place in the log cannot be kept
    └── PrivacyError                    18   a training would break its promise of privacy

The number is the process exit code; docs/errors.md has a section per class.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class FedchurnError(Exception):
    """Base of all errors that Fedchurn raises on purpose.

    Args:
        what: what happened, with the offending value.
        where: the place: file, column, client, round or release.
        next_step: what the reader can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", next_step: str = "") -> None:
        self.what = what
        self.where = where
        self.next_step = next_step
        super().__init__(self.__str__())

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.what, self.where, self.next_step))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  next: {self.next_step}" if self.next_step else ""
        return f"{place}{self.what}{advice}"

    def in_a_line(self) -> str:
        """Place, what happened and next step, to stand inside another sentence."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}" + (f" (next: {self.next_step})" if self.next_step else "")

    def to_dict(self) -> dict[str, object]:
        """The error as one JSON-ready object, for ``--json`` output."""
        return {
            "error": type(self).__name__,
            "what": self.what,
            "where": self.where,
            "next_step": self.next_step,
            "exit_code": self.exit_code,
        }


def _rebuild(cls: type[FedchurnError], what: str, where: str, next_step: str) -> FedchurnError:
    return cls(what, where=where, next_step=next_step)


class SettingsError(FedchurnError):
    """A setting, flag or ``--set`` key is unknown, mistyped or out of range."""

    exit_code = 2


class ContractError(FedchurnError):
    """A contract file is missing, has an unknown key, or contradicts itself."""

    exit_code = 3


class DataError(FedchurnError):
    """The rows, not the program, are at fault."""

    exit_code = 4


class SourceError(DataError):
    """A table cannot be found, opened or read."""


class ValidationFailed(DataError):
    """Rows break a check whose severity is error."""

    exit_code = 5


class SplitError(DataError):
    """Rows cannot be dealt to clients or split into train, validation and test."""

    exit_code = 6


class LeakError(SplitError):
    """Copies of one customer stand on both sides of a split."""

    exit_code = 7


class FederationError(FedchurnError):
    """A federated round cannot go on."""

    exit_code = 8


class QuorumError(FederationError):
    """Fewer clients answered a round than the quorum asks for."""

    exit_code = 9


class TrackingError(FedchurnError):
    """MLflow cannot be reached, or refuses what was asked."""

    exit_code = 10


class ReleaseError(FedchurnError):
    """A release folder cannot be written or read."""

    exit_code = 11


class IntegrityError(ReleaseError):
    """A release folder is not what its manifest says."""

    exit_code = 12


class PromotionError(FedchurnError):
    """A promotion, rollback or look-up cannot be done."""

    exit_code = 13


class BusyError(FedchurnError):
    """Another run of the same contract is under way."""

    exit_code = 14


class PackageError(FedchurnError):
    """A bento cannot be built or started, or it does not answer as its release does."""

    exit_code = 15


class RetrainingError(FedchurnError):
    """A trigger, decision or outcome of retraining cannot be kept or read."""

    exit_code = 16


class WatchError(FedchurnError):
    """The drift runner cannot keep or read its place in the log, or what it found."""

    exit_code = 17


class PrivacyError(FedchurnError):
    """A training would break its promise of privacy, or its spending cannot be kept."""

    exit_code = 18


class PromotionRefused(PromotionError):
    """The challenger does not deserve production; the champion stays."""

    exit_code = 20


class PromotionConflict(PromotionError):
    """Another promoter changed the champion in the meantime."""

    exit_code = 21


def nearest(name: str, known: Iterable[str]) -> str:
    """A ``did you mean`` clause for a mistyped name, or the accepted names.

    >>> nearest("Tenur", ["Tenure", "Gender"])
    "did you mean 'Tenure'?"
    """
    names = [str(k) for k in known]
    close = nearest_match(name, names)
    if close is not None:
        return f"did you mean {close!r}?"
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"accepted: {shown}" if shown else "nothing is accepted here"


def nearest_match(name: str, known: Iterable[str]) -> str | None:
    """The known name that a mistyped one most likely means, if one is near.

    >>> nearest_match("Tenur", ["Tenure", "Gender"])
    'Tenure'
    """
    lowered = {n.lower(): n for n in reversed(list(known))}
    close = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[close[0]] if close else None
