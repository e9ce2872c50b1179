"""The service from a bento, built for the benchmark with the release inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.serving.material import Material
from benchmarks.serving.servers import BENTOML, PROJECT, Side
from fedchurn.quiet import apply_quiet_environment

NAME, VERSION = "churn_benchmark", "1"


def bundled(material: Material, folder: Path, name: str) -> Side:
    """Build the bento below ``folder``; the side serves it away from the checkout.

    Raises:
        RuntimeError: it cannot be built.
    """
    store, elsewhere = folder / "store", folder / "elsewhere"
    for path in (store, elsewhere):
        path.mkdir(parents=True)
    release = material.release
    facts = {"release_id": release.release_id, "version": VERSION, "digest": ""}
    asked = {
        "release": str(release.folder),
        "name": NAME,
        "version": VERSION,
        "metadata": {**facts, "contract": release.contract.contract},
    }
    environ = {**os.environ, "BENTOML_HOME": str(store)}
    apply_quiet_environment(environ)
    command = [sys.executable, "-m", "bentos.build", json.dumps(asked)]
    done = subprocess.run(command, cwd=PROJECT, env=environ, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"no bento: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    homes = {"BENTOML_HOME": str(store), "FEDCHURN_HOME": str(elsewhere / "home")}
    return Side(name, (*BENTOML, f"{NAME}:{VERSION}"), homes, elsewhere, has_home=True)
