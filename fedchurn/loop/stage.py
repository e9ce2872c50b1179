"""A stage of the loop: a folder that is complete or absent, named by what it was made from.

A stage writes into a temporary folder that is renamed when all is written, so a run that was killed
goes on from the last complete stage, and an unchanged input re-runs nothing.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fedchurn.errors import ReleaseError
from fedchurn.release.folder import sync_folder, sync_tree, writer_is_running

StageResult = dict[str, Any]

_RESULT = "stage.json"


def stage_key(*parts: Any) -> str:
    """16 hex digits of what a stage depends on: JSON-ready parts, and Fedchurn's own code."""
    text = json.dumps([code_digest(), *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@functools.lru_cache(maxsize=1)
def code_digest() -> str:
    """sha256 over this package's sources: a stage made by other code is not reused."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def stage_folder(home: Path, name: str, key: str) -> Path:
    """Where the stage ``name`` with ``key`` lives."""
    return home.resolve() / "stages" / f"{name}-{key}"


def finished_stage(home: Path, name: str, key: str) -> StageResult | None:
    """The result of a complete stage, or None."""
    folder = stage_folder(home, name, key)
    try:
        result: StageResult = json.loads((folder / _RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not all((folder / name).is_file() for name in result.get("files", ())):
        return None  # somebody removed files by hand
    return {**result, "folder": str(folder), "reused": True}


def run_stage(home: Path, name: str, key: str, work: Callable[[Path], StageResult]) -> StageResult:
    """The stage's result: read back when it is complete, else made by ``work(folder)``.

    ``work`` may write into the folder it is given and returns JSON-ready facts; ``files``,
    ``folder``, ``key`` and ``reused`` are added to them.

    Raises:
        ReleaseError: the operating system refused to write; nothing half-written is left.
    """
    done = finished_stage(home, name, key)
    if done is not None:
        return done
    folder = stage_folder(home, name, key)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        _remove_leftovers(folder)
        partial.mkdir(parents=True)
        facts = work(partial)
        files = sorted(p.relative_to(partial).as_posix() for p in partial.rglob("*") if p.is_file())
        result = {**facts, "files": files, "folder": str(folder), "key": key, "reused": False}
        (partial / _RESULT).write_text(json.dumps(result, indent=1), encoding="utf-8")
        if (finished := finished_stage(home, name, key)) is not None:
            return finished  # by another process meanwhile, which may be reading it
        shutil.rmtree(folder, ignore_errors=True)  # an older one without its result file
        sync_tree(partial)
        partial.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise ReleaseError(
            f"cannot be written: {error.strerror or error}",
            where=_shown(error.filename, partial, folder),
            next_step="make room or give rights there, or set home to another folder",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return result


def forget_stage(home: Path, name: str, key: str) -> None:
    """Remove a stage whose result is no longer true elsewhere, so that it is made again."""
    shutil.rmtree(stage_folder(home, name, key), ignore_errors=True)


def _remove_leftovers(folder: Path) -> None:
    """What killed processes were writing for this stage."""
    for left in folder.parent.glob(f".{folder.name}.*"):
        pid = int(left.suffix[1:])
        if pid == os.getpid() or not writer_is_running(pid):
            shutil.rmtree(left, ignore_errors=True)


def _shown(name: Any, partial: Path, folder: Path) -> str:
    """The file that could not be written, under the name it would have had."""
    return str(name or folder).replace(str(partial), str(folder))
