"""The same registry against a real MLflow server."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fedchurn.errors import TrackingError
from fedchurn.registry.journal import Journal
from fedchurn.registry.mlflow_model import register_release
from fedchurn.registry.mlflow_reach import check_reachable
from fedchurn.registry.mlflow_registry import MlflowRegistry
from fedchurn.registry.mlflow_tracking import ensure_experiment, tracked_run
from fedchurn.registry.promoter import promote, rollback
from fedchurn.release.write import write_release
from tests.e2e.mlflow_server import mlflow_server
from tests.unit.registry.acts import act
from tests.unit.release.releases import parts

pytestmark = pytest.mark.e2e
START_SECONDS = 120


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with mlflow_server(tmp_path_factory.mktemp("server")) as started:
        yield started


def test_from_a_run_to_production_and_back_then_the_server_goes_away(
    server: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    uri, process = server
    registry, journal = MlflowRegistry(uri, "churn"), Journal(tmp_path / "journal.jsonl")
    experiment = ensure_experiment(uri, "training")
    folders = []
    for seed in (1, 2):
        with tracked_run(uri, experiment, name=f"seed {seed}") as run:
            run.log_params({"seed": seed})
            run.log_metrics({"roc_auc": 0.9}, step=1)
            run.log_dataset("north", "a" * 64, context="training", num_rows=10)
            release = parts(seed=seed, mlflow_run_id=run.run_id)
            folders.append(write_release(release, tmp_path / "releases"))
            version = register_release(run, folders[-1], model_name="churn", keras=False)
        assert version == str(seed)
    promote(registry, journal, "1", None, None, act(1))
    promote(registry, journal, "2", "1", None, act(2))
    assert registry.aliases() == {"production": "2", "previous": "1"}
    rollback(registry, journal, act(3))
    assert registry.aliases() == {"production": "1"}
    came = registry.fetch_release("1", tmp_path / "fetched")
    assert came.name == folders[0].name
    shutil.rmtree(came)

    process.terminate()
    process.wait(30)
    with pytest.raises(TrackingError, match=r"does not answer at .*/health"):
        check_reachable(uri)
