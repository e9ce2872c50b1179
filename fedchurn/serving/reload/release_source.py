"""Which release the service should answer with.

Looked up in this order:

1. ``FEDCHURN_RELEASE``: path of a release folder.
2. The release that the last call of ``/reload-model`` named, until the pointer is written anew.
3. ``HOME/serving/CONTRACT.json``, the pointer, which every promotion and rollback writes.
4. The release inside the bento.

A place that names a release which is damaged is an error; the next place is then not tried, for
nobody chose what it names.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fedchurn.errors import ReleaseError
from fedchurn.release.manifest import MANIFEST
from fedchurn.serving.reload.files import read_record
from fedchurn.serving.reload.request import (
    named_release,
    read_request,
    request_path,
    written_ns,
)
from fedchurn.serving.serving_settings import ServingSettings


@dataclass(frozen=True)
class WantedRelease:
    """Where to find the release that should answer.

    Attributes:
        folder: its folder.
        release_id: what the folder must hold, where that is known.
        version: its version in the registry, where that is known.
        source: who says so: a setting, a file, or the bento; for errors.
        chosen_by: the same in one word.
    """

    folder: Path
    release_id: str | None
    version: str | None
    source: str = "bento"
    chosen_by: Literal["setting", "call", "promotion", "bento"] = "bento"


def wanted_release(
    settings: ServingSettings, bundled: WantedRelease | None = None
) -> WantedRelease:
    """The release that should answer now; see the module docstring. Nothing is loaded.

    Args:
        settings: of the service.
        bundled: the release inside the bento, where there is one.

    Raises:
        ReleaseError: no release is named, or what names it cannot be read.
    """
    asked = None
    if settings.release is None:
        asked = read_request(request_path(settings.workers_folder))
    pointer_ns = written_ns(pointer_path(settings))
    if asked and asked.release_id and asked.pointer_time_ns == pointer_ns:
        return asked_release(settings, asked.release_id)
    return chosen_release(settings, bundled)


def chosen_release(
    settings: ServingSettings, bundled: WantedRelease | None = None
) -> WantedRelease:
    """The same, whatever calls of ``/reload-model`` asked for.

    Raises:
        ReleaseError: no release is named, or what names it cannot be read.
    """
    if settings.release is not None:
        return WantedRelease(settings.release.resolve(), None, None, "FEDCHURN_RELEASE", "setting")
    pointer = pointer_path(settings)
    wanted = _read_pointer(pointer) or bundled
    if wanted is None:
        raise _nothing_promoted(pointer)
    return wanted


def asked_release(settings: ServingSettings, named: str) -> WantedRelease:
    """A release that a person names: its id, or its path below ``HOME/releases``.

    Raises:
        ReleaseError: there is no such release there.
    """
    folder = named_release(releases_folder(settings), named)
    version = _version_once(settings, folder.name)
    source = str(request_path(settings.workers_folder))
    return WantedRelease(folder, folder.name, version, source, "call")


def manifest_id(folder: Path) -> str:
    """What a folder holds, without loading it: the hash that release ids end with, or ``""``."""
    try:
        return hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()[:12]
    except OSError:
        return ""


def pointer_path(settings: ServingSettings) -> Path:
    """The file in which promotions and rollbacks name the release in production."""
    return settings.home.resolve() / "serving" / f"{settings.contract}.json"


def releases_folder(settings: ServingSettings) -> Path:
    """Where release folders live; a call may name no other place."""
    return settings.home.resolve() / "releases"


def _version_once(settings: ServingSettings, release_id: str) -> str | None:
    """The version as which a release was last in production; None where it never was."""
    known = settings.home.resolve() / "serving" / "releases" / f"{release_id}.json"
    for pointer in (pointer_path(settings), known):
        with suppress(ReleaseError):  # it would give no more than a version
            found = _read_pointer(pointer)
            if found is not None and found.release_id == release_id:
                return found.version
    return None


def _read_pointer(pointer: Path) -> WantedRelease | None:
    try:
        facts = read_record(pointer)
        if facts is None:
            return None
        folder, release_id, version = (
            str(facts[name]) for name in ("release_folder", "release_id", "version")
        )
    except (ValueError, KeyError) as error:
        raise ReleaseError(
            f"the pointer to the release in production cannot be read: {error!r}",
            where=str(pointer),
            next_step="promote or roll back to write it anew, or set FEDCHURN_RELEASE to a folder",
        ) from error
    return WantedRelease(Path(folder), release_id, version, str(pointer), "promotion")


def _nothing_promoted(pointer: Path) -> ReleaseError:
    others = ", ".join(sorted(path.stem for path in pointer.parent.glob("*.json")))
    advice = "run `make demo` first"
    if others:
        advice = f"set FEDCHURN_CONTRACT to one that is in production ({others})"
    return ReleaseError(
        f"no release of contract {pointer.stem!r} is in production: this file does not exist",
        where=str(pointer),
        next_step=f"{advice}, or set FEDCHURN_RELEASE to a release folder",
    )
