"""A fresh embedded MLflow per test; its tables are made once, for that takes seconds."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from fedchurn.quiet import apply_quiet_environment
from fedchurn.registry.mlflow_registry import MlflowRegistry
from fedchurn.registry.mlflow_tracking import ensure_experiment


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    apply_quiet_environment(os.environ)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")


@pytest.fixture(scope="session")
def _empty_store(tmp_path_factory: pytest.TempPathFactory, _quiet: None) -> Path:
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    ensure_experiment(f"sqlite:///{path}", "tables")
    return path


@pytest.fixture
def uri(tmp_path: Path, _empty_store: Path) -> str:
    shutil.copyfile(_empty_store, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def registry(uri: str) -> MlflowRegistry:
    return MlflowRegistry(uri, "churn")
