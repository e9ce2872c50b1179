"""Builds a bento with a release inside, in a process of its own.

    python -m bentos.build '{"release": FOLDER, "name": "churn", "version": ..., "metadata": ...}'

It reads ``bentofile.yaml`` of the working directory, writes to the stores of ``BENTOML_HOME``, and
prints one line of JSON, with ``failure`` in it when it could not. Of its own, for BentoML changes
the working directory and the import path of the process that it builds in, and keeps its stores for
the life of it.
"""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import yaml


def build(asked: dict[str, Any]) -> dict[str, str]:
    """Put the release into the model store, then build the bento around it.

    Args:
        asked: ``release`` (its folder), ``name`` and ``version`` of the bento, and ``metadata`` of
            the model (``release_id``, ``version``, ``contract``, ``digest``).

    Returns:
        ``bento`` and ``model``: their folders in the stores.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # BentoML's, about itself
        import bentoml

        from bentos.churn.bento_release import MODEL_NAME, RELEASE

        metadata = asked["metadata"]
        tag = f"{MODEL_NAME}:{asked['version']}"
        with bentoml.models.create(tag, metadata=metadata) as model:
            shutil.copytree(asked["release"], Path(model.path) / RELEASE)
        options = yaml.safe_load(Path("bentofile.yaml").read_text(encoding="utf-8"))
        labels = {name: metadata[name] for name in ("release_id", "contract")}
        bento = bentoml.bentos.build(
            **options,
            name=asked["name"],
            version=asked["version"],
            labels={**labels, "registry_version": metadata["version"]},
            models=[tag],
            build_ctx=str(Path.cwd()),
        )
        return {"bento": str(bento.path), "model": str(bentoml.models.get(tag).path)}


if __name__ == "__main__":
    try:
        told: dict[str, Any] = build(json.loads(sys.argv[1]))
    except Exception as error:
        told = {"failure": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.exit(int("failure" in told))
