"""``performance.json``: the last performance record, there whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedchurn.serving.feedback.performance_record import (
    FORMAT,
    PerformanceRecord,
    PerformanceRule,
)
from fedchurn.serving.reload.files import read_record, write_record

FILE = "performance.json"


def write_performance(service_folder: Path, record: PerformanceRecord) -> Path:
    """Replace ``performance.json`` in one step; several processes may do so at once.

    Raises:
        ReleaseError: the operating system refused; the old one stays.
    """
    path = service_folder / FILE
    write_record(path, record.to_dict())
    return path


def read_performance(service_folder: Path, release_id: str | None = None) -> dict[str, Any] | None:
    """The last record, or None: there is none, it cannot be read, or it is about another release.

    Args:
        service_folder: where the service keeps its files.
        release_id: the release that is asked about; any by default.
    """
    try:
        found = read_record(service_folder / FILE)
    except ValueError:
        return None
    if found is None or found.get("format") != FORMAT:
        return None
    return found if release_id in (None, found.get("release")) else None


def maturity_days(service_folder: Path, chosen: float | None) -> float:
    """Age from which labels count: as chosen, else as in the last record, else the default."""
    if chosen is not None:
        return chosen
    last = read_performance(service_folder)
    return float(last["maturity_days"]) if last else PerformanceRule().maturity_days


def latest_performance(service_folder: Path) -> Callable[[str], dict[str, Any] | None]:
    """A function that gives the last record about a release, and reads it once per change.

    Unchanged, it costs one look at the file's times, and the answer is the same object.
    """
    seen: tuple[Any, ...] | None = None
    record: dict[str, Any] | None = None

    def latest(release_id: str) -> dict[str, Any] | None:
        nonlocal seen, record
        try:
            status = (service_folder / FILE).stat()
            now: tuple[Any, ...] | None = (status.st_ino, status.st_mtime_ns, release_id)
        except OSError:
            now = None
        if now is None or now != seen:
            record = read_performance(service_folder, release_id) if now else None
            seen = now
        return record

    return latest
