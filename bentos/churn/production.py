"""Which release the service answers with, and the proof that it is the one that was judged.

Looked up in this order:

1. ``FEDCHURN_RELEASE``: path of a release folder.
2. ``HOME/serving/CONTRACT.json``, which every promotion and rollback writes; HOME is
   ``FEDCHURN_HOME`` or ``.fedchurn``, CONTRACT is ``FEDCHURN_CONTRACT`` or ``ecommerce``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fedchurn.errors import IntegrityError, ReleaseError
from fedchurn.release.load import Release, check_golden, load_release


@dataclass(frozen=True)
class ServedRelease:
    """A release that has proven itself, and its version in the registry where that is known."""

    release: Release
    version: str | None


def load_served_release(environ: Mapping[str, str]) -> ServedRelease:
    """Find, verify and try out the release that ``environ`` names; see the module docstring.

    Every file is compared with the manifest and the golden rows are computed anew, so a service
    that starts gives the answers that were judged.

    Raises:
        ReleaseError: no release is named, or the pointer cannot be read.
        IntegrityError: the release is damaged, or answers its golden rows otherwise.
    """
    named = environ.get("FEDCHURN_RELEASE")
    if named:
        return ServedRelease(_proven(Path(named)), None)
    home = Path(environ.get("FEDCHURN_HOME") or ".fedchurn")
    pointer = home / "serving" / f"{environ.get('FEDCHURN_CONTRACT') or 'ecommerce'}.json"
    facts = _read_pointer(pointer)
    release = _proven(Path(facts["release_folder"]))
    if release.release_id != facts["release_id"]:
        raise IntegrityError(
            f"it names release {facts['release_id']}, but the folder holds {release.release_id}",
            where=str(pointer),
            next_step="run `fedchurn history`, then promote or roll back to write it anew",
        )
    return ServedRelease(release, facts["version"])


def _proven(folder: Path) -> Release:
    release = load_release(folder)
    check_golden(release)
    return release


def _read_pointer(pointer: Path) -> dict[str, str]:
    try:
        facts = json.loads(pointer.read_text(encoding="utf-8"))
        return {name: str(facts[name]) for name in ("release_folder", "release_id", "version")}
    except FileNotFoundError:
        raise _nothing_promoted(pointer) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReleaseError(
            f"the pointer to the release in production cannot be read: {error!r}",
            where=str(pointer),
            next_step="promote or roll back to write it anew, or set FEDCHURN_RELEASE to a folder",
        ) from error


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
