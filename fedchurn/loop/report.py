"""The training report of a run: assembled from finished stages, written again after the verdict."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedchurn.evaluation.comparison import Comparison
from fedchurn.evaluation.fairness import Fairness
from fedchurn.evaluation.personal import Personalisation
from fedchurn.evaluation.training_report import (
    Absence,
    ClientReport,
    ReportPlot,
    TrainingReport,
    Verdict,
    write_report,
)
from fedchurn.loop.cost_rows import cost_sheet
from fedchurn.loop.private_release import published_records
from fedchurn.loop.provenance import library_versions, now
from fedchurn.loop.reach import rows_are_remote
from fedchurn.loop.round_rows import round_rows
from fedchurn.loop.stages_before import StagesBefore
from fedchurn.loop.trained_run import TrainedRun
from fedchurn.settings import Settings

REMOTE_ROWS = (
    "No row lies on the server's machine. Each client checked and split its own file and told the"
    " counts and digests below; its quality page and its quarantined rows stay with it."
)

_PLOTS = "plots.json"
_REPORT = "training_report.json"


def save_plots(folder: Path, plots: Sequence[ReportPlot]) -> None:
    """Keep the report's plots for later stages."""
    stored = [
        {
            "title": plot.title,
            "description": plot.description,
            "wide": plot.wide,
            "image": base64.b64encode(plot.image).decode("ascii"),
        }
        for plot in plots
    ]
    (folder / _PLOTS).write_text(json.dumps(stored), encoding="utf-8")


def load_plots(folder: Path) -> list[ReportPlot]:
    """The plots that ``save_plots`` kept."""
    stored = json.loads((folder / _PLOTS).read_text(encoding="utf-8"))
    return [
        ReportPlot(p["title"], p["description"], base64.b64decode(p["image"]), p["wide"])
        for p in stored
    ]


def write_training_report(
    folder: Path, before: StagesBefore, run: TrainedRun, release: str
) -> Path:
    """The page before the verdict, and its record as JSON beside it."""
    report = _report(before, run, release)
    record = json.dumps(report.to_dict(), indent=1)
    (folder / _REPORT).write_text(record, encoding="utf-8")
    return write_report(report, folder, load_plots(Path(before.evaluated["folder"])))


def add_verdict(folder: Path, evaluation_folder: Path, outcome: dict[str, Any]) -> Path:
    """Write the page again, with what was decided."""
    stored = json.loads((folder / _REPORT).read_text(encoding="utf-8"))
    reasons = [str(reason["sentence"]) for reason in outcome["reasons"]]
    champion = outcome["champion_before"]
    verdict = Verdict(
        outcome=str(outcome["outcome"]),
        reasons=tuple(reasons),
        champion=f"version {champion}" if champion else "",
    )
    report = TrainingReport.from_dict({**stored, "decision": None})
    decided = TrainingReport(**{**report.__dict__, "decision": verdict})
    return write_report(decided, folder, load_plots(evaluation_folder))


def _report(before: StagesBefore, run: TrainedRun, release: str) -> TrainingReport:
    settings, contract = before.settings, before.contract
    validated, trained, evaluated = before.validated, before.trained, before.evaluated
    comparisons = tuple(Comparison(**stored) for stored in evaluated["comparisons"])
    records = published_records(run.records, run.privacy)
    absences = tuple(
        Absence(record.round_num, client, reason)
        for record in records
        for client, reason in record.reasons.items()
    )
    return TrainingReport(
        title=f"{contract.title or contract.contract}: training report",
        contract=contract.contract,
        contract_version=contract.version,
        created_at=now(),
        is_sample=bool(validated["is_sample"]),
        recipe=settings.recipe,
        seed=settings.seed,
        settings=_shown_settings(settings),
        threshold=float(evaluated["threshold"]),
        objective=str(evaluated["objective"]),
        federated=comparisons[0],
        baselines=comparisons[1:],
        clients=_clients(validated, evaluated, absences),
        rounds=tuple(round_rows(records)),
        best_round=run.best_round_num,
        absences=absences,
        release=release,
        mlflow_run_id=str(trained["mlflow_run_id"]),
        library_versions=library_versions(),
        notes=_notes(before),
        fairness=fairness_of(evaluated),
        personal=personal_of(evaluated),
        costs=cost_sheet(records) if records == run.records else None,
    )


def fairness_of(evaluated: dict[str, Any]) -> Fairness | None:
    """What the third stage found; None in results of older versions."""
    return Fairness.from_dict(evaluated["fairness"]) if evaluated.get("fairness") else None


def personal_of(evaluated: dict[str, Any]) -> Personalisation | None:
    """Figures of the clients' own models; None where none were asked for."""
    return Personalisation.from_dict(evaluated["personal"]) if evaluated.get("personal") else None


def _notes(before: StagesBefore) -> tuple[str, ...]:
    """What a reader must know, and what is missing from this page and why."""
    notes = [before.evaluated["note"], before.evaluated["left_out"]]
    if rows_are_remote(before.settings):
        notes.append(REMOTE_ROWS)
    for client, why in sorted(before.validated.get("refused", {}).items()):
        notes.append(f"Client {client} took no part: {why}.")
    return tuple(note for note in notes if note)


def _shown_settings(settings: Settings) -> dict[str, str | int | float]:
    return {
        "scheme": _scheme(settings),
        "engine": settings.federation.engine,
        "phases": " then ".join(phase.strategy for phase in settings.training.phases),
        "basis": settings.training.encoder.basis,
        "min_cell_rows": settings.federation.min_cell_rows,
        "quorum_fraction": settings.federation.quorum_fraction,
        "validation_fraction": settings.split.validation_fraction,
        "test_fraction": settings.split.test_fraction,
    }


def _scheme(settings: Settings) -> str:
    if rows_are_remote(settings):
        return "one host per client"
    return "one file per client" if settings.data.clients else settings.data.scheme


def _clients(
    validated: dict[str, Any], evaluated: dict[str, Any], absences: Sequence[Absence]
) -> tuple[ClientReport, ...]:
    counts = validated["rows"]
    return tuple(
        ClientReport(
            client=client,
            source=counts[client]["source"],
            data_digest=validated["data_digests"][client],
            rows_in=counts[client]["rows_in"],
            rows_used=counts[client]["rows_used"],
            rows_quarantined=counts[client]["rows_quarantined"],
            rows_dropped_duplicates=counts[client]["rows_dropped_duplicates"],
            num_train=parts["train"]["num_rows"],
            num_validation=parts["validation"]["num_rows"],
            num_test=parts["test"]["num_rows"],
            metrics=evaluated["client_metrics"].get(client, {}),
            rounds_absent=sum(absence.client == client for absence in absences),
        )
        for client, parts in sorted(validated["parts"].items())
    )
