"""Where a run comes from: code, libraries, clock and user. The only impure facts of a card."""

from __future__ import annotations

import getpass
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("fedchurn", "numpy", "pandas", "scipy", "flwr", "tensorflow", "keras", "mlflow")


def library_versions() -> dict[str, str]:
    """Installed versions of what a model depends on."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str:
    """Commit of the code, ``+changes`` when files differ from it, "" outside a checkout."""
    folder = Path(__file__).resolve().parents[2]
    commit = _git(folder, "rev-parse", "HEAD")
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no") if commit else ""
    return commit + ("+changes" if changed else "")


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def now() -> str:
    """The time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def actor() -> str:
    """Who runs this, for the journal."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
