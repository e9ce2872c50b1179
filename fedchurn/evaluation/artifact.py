"""Writing a finished artifact of an evaluation, with an error that a person can act on."""

from __future__ import annotations

from pathlib import Path

from fedchurn.errors import ReleaseError


def write_artifact(path: Path, content: bytes) -> Path:
    """Write ``content`` to ``path``, making its folder; a failed write leaves no partial file.

    Raises:
        ReleaseError: the folder cannot be made or written, or the disk is full.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        _remove(partial)
        raise ReleaseError(
            f"cannot write {path.name} ({len(content)} bytes): {error.strerror or error}",
            where=str(path.parent),
            next_step="name a writable folder with enough free space",
        ) from error
    return path


def _remove(partial: Path) -> None:
    try:
        partial.unlink(missing_ok=True)
    except OSError:
        return  # the error that is being reported matters more than its remains
