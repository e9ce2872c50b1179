"""Checkpoints as files: written whole or not at all, and the newest valid one wins."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path
from zipfile import BadZipFile

from fedchurn.federation.training.checkpoint import Progress, progress_from_bytes, progress_to_bytes
from fedchurn.release.folder import sync_folder, writer_is_running

logger = logging.getLogger(__name__)

NUM_KEPT = 2  # the newest, and the one before in case that the disk spoils it
_DIGEST_DIGITS = 32


class CheckpointFolder:
    """Keeps progress as ``NUMBER-SHA256.npz``.

    A file is written under another name, flushed to disk, renamed, and the folder flushed; a reader
    believes only files whose content has the digest in their name. So a process that is killed at
    any instant leaves the checkpoint before, or this one.

    Args:
        folder: made when the first checkpoint is kept; readable by its owner alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, progress: Progress) -> None:
        """Write it; durable when this returns."""
        content = progress_to_bytes(progress)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        earlier = self._files()
        number = int(earlier[0].name.partition("-")[0]) + 1 if earlier else 1
        path = self._folder / f"{number:08d}-{_digest(content)}.npz"
        temporary = self._folder / f"{path.name}.{os.getpid()}.tmp"
        try:
            _write_durably(temporary, content)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)  # a full disk needs the room
            raise
        sync_folder(self._folder)
        killed = [left for left in self._folder.glob("*.tmp") if not _is_being_written(left)]
        for old in (*earlier[NUM_KEPT - 1 :], *killed):
            old.unlink(missing_ok=True)

    def newest(self) -> Progress | None:
        """The newest checkpoint that is whole; those that are not are told and passed over."""
        for path in self._files():
            content = path.read_bytes()
            if _digest(content) != path.stem.partition("-")[2]:
                logger.warning("checkpoint %s is damaged; the one before is used", path)
                continue
            try:
                return progress_from_bytes(content)
            except (BadZipFile, KeyError, ValueError) as error:
                logger.warning("checkpoint %s cannot be used: %s", path, error)
        return None

    def _files(self) -> list[Path]:
        """Newest first."""
        return sorted(self._folder.glob("*.npz"), reverse=True)


def _write_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _is_being_written(temporary: Path) -> bool:
    """Whether the process in the file's name is there, and is not this one."""
    pid = int(temporary.name.split(".")[-2])
    return pid != os.getpid() and writer_is_running(pid)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGEST_DIGITS]
