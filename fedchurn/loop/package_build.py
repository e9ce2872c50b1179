"""Builds a bento and tries it out, each in a process of its own that sees what it should see.

BentoML is not imported here: it changes the process that it builds in, and a bento must be proven
from its own files, not from the modules that this process has loaded.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedchurn.errors import PackageError
from fedchurn.loop.package_store import StoredBento
from fedchurn.quiet import QUIET_ENVIRONMENT

BUILD_SECONDS = 300
NUM_LINES = 8
# What a shell may hold must decide neither what is built nor what is proven.
_FOREIGN = ("FEDCHURN_", "BENTO", "PYTHON", "PROMETHEUS_", "PREFECT_", "MLFLOW_", "OTEL_")


def build_bento(
    project: Path, bento: StoredBento, release: Path, metadata: Mapping[str, str]
) -> None:
    """Build ``bento`` into its store, with the release inside.

    Args:
        project: folder of ``bentofile.yaml``.
        bento: what to make.
        release: folder of the release.
        metadata: what the model in the bento says of the release.

    Raises:
        PackageError: it cannot be built.
    """
    if not (project / "bentofile.yaml").is_file():
        raise PackageError(
            "there is no bentofile.yaml, so there is nothing to build a bento from",
            where=str(project),
            next_step="run it from a checkout of Fedchurn (make setup)",
        )
    asked = {
        "release": str(release),
        "name": bento.name,
        "version": bento.version,
        "metadata": dict(metadata),
    }
    bento.store.mkdir(parents=True, exist_ok=True)
    _run(["bentos.build", json.dumps(asked)], project, bento, "cannot be built")


def prove_bento(bento: StoredBento) -> dict[str, Any]:
    """Ask the bento its golden rows; see ``bentos/churn/proof.py``, which runs inside it.

    Returns:
        ``rows``, ``modules`` and ``max_difference`` (of a probability, 0-1).

    Raises:
        PackageError: it does not answer as its release does.
    """
    failure = "is not what its release is"
    return _run(["bentos.churn.proof", str(bento.folder)], bento.folder / "src", bento, failure)


def bento_environment(bento: StoredBento, home: Path) -> dict[str, str]:
    """Environment for a process that works with a bento.

    Args:
        bento: names the store.
        home: where a service may write.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
    own = {"BENTOML_HOME": str(bento.store), "FEDCHURN_HOME": str(home)}
    return {**kept, **QUIET_ENVIRONMENT, **own}


def _run(module: list[str], folder: Path, bento: StoredBento, failure: str) -> dict[str, Any]:
    environ = bento_environment(bento, bento.store / "home")
    environ["PYTHONDONTWRITEBYTECODE"] = "1"  # what is being packaged stays as it is
    try:
        done = subprocess.run(
            [sys.executable, "-m", *module],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _failed(bento, f"{failure}: no end after {BUILD_SECONDS} s") from error
    told = _last_object(done.stdout)
    if done.returncode != 0 or told is None:
        lines = done.stderr.strip().splitlines()[-NUM_LINES:]  # it did not come to say why
        why = str(told["failure"]) if told and "failure" in told else "\n".join(lines)
        raise _failed(bento, f"{failure}: {why}")
    return told


def _last_object(output: str) -> dict[str, Any] | None:
    try:
        told = json.loads(output.splitlines()[-1])
    except (ValueError, IndexError):
        return None
    return told if isinstance(told, dict) else None


def _failed(bento: StoredBento, what: str) -> PackageError:
    return PackageError(
        what,
        where=f"bento {bento.tag}",
        next_step="mend that, then run `fedchurn package`; what is in production is unchanged",
    )
