"""The newest drift verdict, whoever made it: one small file beside the log, so that every worker
tells the same one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedchurn.serving.reload.files import read_record, write_record

FILE = "drift.json"


def write_newest(service_folder: Path, told: Mapping[str, Any], *, durable: bool = False) -> bool:
    """Tell a verdict, unless a newer one is told already.

    Args:
        service_folder: of the contract.
        told: ``documented_fields`` with ``release``, ``timestamp`` (ISO 8601 in UTC) and
            ``window_id`` (or None).
        durable: have the disk confirm it first.

    Returns:
        whether it is told now.

    Raises:
        ReleaseError: the disk refuses.
    """
    known = read_newest(service_folder)
    if str(known.get("timestamp", "")) > str(told["timestamp"]):
        return False
    write_record(service_folder / FILE, told, durable=durable)
    return True


def read_newest(service_folder: Path) -> dict[str, Any]:
    """The verdict that is told; empty when there is none that can be read."""
    try:
        return read_record(service_folder / FILE) or {}
    except ValueError:
        return {}
