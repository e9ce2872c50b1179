"""Where rows that came back are kept, and what is made of them for one training.

    HOME/retraining/CONTRACT/rows/returned-DIGEST/returned.jsonl   labels that came back, with rows
    HOME/retraining/CONTRACT/rows/training-DIGEST/NAME.csv         what a training reads

Folders are whole or absent, and named by what is in them.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fedchurn.errors import ReleaseError
from fedchurn.loop.retraining.returned_rows import ROWS_FILE, ReturnedRow, stored
from fedchurn.release.folder import write_folder

_DIGITS = 16


@dataclass(frozen=True)
class TrainingData:
    """What a training reads, JSON-ready with ``to_dict``.

    Attributes:
        digest: sha256 over everything that is trained on.
        location: one table, or None.
        clients: one file per client, or nothing; without either the source is read as it is.
        story: what was put together, in a sentence.
    """

    digest: str
    location: str | None
    clients: tuple[str, ...]
    story: str

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "clients": list(self.clients)}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> TrainingData:
        """The data behind ``to_dict``."""
        return cls(**{**stored, "clients": tuple(stored["clients"])})

    @property
    def replaces_source(self) -> bool:
        """Whether something else is read than the source that the settings name."""
        return self.location is not None or bool(self.clients)


def keep_returned(folder: Path, rows: Iterable[ReturnedRow]) -> str:
    """Write rows that came back; returns the name of their folder, "" when there are none.

    Raises:
        ReleaseError: the operating system refused.
    """
    content = stored(rows)
    if not content:
        return ""
    name = f"returned-{hashlib.sha256(content).hexdigest()[:_DIGITS]}"
    _write_once(folder / name, {ROWS_FILE: content})
    return name


def returned_file(folder: Path, name: str) -> Path | None:
    """The file behind a name of ``keep_returned``; None for "" or when it is gone."""
    path = folder / name / ROWS_FILE
    return path if name and path.is_file() else None


def keep_training(folder: Path, digest: str, files: Mapping[str, bytes]) -> Path:
    """Write what a training reads; returns its folder.

    Raises:
        ReleaseError: the operating system refused.
    """
    path = folder / f"training-{digest[:_DIGITS]}"
    _write_once(path, files)
    return path


def forget_returned(folder: Path, keep: Collection[str]) -> None:
    """Remove rows that came back and that a later folder holds as well, but for ``keep``."""
    for path in folder.glob("returned-*"):
        if path.name not in keep:
            shutil.rmtree(path, ignore_errors=True)


def _write_once(path: Path, files: Mapping[str, bytes]) -> None:
    if path.is_dir():
        return
    try:
        write_folder(path, files)
    except ReleaseError:
        if not path.is_dir():  # else another process wrote the same meanwhile
            raise
