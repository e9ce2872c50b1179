"""The newest drift verdict, whoever made it, and where the drift runner leaves its own.

HOME/service/CONTRACT/drift.json     the newest verdict: every worker tells the same one
HOME/watch/CONTRACT/verdicts.jsonl   one line per window of the runner
HOME/watch/CONTRACT/last_run.json    when the runner looked last, and what it saw
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedchurn.serving.reload.files import read_record, write_record
from fedchurn.serving.time_text import time_text

FILE = "drift.json"
VERDICTS = "verdicts.jsonl"
LAST_RUN = "last_run.json"
_SKEW_SECONDS = 3600.0  # by which clocks of several machines may differ


def watch_folder(home: Path, contract: str) -> Path:
    """Where the drift runner keeps its state; ``contract`` is the contract's name, not its path."""
    return home.resolve() / "watch" / contract


def write_newest(service_folder: Path, told: Mapping[str, Any], *, durable: bool = False) -> bool:
    """Tell a verdict, unless a newer one is told already.

    One of tomorrow is not newer: a clock was ahead, and would keep all others out until then.

    Args:
        service_folder: of the contract.
        told: ``documented_fields`` with ``release`` and ``timestamp`` (ISO 8601 in UTC).
        durable: have the disk confirm it first.

    Returns:
        whether it is told now.

    Raises:
        ReleaseError: the disk refuses.
    """
    known = str(read_newest(service_folder).get("timestamp", ""))
    if str(told["timestamp"]) < known < time_text(time.time() + _SKEW_SECONDS):
        return False
    write_record(service_folder / FILE, told, durable=durable)
    return True


def read_newest(service_folder: Path, release_id: str | None = None) -> dict[str, Any]:
    """The verdict that is told; empty when there is none that can be read.

    Args:
        service_folder: of the contract.
        release_id: the release that is asked about; any by default.
    """
    try:
        found = read_record(service_folder / FILE) or {}
    except ValueError:
        return {}
    return found if release_id in (None, found.get("release")) else {}
