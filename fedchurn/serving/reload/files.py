"""Small JSON files that workers leave for each other: there whole, or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fedchurn.errors import ReleaseError


def write_record(path: Path, record: Mapping[str, Any], *, durable: bool = False) -> None:
    """Replace ``path`` in one step; several processes may do so at once, the last one wins.

    Args:
        path: its folder is made.
        record: JSON-ready.
        durable: have the disk confirm it first (some milliseconds).

    Raises:
        ReleaseError: the operating system refused; nothing half-written stays behind.
    """
    content = json.dumps(record).encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, content, durable)
    except OSError as error:
        raise ReleaseError(
            f"cannot write {path.name}: {error.strerror or error}",
            where=str(path.parent),
            next_step="make FEDCHURN_HOME a folder that the service may write, with free space",
        ) from error


def read_record(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, or None when there is no such file.

    Raises:
        ValueError: it holds anything else, or cannot be read.
    """
    try:
        record = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    if not isinstance(record, dict):
        raise ValueError(f"{path.name} holds no JSON object")
    return record


def _replace(path: Path, content: bytes, durable: bool) -> None:
    handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(handle)
        Path(partial).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(partial).unlink()
        raise
