"""A home with releases, and a pointer such as promotions leave behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fedchurn.release.manifest import MANIFEST, manifest_bytes
from fedchurn.release.write import ReleaseParts, write_release
from fedchurn.serving.reload.loading import first_release
from fedchurn.serving.reload.reloader import Reloader
from fedchurn.serving.serving_settings import ServingSettings
from tests.unit.release.releases import parts


def settings_of(home: Path, **changes: Any) -> ServingSettings:
    return ServingSettings(**{"home": home, "contract": "shop", **changes})


def reloader_of(settings: ServingSettings, **options: Any) -> Reloader:
    """The reloader of a worker that has just started."""
    return Reloader(settings, first_release(settings, options.get("bundled")), **options)


def released(home: Path, made: ReleaseParts | None = None) -> Path:
    """A release under ``home``."""
    return write_release(made or parts(), home / "releases")


def point(home: Path, folder: Path, contract: str = "shop", **changes: str) -> Path:
    """What a promotion leaves behind."""
    facts = {"release_folder": str(folder), "release_id": folder.name, "version": "7", **changes}
    pointer = home / "serving" / f"{contract}.json"
    pointer.parent.mkdir(parents=True, exist_ok=True)
    partial = pointer.with_suffix(".partial")
    partial.write_text(json.dumps(facts))
    partial.replace(pointer)
    return pointer


def flip_one_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def rewrite(folder: Path, files: dict[str, bytes]) -> None:
    """Put ``files`` into a release and make its manifest right again."""
    for name, content in files.items():
        (folder / name).write_bytes(content)
    every = {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }
    del every[MANIFEST]
    (folder / MANIFEST).write_bytes(manifest_bytes(every))
