"""Write a folder so that it is there whole, or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fedchurn.errors import ReleaseError

WriteFile = Callable[[Path, bytes], None]


def write_file(path: Path, content: bytes) -> None:
    """Write ``content`` and have the disk confirm it; the parent folder must exist."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def writer_is_running(pid: int) -> bool:
    """Whether the process is there whose number a half-written file or folder bears."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return True


def sync_folder(path: Path) -> None:
    """Have the disk confirm the names in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_tree(folder: Path) -> None:
    """Have the disk confirm all files and folders below, before a rename says so."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    sync_folder(folder)


def write_folder(
    folder: Path, files: Mapping[str, bytes], *, write: WriteFile = write_file
) -> None:
    """Write ``files`` as ``folder``: into a temporary folder beside it, then one rename.

    Args:
        folder: must not exist yet; its parents are made.
        files: content by relative path with forward slashes.
        write: writes one file; tests make it fail.

    Raises:
        ReleaseError: the operating system refused (disk full, read-only, no permission, ...);
            the message names the path and the reason, and nothing half-written stays behind.
    """
    with _naming_the_path(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            _fill(partial, files, write)
            partial.chmod(0o755)  # mkdtemp makes 0700, but the service may run as another user
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
        sync_folder(folder.parent)


def _fill(partial: Path, files: Mapping[str, bytes], write: WriteFile) -> None:
    for name, content in files.items():
        path = partial / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, content)
    for path in sorted(p for p in partial.rglob("*") if p.is_dir()):
        sync_folder(path)
    sync_folder(partial)


@contextmanager
def _naming_the_path(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise ReleaseError(
            f"cannot write {error.filename or folder}: {reason}",
            where=str(folder),
            next_step=_advice(error, folder.parent),
        ) from error


def _advice(error: OSError, parent: Path) -> str:
    name = type(error).__name__
    if name in ("PermissionError", "NotADirectoryError", "FileExistsError"):
        return f"make {parent} a folder that this user may write, or choose another folder"
    return f"free space on, or remount writable, the disk of {parent}; then run again"
