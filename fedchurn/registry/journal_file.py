"""The journal's file: lines are added whole and confirmed by the disk, or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fedchurn.errors import PromotionError
from fedchurn.release.folder import sync_folder


def read_whole_lines(path: Path) -> list[bytes]:
    """Complete lines of the file; what a killed writer left after them does not count.

    Raises:
        PromotionError: the file cannot be read.
    """
    return _split(path)[0].splitlines()


def append_line(path: Path, line: bytes) -> None:
    """Add ``line`` (newline included); the caller holds the lock. A torn tail is set aside first,
    as ``PATH.torn-N``, N being the line it would have been.

    Raises:
        PromotionError: the disk refuses; nothing was added.
    """
    with naming_the_journal(path):
        _set_torn_tail_aside(path)
        size = path.stat().st_size if path.exists() else None
        try:
            _write(path, line)
        except OSError:
            if path.exists():
                os.truncate(path, size or 0)
            raise
        if size is None:
            sync_folder(path.parent)


@contextmanager
def naming_the_journal(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses into a ``PromotionError`` that names the file."""
    try:
        yield
    except OSError as error:
        raise PromotionError(
            f"the journal cannot be used: {error.strerror or error}",
            where=str(path),
            next_step=f"give this user room and write access in {path.parent}",
        ) from error


def _write(path: Path, line: bytes) -> None:
    with path.open("ab") as file:
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _split(path: Path) -> tuple[bytes, bytes]:
    with naming_the_journal(path):
        content = path.read_bytes() if path.exists() else b""
    end = content.rfind(b"\n") + 1
    return content[:end], content[end:]


def _set_torn_tail_aside(path: Path) -> None:
    whole, torn = _split(path)
    if torn:
        number = whole.count(b"\n") + 1
        _write(path.with_name(f"{path.name}.torn-{number}"), torn)
        os.truncate(path, len(whole))
