"""The release's Keras model in MLflow, for those who want layers rather than a score."""

from __future__ import annotations

import json
import tempfile
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import numpy as np

from fedchurn.learning.keras_import import load_tensorflow
from fedchurn.learning.keras_model import build_keras
from fedchurn.registry.mlflow_tracking import TrackedRun
from fedchurn.release.canonical import rows_to_columns
from fedchurn.release.load import Release


def log_keras_model(run: TrackedRun, release: Release) -> None:
    """Log the Keras model to the active run ``run``.

    ``mlflow.keras.log_model(input_example=...)`` fails in 3.17 (it looks for its own example
    before writing it), so the example is an artifact of its own.
    """
    load_tensorflow()
    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    spec = release.model.spec
    taken = TensorSpec(np.dtype(np.float32), (-1, spec.inputs))
    given = TensorSpec(np.dtype(np.float32), (-1, 1))
    mlflow.keras.log_model(
        build_keras(spec, release.model.weights),
        name="keras_model",
        signature=ModelSignature(Schema([taken]), Schema([given])),
        pip_requirements=[f"{n}=={installed_version(n)}" for n in ("keras", "tensorflow", "numpy")],
    )
    with tempfile.TemporaryDirectory() as place:
        example = Path(place) / "keras_input_example.json"
        example.write_text(json.dumps(keras_example(release)))
        run.log_file(example)


def keras_example(release: Release) -> dict[str, Any]:
    """Encoded golden rows and the probabilities that the Keras model must give for them."""
    rows = release.golden.rows[:3]
    inputs = release.model.encoder.encode(rows_to_columns(rows, release.contract))
    return {
        "input_names": list(release.model.encoder.input_names()),
        "inputs": inputs.tolist(),
        "probabilities": list(release.golden.probabilities[:3]),
    }
