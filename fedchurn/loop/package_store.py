"""BentoML's store on disk: where a bento and its model lie, what they hold, and how they get there.

The layout (``bentos/NAME/VERSION``, ``models/NAME/VERSION``, a file ``latest`` beside versions) is
BentoML's. Everything else is left to its own commands: ``bentoml list``, ``delete``, ``export``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fedchurn.evaluation.artifact import write_artifact
from fedchurn.release.folder import sync_folder, sync_tree

_RECORDS = ("bento.yaml", "model.yaml")  # they hold the time at which they were written
_TIME = "creation_time"


@dataclass(frozen=True)
class StoredBento:
    """A bento in a store, with the model that holds its release.

    Attributes:
        store: the store: a ``BENTOML_HOME``.
        name: of the bento.
        version: of the bento and of its model.
        model: name of the model.
    """

    store: Path
    name: str
    version: str
    model: str = "churn_release"

    @property
    def tag(self) -> str:
        """What ``bentoml serve`` is given."""
        return f"{self.name}:{self.version}"

    @property
    def folder(self) -> Path:
        """The bento."""
        return self.store / "bentos" / self.name / self.version

    @property
    def model_folder(self) -> Path:
        """The model; the release is its folder ``release``."""
        return self.store / "models" / self.model / self.version

    @property
    def folders(self) -> tuple[Path, Path]:
        """Model first: a bento whose model is not there yet must not be found."""
        return self.model_folder, self.folder

    def digest(self) -> str | None:
        """sha256 over all that it holds, or None when a part is missing.

        Times of writing and compiled bytecode are left out, so equal inputs have equal digests.
        """
        if not all(folder.is_dir() for folder in self.folders):
            return None
        lines = [f"{_file_digest(p)}  {top}/{n}" for top, n, p in sorted(self._files())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def num_bytes(self) -> int:
        """Size of its files."""
        return sum(path.stat().st_size for _, _, path in self._files())

    def _files(self) -> Iterator[tuple[str, str, Path]]:
        for folder, top in zip(self.folders, ("model", "bento"), strict=True):
            for path in folder.rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    yield top, path.relative_to(folder).as_posix(), path

    def move_to(self, store: Path) -> StoredBento:
        """Put it into another store of the same disk, whole or not at all; gives it there."""
        moved = StoredBento(store, self.name, self.version, self.model)
        for here, there in zip(self.folders, moved.folders, strict=True):
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(there, ignore_errors=True)  # a damaged one
            sync_tree(here)
            here.chmod(0o755)  # BentoML makes 0700, but the service may run as another user
            here.rename(there)
            sync_folder(there.parent)
        return moved

    def call_latest(self) -> None:
        """Make ``NAME:latest`` this one."""
        for folder in self.folders:
            write_artifact(folder.parent / "latest", self.version.encode())

    def remove(self) -> None:
        """Delete it."""
        for folder in reversed(self.folders):
            shutil.rmtree(folder, ignore_errors=True)


def _file_digest(path: Path) -> str:
    content = path.read_bytes()
    if path.name in _RECORDS and path.parent.name != "src":
        record = _without_times(yaml.load(content, Loader=_Loader))  # noqa: S506
        content = json.dumps(record, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # a bento.yaml is 200 kB: 0.1 s, not 1 s


def _without_times(record: Any) -> Any:
    if isinstance(record, dict):
        return {k: _without_times(v) for k, v in record.items() if k != _TIME}
    return [_without_times(v) for v in record] if isinstance(record, list) else record
