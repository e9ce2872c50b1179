"""A training run in MLflow: params, step metrics, tags, data lineage, artifacts.

Works through ``MlflowClient`` with an explicit URI, so that nothing global is set.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from fedchurn.errors import TrackingError
from fedchurn.registry.mlflow_errors import is_absent, mlflow_errors
from fedchurn.registry.mlflow_reach import check_reachable

logger = logging.getLogger(__name__)

_PARAMS_PER_CALL = 100
_METRICS_PER_CALL = 1000
_DIGEST_LENGTH = 36  # longest digest that MLflow keeps of a dataset


def ensure_experiment(uri: str, name: str, artifacts: Path | None = None) -> str:
    """Id of the experiment ``name``, made when absent.

    Args:
        uri: tracking URI.
        name: of the experiment.
        artifacts: absolute folder for artifacts of an embedded store; a server has its own place.

    Raises:
        TrackingError: MLflow is away or refuses, or the experiment was deleted.
    """
    check_reachable(uri)
    with mlflow_errors(uri, f"looking up experiment {name!r}"):
        experiment_id, deleted = _experiment(uri, name, artifacts)
    if deleted:
        raise TrackingError(
            f"experiment {name!r} was deleted",
            where=uri,
            next_step=f"mlflow experiments restore -x {experiment_id}, or choose another name",
        )
    return experiment_id


def _experiment(uri: str, name: str, artifacts: Path | None) -> tuple[str, bool]:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(name)
    if found is None:
        place = artifacts.resolve().as_uri() if artifacts else None
        try:
            return str(client.create_experiment(name, artifact_location=place)), False
        except MlflowException:  # somebody else made it meanwhile
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id), found.lifecycle_stage != "active"


@dataclass(frozen=True)
class TrackedRun:
    """One run.

    Attributes:
        uri: tracking URI.
        run_id: the run.
    """

    uri: str
    run_id: str

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Settings of the run; nested ones get dotted names."""
        from mlflow.entities import Param

        flat = iter(_flat(params))
        while batch := [Param(k, str(v)) for k, v in islice(flat, _PARAMS_PER_CALL)]:
            with mlflow_errors(self.uri, "logging params"):
                self.client().log_batch(self.run_id, params=batch)

    def log_metrics(self, metrics: Mapping[str, float | None], step: int = 0) -> None:
        """Metrics at a step (a round); those that could not be computed are left out."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)  # MLflow wants the time of logging
        known = ((k, v) for k, v in metrics.items() if v is not None and math.isfinite(v))
        while batch := [
            Metric(k, float(v), now, step) for k, v in islice(known, _METRICS_PER_CALL)
        ]:
            with mlflow_errors(self.uri, "logging metrics"):
                self.client().log_batch(self.run_id, metrics=batch)

    def last_step(self, metric: str) -> int:
        """The largest step at which a metric was logged; -1 when it never was."""
        with mlflow_errors(self.uri, f"reading {metric}"):
            history = self.client().get_metric_history(self.run_id, metric)
        return max((int(entry.step) for entry in history), default=-1)

    def set_tags(self, tags: Mapping[str, object]) -> None:
        """Tags of the run: git commit, versions, whether the data are the sample, ..."""
        from mlflow.entities import RunTag

        known = ((k, str(v)) for k, v in tags.items())
        while batch := [RunTag(k, v) for k, v in islice(known, _PARAMS_PER_CALL)]:
            with mlflow_errors(self.uri, "setting tags"):
                self.client().log_batch(self.run_id, tags=batch)

    def log_dataset(self, client: str, sha256: str, *, context: str, num_rows: int) -> None:
        """Lineage of one client's rows: name, digest and size, never the rows themselves.

        Args:
            client: the client's name.
            sha256: of the rows; MLflow's own digest samples rows and misses single changes.
            context: what they were used for: ``training``, ``validation`` or ``test``.
            num_rows: how many.
        """
        from mlflow.data.code_dataset_source import CodeDatasetSource
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import DatasetInput, InputTag

        source = CodeDatasetSource({"client": client, "sha256": sha256, "num_rows": num_rows})
        dataset = MetaDataset(source, name=client, digest=sha256[:_DIGEST_LENGTH])
        tags = {"mlflow.data.context": context, "sha256": sha256, "num_rows": str(num_rows)}
        entry = DatasetInput(
            dataset._to_mlflow_entity(), tags=[InputTag(k, v) for k, v in tags.items()]
        )
        with mlflow_errors(self.uri, f"logging the data of client {client}"):
            self.client().log_inputs(self.run_id, datasets=[entry])

    def log_folder(self, folder: Path, artifact_path: str | None = None) -> None:
        """All files of a folder, as artifacts under ``artifact_path``."""
        with mlflow_errors(self.uri, f"storing {folder}"):
            self.client().log_artifacts(self.run_id, str(folder), artifact_path)

    def log_file(self, file: Path, artifact_path: str | None = None) -> None:
        """One file, as an artifact under ``artifact_path``."""
        with mlflow_errors(self.uri, f"storing {file}"):
            self.client().log_artifact(self.run_id, str(file), artifact_path)

    def end(self, status: str) -> None:
        """End the run as ``FINISHED``, ``FAILED`` or ``KILLED``."""
        with mlflow_errors(self.uri, "ending the run"):
            self.client().set_terminated(self.run_id, status)

    def client(self) -> Any:
        """An ``MlflowClient`` of this run's store."""
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri)


def run_exists(uri: str, run_id: str) -> bool:
    """Whether the store behind ``uri`` holds a run that was not deleted.

    Raises:
        TrackingError: MLflow is away.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    check_reachable(uri)
    with mlflow_errors(uri, f"looking up run {run_id}"):
        try:
            run = MlflowClient(tracking_uri=uri).get_run(run_id)
        except MlflowException as error:
            if is_absent(error):
                return False
            raise
    return bool(run.info.lifecycle_stage == "active")


@contextmanager
def tracked_run(
    uri: str,
    experiment_id: str,
    *,
    name: str,
    tags: Mapping[str, object] | None = None,
    run_id: str | None = None,
) -> Iterator[TrackedRun]:
    """A run that ends FINISHED, or FAILED when the block raises, or KILLED when it is interrupted.

    Args:
        uri: tracking URI.
        experiment_id: from ``ensure_experiment``.
        name: of the run.
        tags: of the run.
        run_id: go on with this run (a retried flow) instead of a new one.

    Raises:
        TrackingError: MLflow is away or refuses.
    """
    run = TrackedRun(uri, run_id or _new_run(uri, experiment_id, name))
    with mlflow_errors(uri, "starting the run"):
        run.client().update_run(run.run_id, status="RUNNING")
    try:
        run.set_tags(tags or {})
        yield run
    except BaseException as error:
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        try:
            run.end(status)
        except TrackingError as refused:  # what went wrong first is what must be told
            logger.warning("the MLflow run %s is not ended: %s", run.run_id, refused)
        raise
    run.end("FINISHED")


def _new_run(uri: str, experiment_id: str, name: str) -> str:
    from mlflow import MlflowClient

    with mlflow_errors(uri, "starting a run"):
        client = MlflowClient(tracking_uri=uri)
        return str(client.create_run(experiment_id, run_name=name).info.run_id)


def _flat(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
