"""The peers in environments of their own, which ``uv`` makes from names and versions.

``FEDCHURN_BENCH_PEERS`` may name a folder in which environments stay; see
``benchmarks.drift.environments``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.drift.environments import PeerMissingError

NEEDED_PYTHON = (3, 11)  # what tensorflow-federated 0.87 and pfl 0.6 are made for


@dataclass(frozen=True)
class Environment:
    """What is installed; overrides win over what packages ask of each other."""

    packages: tuple[str, ...]
    overrides: tuple[str, ...] = ()


ENVIRONMENTS = {
    # The newest jax that still has jax.tree_map, which fedjax calls.
    "fedjax": Environment(("fedjax==0.0.17", "jax==0.5.3", "jaxlib==0.5.3", "dm-haiku==0.0.13")),
    "pfl": Environment(("pfl[tf]==0.6.0", "tensorflow==2.21.0", "tf-keras==2.21.0")),
    # It asks for jaxlib 0.4.14, which is not published; the pair before it is.
    "tff": Environment(
        ("tensorflow-federated==0.87.0",), overrides=("jax==0.4.13", "jaxlib==0.4.13")
    ),
    "flower": Environment(("flwr[simulation]==1.32.1", "tensorflow==2.21.0")),
}


def peer_python(peer: str, folder: Path) -> Path:
    """The interpreter of a peer's environment, made first if it is not there.

    Raises:
        PeerMissingError: it cannot be made here: another Python, or no network.
    """
    root = Path(os.environ.get("FEDCHURN_BENCH_PEERS") or folder) / peer
    python = root / "bin" / "python"
    if python.exists():
        return python
    if sys.version_info[:2] != NEEDED_PYTHON:
        raise PeerMissingError(f"{peer} needs Python 3.11, this is {sys.version.split()[0]}")
    uv = str(Path(sys.executable).with_name("uv"))
    wanted = ENVIRONMENTS[peer]
    root.parent.mkdir(parents=True, exist_ok=True)
    overrides = root.parent / f"{peer}-overrides.txt"
    overrides.write_text("\n".join(wanted.overrides))
    install = [uv, "pip", "install", "-q", "--python", str(python), *wanted.packages]
    if wanted.overrides:
        install += ["--overrides", str(overrides)]
    for command in ([uv, "venv", "-q", "--python", sys.executable, str(root)], install):
        result = subprocess.run(command, text=True, capture_output=True)
        if result.returncode:
            shutil.rmtree(root, ignore_errors=True)  # half an environment is none
            raise PeerMissingError(f"{peer} cannot be installed: {result.stderr.strip()[-400:]}")
    return python
