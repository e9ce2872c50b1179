"""The peers in environments of their own, which ``uv`` makes from names and versions.

``FEDCHURN_BENCH_PEERS`` may name a folder in which environments stay: those that are there are
used as they are, others are made there. Without it they live as long as the run.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedchurn.quiet import apply_quiet_environment

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES: dict[str, tuple[str, ...]] = {
    "alibi": ("alibi-detect==0.13.0", "numpy<2", "pandas<2.3"),
    "evidently": ("evidently==0.7.23", "pandas<3.1"),
    "nannyml": ("nannyml==0.13.1", "statsmodels"),
}


class PeerMissingError(Exception):
    """The peer cannot be installed here; its part of the comparison is skipped."""


def peer_python(peer: str, folder: Path) -> Path:
    """The interpreter of a peer's environment, made first if it is not there.

    Raises:
        PeerMissingError: it cannot be installed, for instance without a network.
    """
    environment = Path(os.environ.get("FEDCHURN_BENCH_PEERS") or folder) / peer
    python = environment / "bin" / "python"
    if python.exists():
        return python
    uv = str(Path(sys.executable).with_name("uv"))
    install = [uv, "pip", "install", "-q", "--python", str(python), *PACKAGES[peer]]
    for command in ([uv, "venv", "-q", "--python", sys.executable, str(environment)], install):
        result = subprocess.run(command, text=True, capture_output=True)
        if result.returncode:
            shutil.rmtree(environment, ignore_errors=True)  # half an environment is none
            raise PeerMissingError(f"{peer} cannot be installed: {result.stderr.strip()[-400:]}")
    return python


def run_peer(peer: str, python: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """Run a peer's job in its environment; what it printed.

    Raises:
        PeerMissingError: it does not run, and what it said.
    """
    environ = dict(os.environ)
    apply_quiet_environment(environ)
    environ["PYTHONPATH"] = str(PROJECT)  # for the stored windows, which need numpy alone
    command = [str(python), "-m", f"benchmarks.drift.peer_{peer}", *arguments]
    result = subprocess.run(command, env=environ, cwd=PROJECT, text=True, capture_output=True)
    if result.returncode:
        raise PeerMissingError(f"{peer} does not run: {result.stderr.strip()[-400:]}")
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found
