"""A home whose registry holds small releases: made in a second, without training."""

from __future__ import annotations

from pathlib import Path

import yaml

from fedchurn.registry.mlflow_model import register_release
from fedchurn.registry.mlflow_registry import MlflowRegistry
from fedchurn.registry.mlflow_tracking import ensure_experiment, tracked_run
from fedchurn.registry.port import PRODUCTION
from fedchurn.release.load import Release, load_release
from fedchurn.release.write import write_release
from tests.unit.release.releases import CONTRACT, parts


class SmallHome:
    """A home for the contract ``shop`` of tests/unit/release/releases.py.

    Args:
        folder: the home; its contract and its registry are made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        data = CONTRACT.model_dump(mode="json", exclude_defaults=True)
        Path(self.contract).write_text(yaml.safe_dump(data))
        artifacts = folder / "mlartifacts"
        self._experiment = ensure_experiment(self.registry.uri, "churn", artifacts)

    @property
    def contract(self) -> str:
        """Path of the contract, as a setting."""
        return str(self.folder / "shop.yaml")

    @property
    def registry(self) -> MlflowRegistry:
        uri = f"sqlite:///{self.folder}/mlflow.db"
        return MlflowRegistry(uri, "churn_prediction_model_shop")

    def register(self, seed: int) -> Release:
        """One more version: 1, 2, ..."""
        folder = write_release(parts(seed=seed), self.folder / "made")
        uri = self.registry.uri
        with tracked_run(uri, self._experiment, name=folder.name) as run:
            register_release(run, folder, model_name=self.registry.name, keras=False)
        return load_release(folder)

    def put_into_production(self, version: str) -> None:
        """Only the alias; nothing is judged."""
        self.registry.set_alias(PRODUCTION, version)
