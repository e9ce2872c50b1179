"""The scoring model in MLflow: canonical rows in, churn probabilities out, self-contained."""

from __future__ import annotations

import shutil
import tempfile
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from fedchurn.release.load import Release

_PACKAGE = Path(__file__).resolve().parents[1]
# What the model needs of Fedchurn; a test loads a version with nothing else.
_CODE = (
    "__init__.py",
    "errors.py",
    "contract",
    "encoding",
    "release",
    "learning/__init__.py",
    "learning/spec.py",
)
_REQUIREMENTS = ("numpy", "pandas", "pydantic", "PyYAML", "mlflow")


def log_scoring_model(release: Release) -> Any:
    """Log the scoring model to the active run; gives MLflow's ``ModelInfo``."""
    import mlflow

    with tempfile.TemporaryDirectory() as place:
        return mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("mlflow_model_code.py")),
            artifacts={"release": str(release.folder)},
            code_paths=[str(_copy_code(Path(place)))],
            pip_requirements=[f"{name}=={installed_version(name)}" for name in _REQUIREMENTS],
            signature=_row_signature(release),
            input_example=_row_example(release),
        )


def _copy_code(place: Path) -> Path:
    package = place / _PACKAGE.name
    skip = shutil.ignore_patterns("__pycache__")
    for name in _CODE:
        source, target = _PACKAGE / name, package / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=skip)
        else:
            shutil.copyfile(source, target)
    return package


def _row_signature(release: Release) -> Any:
    """Numbers are doubles, labels are strings; a nullable column may be left out or empty."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    columns = [
        ColSpec("double" if c.is_number else "string", name, required=not c.nullable)
        for name, c in release.contract.columns.items()
    ]
    answer = [ColSpec("double", "churn_probability"), ColSpec("long", "churn")]
    return ModelSignature(Schema(columns), Schema(answer))


def _row_example(release: Release) -> Any:
    """The first golden rows as a frame."""
    import pandas as pd

    frame = pd.DataFrame(list(release.golden.rows[:3]), columns=list(release.contract.columns))
    for name, column in release.contract.columns.items():
        frame[name] = frame[name].astype("float64" if column.is_number else "object")
    return frame
