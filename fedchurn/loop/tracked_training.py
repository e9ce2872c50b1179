"""Federated training with an MLflow run beside it, so that rounds show while they happen."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from typing import Any

from fedchurn.contract.schema import Contract
from fedchurn.federation.training.state import RoundRecord
from fedchurn.federation.training.train_half import MANY_CLIENTS
from fedchurn.loop.abandoned import RUN_FILE, remove_abandoned
from fedchurn.loop.federate import (
    OnRound,
    federate_key,
    federate_stage,
    forget_progress,
    progress_folder,
)
from fedchurn.loop.provenance import git_commit, library_versions, now
from fedchurn.loop.stage import StageResult, finished_stage, forget_stage
from fedchurn.registry.mlflow_tracking import (
    TrackedRun,
    ensure_experiment,
    run_exists,
    tracked_run,
)
from fedchurn.settings import Settings


def experiment(settings: Settings) -> str:
    """Id of the settings' experiment; artifacts of an embedded store live under home.

    Raises:
        TrackingError: MLflow is away or refuses.
    """
    artifacts = None if settings.tracking.uri else settings.home.resolve() / "mlartifacts"
    return ensure_experiment(settings.tracking_uri, settings.tracking.experiment, artifacts)


def federate_tracked(
    settings: Settings,
    contract: Contract,
    validated: dict[str, Any],
    reporter: Callable[[], OnRound] = lambda: lambda _record, _total: None,
) -> StageResult:
    """``federate_stage`` with params, tags, data lineage and step metrics in a new MLflow run.

    A stage that is complete already is read back and starts no run; a training that was killed goes
    on in the run that it had.

    Args:
        settings: of the run.
        contract: what the rows mean.
        validated: result of ``validate_stage``.
        reporter: makes another listener of rounds, when there will be rounds.

    Returns:
        the stage's result with ``mlflow_run_id``.

    Raises:
        TrackingError: MLflow is away or refuses.
    """
    uri = settings.tracking_uri
    key = federate_key(settings, contract, validated)
    done = finished_stage(settings.home, "federate", key)
    if done is not None:
        if run_exists(uri, str(done["mlflow_run_id"])):
            forget_progress(settings.home, key)  # killed before it could be removed
            return done
        forget_stage(settings.home, "federate", key)  # its run is gone from MLflow
    remove_abandoned(settings, keep=key)
    begun, is_described = begun_run(settings, key)
    made = {"created_at": now(), "git_commit": git_commit(), "versions": library_versions()}
    tags = {
        "contract": contract.contract,
        "contract_version": contract.version,
        "recipe": settings.recipe,
        "is_sample": str(validated["is_sample"]).lower(),
        "git_commit": made["git_commit"],
        **{f"version.{name}": number for name, number in library_versions().items()},
        **_refused(validated),
    }
    name = f"{contract.contract}-{settings.recipe}"
    with tracked_run(uri, experiment(settings), name=name, tags=tags, run_id=begun) as run:
        if not is_described:
            keep_begun_run(settings, key, run.run_id, is_described=False)
            run.log_params({**settings.published(), "sources": ", ".join(validated["sources"])})
            _log_data(run, validated)
            keep_begun_run(settings, key, run.run_id, is_described=True)
        num_logged = run.last_step(_EVERY_ROUND) if begun else -1
        report = reporter()

        def on_round(record: RoundRecord, total: int) -> None:
            if record.round_num > num_logged:
                run.log_metrics(_step_metrics(record), record.round_num)
            report(record, total)

        return federate_stage(
            settings, contract, validated, on_round, facts={**made, "mlflow_run_id": run.run_id}
        )


_EVERY_ROUND = "seconds/total"


def begun_run(settings: Settings, key: str) -> tuple[str | None, bool]:
    """The MLflow run of a training that was killed, and whether params and data are in it.

    None if it had none yet, or MLflow does not have it any more.
    """
    try:
        text = (progress_folder(settings.home, key) / RUN_FILE).read_text(encoding="utf-8")
        kept = json.loads(text)
        run_id = str(kept["run_id"])
    except (OSError, ValueError, KeyError):
        return None, False
    if not run_exists(settings.tracking_uri, run_id):
        return None, False
    return run_id, bool(kept.get("is_described", True))


def keep_begun_run(settings: Settings, key: str, run_id: str, *, is_described: bool) -> None:
    """Write down which run a training has, for ``begun_run``."""
    folder = progress_folder(settings.home, key)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = json.dumps({"run_id": run_id, "is_described": is_described})
    temporary = folder / f"{RUN_FILE}.tmp"
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(folder / RUN_FILE)


def _log_data(run: TrackedRun, validated: dict[str, Any]) -> None:
    contexts = {"train": "training", "validation": "validation", "test": "test"}
    parts_of = validated["parts"]
    if len(parts_of) > MANY_CLIENTS:
        parts_of = {f"{len(parts_of)} clients": _parts_together(parts_of)}
    for client, parts in parts_of.items():
        for split, context in contexts.items():
            part = parts[split]
            run.log_dataset(client, part["digest"], context=context, num_rows=part["num_rows"])


def _parts_together(parts_of: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Size and digest by split over all clients: thousands of data sets would drown a run."""
    together = {}
    for split in ("train", "validation", "test"):
        parts = [parts_of[client][split] for client in sorted(parts_of)]
        digests = "\n".join(str(part["digest"]) for part in parts)
        together[split] = {
            "digest": hashlib.sha256(digests.encode()).hexdigest(),
            "num_rows": sum(int(part["num_rows"]) for part in parts),
        }
    return together


def _step_metrics(record: RoundRecord) -> dict[str, float | None]:
    """Train and validation metrics of a round, pooled and per client."""
    train = {f"train_{name}": value for name, value in record.train.items()}
    validation = {f"eval_{name}": value for name, value in record.validation.items()}
    clients = {
        f"client/{_metric_name(client)}/{name}": value
        for client, numbers in record.per_client.items()
        for name, value in numbers.items()
    }
    seconds = {f"seconds/{phase}": value for phase, value in record.seconds.items()}
    cost = {
        _EVERY_ROUND: sum(record.seconds.values()),
        "bytes_up": float(record.bytes_up),
        "bytes_down": float(record.bytes_down),
        **{f"note/{name}": value for name, value in record.notes.items()},
    }
    merged = {**train, **validation, **clients, **seconds, **cost}
    return {name: value if math.isfinite(value) else None for name, value in merged.items()}


def _refused(validated: dict[str, Any]) -> dict[str, str]:
    """A tag for every client that takes no part; MLflow keeps 8000 letters at most."""
    refused = validated.get("refused", {})
    return {f"refused.{_metric_name(client)}": why[:1000] for client, why in refused.items()}


def _metric_name(client: str) -> str:
    """A client's name in letters that MLflow accepts in metric names."""
    return "".join(c if c.isalnum() or c in "_-. /" else "_" for c in client)
