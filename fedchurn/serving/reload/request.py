"""What a person asked of a service that runs: serve this release, or look again.

One small file under the service's folder holds the last request, so every worker, and every worker
that starts later, sees the same. A request that names a release holds until somebody asks again, or
until the pointer is written anew: the newest word counts, be it a promotion, a rollback or a call.
"""

from __future__ import annotations

import re
import secrets
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from fedchurn.errors import ReleaseError, nearest
from fedchurn.serving.reload.files import read_record, write_record

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}")


@dataclass(frozen=True)
class ReloadRequest:
    """The last request.

    Attributes:
        request_id: random; another one makes every worker try again.
        release_id: release that was named, or None for whatever is in production.
        pointer_time_ns: when the pointer that this overrules was written; 0 when there was none.
    """

    request_id: str
    release_id: str | None
    pointer_time_ns: int


def request_path(workers_folder: Path) -> Path:
    """Where the last request is kept."""
    return workers_folder / "reload-request.json"


def write_request(path: Path, release_id: str | None, pointer: Path) -> ReloadRequest:
    """Leave a request for all workers.

    Raises:
        ReleaseError: the folder cannot be written.
    """
    request = ReloadRequest(secrets.token_hex(8), release_id, written_ns(pointer))
    write_record(path, asdict(request), durable=True)
    return request


def read_request(path: Path) -> ReloadRequest | None:
    """The last request, or None when nobody has asked.

    Raises:
        ReleaseError: the file is there and cannot be read.
    """
    try:
        stored = read_record(path)
        if stored is None:
            return None
        named = stored["release_id"]
        return ReloadRequest(
            str(stored["request_id"]),
            None if named is None else checked_name(str(named)),
            int(stored["pointer_time_ns"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ReleaseError(
            f"the last reload request cannot be read: {error!r}",
            where=str(path),
            next_step="delete this file; the release in production is served then",
        ) from error


def request_id(path: Path) -> str | None:
    """Id of the last request; None when there is none, or none that can be read."""
    try:
        request = read_request(path)
    except ReleaseError:
        return None
    return request.request_id if request else None


def pinned(path: Path) -> bool:
    """Whether the last request named a release, or cannot be read and may have done so."""
    try:
        request = read_request(path)
    except ReleaseError:
        return True
    return request is not None and request.release_id is not None


def named_release(releases: Path, named: str) -> Path:
    """The folder that a caller names: a release id, or a path directly below ``releases``.

    Raises:
        ReleaseError: it is no such name, lies elsewhere, is a symlink, or does not exist.
    """
    path = Path(named)
    inside = len(path.parts) > 1 and path.parent in (releases, releases.resolve())
    folder = releases / checked_name(path.name if inside else named)
    try:
        is_folder = stat.S_ISDIR(folder.lstat().st_mode)
    except OSError:
        is_folder = False
    if not is_folder:
        raise ReleaseError(
            f"there is no release {folder.name!r}",
            where=str(releases),
            next_step=nearest(folder.name, _folders(releases)),
        )
    return folder


def checked_name(named: str) -> str:
    """``named``, when it is a plain name of a release.

    Raises:
        ReleaseError: it is anything else, such as a path that leads elsewhere.
    """
    if _NAME.fullmatch(named):
        return named
    raise ReleaseError(
        f"{named[:200]!r} is no release id",
        next_step="name a release by its id, such as ecommerce-1.0.0-0123456789ab",
    )


def written_ns(path: Path) -> int:
    """When a file was last written, in nanoseconds of Unix time; 0 when it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _folders(releases: Path) -> list[str]:
    try:
        return sorted(p.name for p in releases.iterdir() if _NAME.fullmatch(p.name))
    except OSError:
        return []
