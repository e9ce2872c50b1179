"""What came of a reload, in words for people and fields for programs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fedchurn.errors import FedchurnError, IntegrityError
from fedchurn.serving.served_release import ServedRelease

Status = Literal["reloaded", "unchanged", "failed"]
RELOADED: Status = "reloaded"
UNCHANGED: Status = "unchanged"
FAILED: Status = "failed"


@dataclass(frozen=True)
class ReloadResult:
    """One reload in one worker.

    Attributes:
        status: ``failed`` means that the previous release goes on answering.
        previous_release: id of what answered before.
        previous_version: its version in the registry, where known.
        new_release: id of what answers now.
        new_version: its version in the registry, where known.
        accuracy: of what answers now, from its card (0-1), where known.
        message: the outcome in words; why it failed.
        rule: why it failed, in one machine word (``REFUSALS``), else None.
        seconds: how long it took.
        time_seconds: Unix time of the end.
    """

    status: Status
    previous_release: str
    previous_version: str | None
    new_release: str
    new_version: str | None
    accuracy: float | None
    message: str
    rule: str | None
    seconds: float
    time_seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


DAMAGED = "damaged_release"
UNKNOWN = "unknown_release"
OTHER_CONTRACT = "other_contract"
FIXED = "fixed_release"
UNREADABLE = "unreadable_source"
NOT_SHARED = "not_shared"
REFUSALS = (DAMAGED, UNKNOWN, OTHER_CONTRACT, FIXED, UNREADABLE, NOT_SHARED)


class Refused(Exception):
    """The wanted release may not answer; ``rule`` is one of ``REFUSALS``."""

    def __init__(self, rule: str, message: str) -> None:
        self.rule = rule
        super().__init__(message)


@contextmanager
def refusing(rule: str) -> Iterator[None]:
    """Turn what goes wrong inside into ``Refused``; a damaged release always says so."""
    try:
        yield
    except Refused:
        raise
    except IntegrityError as error:
        raise Refused(DAMAGED, str(error)) from error
    except FedchurnError as error:
        raise Refused(rule, str(error)) from error
    except Exception as error:  # whatever it is, the previous release goes on answering
        raise Refused(rule, f"unexpected: {error!r}") from error


def named(served: ServedRelease) -> str:
    """A release in a sentence, such as ``shop-1.2.0-0123456789ab (version 7)``."""
    return served.release_id + (f" (version {served.version})" if served.version else "")


def result_of(
    status: Status,
    before: ServedRelease,
    now: ServedRelease,
    message: str,
    began: float,
    rule: str | None = None,
) -> ReloadResult:
    """The result of a reload that ``began`` at a ``time.perf_counter()`` and ends now."""
    return ReloadResult(
        status=status,
        previous_release=before.release_id,
        previous_version=before.version,
        new_release=now.release_id,
        new_version=now.version,
        accuracy=now.release.card.metrics.get("accuracy"),
        message=message,
        rule=rule,
        seconds=time.perf_counter() - began,
        time_seconds=time.time(),
    )
