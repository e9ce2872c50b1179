"""The folder of a judged window: there whole, or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedchurn.drift.histogram import Histogram, histograms_from_dict, histograms_to_dict
from fedchurn.errors import ReleaseError, WatchError
from fedchurn.loop.watching.judge import Judged
from fedchurn.loop.watching.places import WINDOWS, Claim
from fedchurn.release.folder import write_folder

RECORD = "verdict.json"
TOLD = "drift.json"
HISTOGRAMS = "histograms.json"
CUSTOMERS = "customers.json"
REPORT = "report.html"
MAX_KEPT = 1000  # the journal remembers the rest; a window takes some 100 KiB

Record = dict[str, Any]


def kept_window(watch: Path, claim: Claim, judged: Callable[[], Judged]) -> tuple[Record, Record]:
    """Record of a window and what the service tells of it: read back, or made and kept.

    Args:
        watch: see ``places.watch_folder``.
        claim: the window.
        judged: judges it; asked at most once.

    Raises:
        WatchError: the folder cannot be written.
    """
    folder = watch / WINDOWS / claim.window_id
    if not (folder / RECORD).is_file():
        _write(folder, judged())
    return _read(folder / RECORD), _read(folder / TOLD)


def forget_old_windows(watch: Path, max_kept: int = MAX_KEPT) -> None:
    """Delete the oldest folders above ``max_kept``."""
    folders = [path for path in (watch / WINDOWS).iterdir() if path.is_dir()]
    if len(folders) > max_kept:
        for folder in sorted(folders, key=lambda path: path.stat().st_mtime)[:-max_kept]:
            shutil.rmtree(folder, ignore_errors=True)


def read_histograms(watch: Path, window_id: str) -> dict[str, Histogram] | None:
    """What an earlier window looked like, by column; None where its folder is gone.

    Raises:
        WatchError: the file was changed by somebody.
    """
    path = watch / WINDOWS / window_id / HISTOGRAMS
    if not path.is_file():
        return None
    try:
        return histograms_from_dict(_read(path))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _not_ours(path, error) from error


def read_customers(watch: Path, window_id: str) -> tuple[int, ...]:
    """Hashes of customers of an earlier window; empty where they are not kept.

    Raises:
        WatchError: the file was changed by somebody.
    """
    path = watch / WINDOWS / window_id / CUSTOMERS
    if not path.is_file():
        return ()
    try:
        return tuple(int(one) for one in _read(path)["hashes"])
    except (KeyError, TypeError, ValueError) as error:
        raise _not_ours(path, error) from error


def _write(folder: Path, judged: Judged) -> None:
    for left in folder.parent.glob(f".{folder.name}.*"):  # by a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)  # somebody removed files by hand
    place = {"report_path": str(folder / REPORT)}
    files = {
        RECORD: json.dumps(judged.record | place, indent=1).encode(),
        TOLD: json.dumps(judged.told | place).encode(),
        HISTOGRAMS: json.dumps(histograms_to_dict(judged.histograms)).encode(),
        CUSTOMERS: json.dumps({"hashes": judged.customers}).encode(),
        REPORT: judged.page.encode(),
    }
    try:
        write_folder(folder, files)
    except ReleaseError as error:
        raise WatchError(error.what, where=error.where, next_step=error.next_step) from error


def _read(path: Path) -> Record:
    try:
        found: Record = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _not_ours(path, error) from error
    return found


def _not_ours(path: Path, error: Exception) -> WatchError:
    return WatchError(
        f"this is not what the drift runner wrote there: {error}",
        where=str(path),
        next_step="delete the folder; without it the window counts as never seen",
    )
