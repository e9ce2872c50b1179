"""Real small disks, where this machine allows them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """A tmpfs at ``folder``; the test is skipped, loudly, where it cannot be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0 or not _done("mount", "-t", "tmpfs", "-o", options, "tmpfs", folder):
        pytest.skip("NO DISK TRIED: a tmpfs cannot be mounted here (it takes root)")
    try:
        yield folder
    finally:
        assert _done("umount", folder), f"{folder} is still mounted"


def _done(*command: str | Path) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
