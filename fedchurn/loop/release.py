"""Fourth stage: the release folder with its card, logged to MLflow and registered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fedchurn.contract.load import contract_digest
from fedchurn.contract.schema import Contract
from fedchurn.federation.training.state import RoundRecord
from fedchurn.loop.cost_rows import cost_sheet
from fedchurn.loop.drift_calibration import with_calibration
from fedchurn.loop.drift_reference import drift_reference
from fedchurn.loop.private_release import (
    privacy_notes,
    published_records,
    reference_without_rows,
)
from fedchurn.loop.reach import rows_are_remote
from fedchurn.loop.report import add_verdict, fairness_of, write_training_report
from fedchurn.loop.stage import (
    StageResult,
    finished_stage,
    forget_stage,
    run_stage,
    stage_key,
)
from fedchurn.loop.stages_before import StagesBefore
from fedchurn.loop.tracked_training import experiment
from fedchurn.loop.trained_run import TrainedRun, read_run
from fedchurn.registry.mlflow_model import register_release
from fedchurn.registry.mlflow_registry import MlflowRegistry
from fedchurn.registry.mlflow_tracking import TrackedRun, tracked_run
from fedchurn.release.card import Card
from fedchurn.release.card import RoundRecord as CardRound
from fedchurn.release.golden import choose_golden_rows
from fedchurn.release.load import check_golden, load_release
from fedchurn.release.write import ReleaseParts, write_release
from fedchurn.settings import Settings

PRIVACY_NOTES = (
    "Clients sent sums, never rows: counts and histograms of columns (no cell below k rows),"
    " gradient and Hessian sums without inputs that fewer than k rows hold, or model updates,"
    " sums of products of columns (no value of a column that fewer than k rows share), and"
    " score histograms, whose cells may stand for single rows.",
    "No secure aggregation and no differential privacy: a server that looks into one client's sums"
    " can learn about customers with rare values. k counts rows; copies of a customer count each.",
)

SECURE_NOTES = (
    "Sums left clients under secure aggregation (Bonawitz et al. 2017): a server that keeps to the"
    " protocol saw the sum over at least {num_clients} clients and no client's own part of it.",
    "No differential privacy: the sums themselves, and differences between sums over changing"
    " clients, can tell about customers with rare values. A server that invents clients, or that"
    " works together with as many clients as the threshold, can see single clients' sums.",
)

JOIN_NOTE = (
    "Before training, each client told its contract, rows and sha256 of every split, how many rows"
    " its validation used, set aside and dropped, what that warned of (it may show labels, never"
    " values of number columns or ids), and how many churned, where either class has k rows."
)


def register_stage(
    settings: Settings,
    contract: Contract,
    validated: dict[str, Any],
    trained: dict[str, Any],
    evaluated: dict[str, Any],
) -> StageResult:
    """Write the release, log it with its evaluation to the training's run, and register it.

    Returns:
        ``release_id``, ``release_folder``, ``version``, ``model_name``, ``mlflow_run_id`` and the
        usual stage facts; an unchanged input gives the same version.

    Raises:
        ReleaseError: the folder cannot be written.
        TrackingError: MLflow is away or refuses.
    """
    model_name = settings.model_name(contract.contract)
    key = stage_key(
        trained["key"],
        trained["mlflow_run_id"],
        evaluated["key"],
        settings.tracking_uri,
        model_name,
        settings.drift.model_dump(mode="json"),
    )
    _forget_unregistered(settings, model_name, key)

    def work(folder: Path) -> StageResult:
        run = read_run(Path(trained["folder"]), contract)
        before = StagesBefore(settings, contract, validated, trained, evaluated)
        release = _write(before, run)
        write_training_report(folder, before, run, release.name)
        version = _register(before, model_name, release, folder)
        return {
            "release_id": release.name,
            "release_folder": str(release),
            "version": version,
            "model_name": model_name,
            "mlflow_run_id": trained["mlflow_run_id"],
            "evaluation_folder": evaluated["folder"],
        }

    return run_stage(settings.home, "register", key, work)


def _forget_unregistered(settings: Settings, model_name: str, key: str) -> None:
    """A version that was deleted in MLflow is registered again rather than spoken of for ever."""
    done = finished_stage(settings.home, "register", key)
    if done is None:
        return
    known = MlflowRegistry(settings.tracking_uri, model_name).find(str(done["version"]))
    if known is None or known.release_id != done["release_id"]:
        forget_stage(settings.home, "register", key)


def _write(before: StagesBefore, run: TrainedRun) -> Path:
    parts = ReleaseParts(
        card=_card(before, run),
        model=run.model,
        reference=_reference(before, run),
        golden_rows=choose_golden_rows(before.contract, seed=before.settings.seed),
        fallback=run.fallback,
    )
    folder = write_release(parts, before.settings.home.resolve() / "releases")
    check_golden(load_release(folder))
    return folder


def _reference(before: StagesBefore, run: TrainedRun) -> dict[str, Any]:
    settings, contract = before.settings, before.contract
    if run.privacy is not None:
        return reference_without_rows(contract, settings.federation.min_cell_rows)
    stored = drift_reference(
        run.statistics,
        run.test,
        contract,
        relation=run.relation,
        min_cell_rows=settings.federation.min_cell_rows,
    )
    return with_calibration(stored, contract, settings.drift, settings.seed)


def _card(before: StagesBefore, run: TrainedRun) -> Card:
    settings, contract = before.settings, before.contract
    validated, trained, evaluated = before.validated, before.trained, before.evaluated
    fair = fairness_of(evaluated)
    records = published_records(run.records, run.privacy)
    return Card(
        contract=contract.contract,
        contract_version=contract.version,
        contract_digest=contract_digest(contract),
        data_digests=validated["data_digests"],
        is_sample=bool(validated["is_sample"]),
        recipe=settings.recipe,
        settings=settings.published(),
        seed=settings.seed,
        rounds=tuple(_card_round(record) for record in records if record.round_num),
        metrics=evaluated["metrics"],
        client_metrics=evaluated["client_metrics"],
        baselines={c["name"]: c["metrics"] for c in evaluated["comparisons"][1:]},
        threshold=float(evaluated["threshold"]),
        objective=str(evaluated["objective"]),
        library_versions=trained["versions"],
        git_commit=str(trained["git_commit"]),
        created_at=str(trained["created_at"]),
        mlflow_run_id=str(trained["mlflow_run_id"]),
        fairness=fair.summary() if fair else {},
        costs=cost_sheet(records).summary() if records == run.records else {},
        privacy_notes=(*_privacy_notes(run, settings), *_told_at_joining(settings)),
        privacy=dict(run.privacy or {}),
    )


def _privacy_notes(run: TrainedRun, settings: Settings) -> tuple[str, ...]:
    if run.privacy is not None:
        return privacy_notes(run.privacy)
    secure = settings.federation.secure
    if not secure.on:
        return PRIVACY_NOTES
    masked = SECURE_NOTES[0].format(num_clients=secure.min_clients)
    return (PRIVACY_NOTES[0], masked, *SECURE_NOTES[1:])


def _told_at_joining(settings: Settings) -> tuple[str, ...]:
    return (JOIN_NOTE,) if rows_are_remote(settings) else ()


def _card_round(record: RoundRecord) -> CardRound:
    return CardRound(record.round_num, record.participants, record.reasons)


def _register(before: StagesBefore, model_name: str, release: Path, report: Path) -> str:
    settings, evaluated = before.settings, before.evaluated
    uri = settings.tracking_uri
    run_id = str(before.trained["mlflow_run_id"])
    with tracked_run(uri, experiment(settings), name=release.name, run_id=run_id) as run:
        run.set_tags({"release_id": release.name})
        run.log_metrics(_final_metrics(evaluated))
        run.log_folder(Path(evaluated["folder"]), "evaluation")
        run.log_folder(report, "report")
        for page in sorted(Path(before.validated["folder"]).glob("quality-*.html")):
            run.log_file(page, "quality")
        return register_release(run, release, model_name=model_name)


def _final_metrics(evaluated: dict[str, Any]) -> dict[str, float | None]:
    """Pooled test metrics as ``final_...``, baselines beside them."""
    metrics = {f"final_{name}": value for name, value in evaluated["metrics"].items()}
    for comparison in evaluated["comparisons"][1:]:
        name = comparison["name"].replace(",", "").replace(" ", "_")
        metrics[f"baseline/{name}/roc_auc"] = comparison["metrics"].get("roc_auc")
    return metrics


def report_verdict(
    settings: Settings, registered: dict[str, Any], outcome: dict[str, Any]
) -> Path | None:
    """The training report with the verdict in it, here and in MLflow; None for an older release."""
    if "evaluation_folder" not in registered:
        return None
    page = add_verdict(Path(registered["folder"]), Path(registered["evaluation_folder"]), outcome)
    run = TrackedRun(settings.tracking_uri, str(registered["mlflow_run_id"]))
    run.log_file(page, "report")
    run.set_tags({"outcome": outcome["outcome"]})
    return page
