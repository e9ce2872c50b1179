"""Size on disk of what a service needs, installed from the locks into fresh environments."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.serving.demands import Demand
from benchmarks.serving.servers import PROJECT

MIB = 2**20
SERVE, WITH_TENSORFLOW, TRAIN = "serving", "serving + TensorFlow", "training"
REQUIREMENTS = PROJECT / "requirements"


def measure(folder: Path) -> dict[str, Any]:
    """MiB per environment: all files of site-packages, without bytecode.

    The second is the serving lock with TensorFlow as the training lock has it; the third is this
    process's environment, counted as it is.
    """
    serve = _environment(folder / "serve", ["--require-hashes", "-r", _lock("serve")])
    asked = ["-r", _lock("serve"), f"tensorflow=={_locked_tensorflow()}", "-c", _lock("train")]
    # Constraints have their hashes, so what they choose is checked as well.
    tensorflow = _environment(folder / "tensorflow", asked)
    sizes = {SERVE: serve, WITH_TENSORFLOW: tensorflow, TRAIN: _mib(Path(sys.prefix))}
    return {"mib": sizes, "ratio": {name: serve / size for name, size in sizes.items()}}


def demands(record: dict[str, Any]) -> list[Demand]:
    """A quarter of the environment with TensorFlow."""
    ratio = record["ratio"][WITH_TENSORFLOW]
    return [Demand("installed size to that with TensorFlow", ratio, at_most=0.25)]


def table(record: dict[str, Any]) -> list[str]:
    """The figures as lines of text."""
    return [f"{f'environment: {name}':40}{size:8.0f} MiB" for name, size in record["mib"].items()]


def _environment(folder: Path, arguments: list[str]) -> float:
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    install = [uv, "pip", "install", "-q", "--python", str(folder / "bin" / "python")]
    subprocess.run([*install, *arguments], check=True)
    return _mib(folder)


def _mib(environment: Path) -> float:
    (packages,) = (environment / "lib").glob("python*/site-packages")
    files = (p for p in packages.rglob("*") if p.suffix != ".pyc" and not p.is_symlink())
    return sum(path.stat().st_size for path in files if path.is_file()) / MIB


def _lock(name: str) -> str:
    return str(REQUIREMENTS / f"{name}.txt")


def _locked_tensorflow() -> str:
    found = re.search(r"^tensorflow==([\w.]+)", Path(_lock("train")).read_text(), re.MULTILINE)
    assert found is not None
    return found[1]
