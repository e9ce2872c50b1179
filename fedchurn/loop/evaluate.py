"""Third stage: threshold, metrics beside their baselines, plots and round tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fedchurn.contract.columns import features
from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import ClientTable
from fedchurn.evaluation.comparison import (
    Comparison,
    Scored,
    compare,
    compare_alone,
    each_client_alone,
)
from fedchurn.evaluation.fairness import Fairness, fairness
from fedchurn.evaluation.metrics import Metrics, metrics
from fedchurn.evaluation.round_table import write_client_round_table, write_round_table
from fedchurn.evaluation.sums import add_sums
from fedchurn.evaluation.thresholds import Objective, ThresholdChoice, choose_threshold
from fedchurn.loop.feature_curves import feature_curves
from fedchurn.loop.personalise import personalise
from fedchurn.loop.private_release import objective_without_rows, published_records
from fedchurn.loop.reach import rows_are_remote
from fedchurn.loop.report import save_plots
from fedchurn.loop.round_rows import client_round_rows, round_rows
from fedchurn.loop.stage import StageResult, run_stage, stage_key
from fedchurn.loop.trained_run import TrainedRun, read_run
from fedchurn.loop.validate import stage_tables
from fedchurn.settings import EvaluationSettings, Settings

MAX_ALONE = 100  # clients; each one's model is scored on the rows of all of them


@dataclass(frozen=True)
class Evaluation:
    """A model judged on test rows.

    Attributes:
        choice: the threshold, chosen on validation rows.
        pooled: metrics over the test rows of all clients.
        peak_accuracy: accuracy on the same rows at the threshold that validation rows choose for
            accuracy; the promotion floor looks at it, for a threshold chosen to find churners
            gives accuracy away on purpose.
        clients: the same per client.
        comparisons: the model, its fallback and its baselines, each by the same rules.
        fairness: how evenly clients are served.
    """

    choice: ThresholdChoice
    pooled: Metrics
    peak_accuracy: float
    clients: dict[str, Metrics]
    comparisons: tuple[Comparison, ...]
    fairness: Fairness

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {
            "threshold": self.choice.threshold,
            "objective": self.choice.objective.name,
            "objective_value": _finite(self.choice.value),
            "note": self.choice.note,
            "metrics": {**self.pooled.to_dict(), "peak_accuracy": self.peak_accuracy},
            "client_metrics": {client: m.to_dict() for client, m in self.clients.items()},
            "comparisons": [
                {
                    "name": c.name,
                    "explanation": c.explanation,
                    "metrics": dict(c.metrics),
                    "settings": dict(c.settings),
                }
                for c in self.comparisons
            ],
            "fairness": self.fairness.to_dict(),
        }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def objective_of(settings: EvaluationSettings) -> Objective:
    """What the threshold is chosen for, from settings."""
    return Objective(
        settings.objective,
        false_negative_cost=settings.false_negative_cost,
        false_positive_cost=settings.false_positive_cost,
        fraction=settings.top_share,
        threshold=settings.threshold,
    )


def evaluate_stage(
    settings: Settings, contract: Contract, validated: dict[str, Any], trained: dict[str, Any]
) -> StageResult:
    """Metrics, plots and tables in a stage folder; ``evaluation.json`` holds the figures.

    Returns:
        what ``Evaluation.to_dict`` gives, ``left_out`` (which comparisons could not be made, and
        why), ``personal`` (models of the clients' own, None when not asked for) and the usual stage
        facts.
    """
    key = stage_key(
        trained["key"],
        settings.evaluation.model_dump(mode="json"),
        settings.personalisation.model_dump(mode="json") if settings.personalisation.on else None,
    )

    def work(folder: Path) -> StageResult:
        run = read_run(Path(trained["folder"]), contract)
        baselines = settings.evaluation.baselines and not rows_are_remote(settings)
        tables = list(stage_tables(validated).values()) if baselines else []
        evaluation = evaluate_run(run, tables, settings)
        _write(folder, run, evaluation, contract, is_sample=bool(validated["is_sample"]))
        personal = personalise(settings, contract, validated, run, evaluation.choice)
        figures = {
            **evaluation.to_dict(),
            "left_out": left_out(settings),
            "personal": personal.to_dict() if personal else None,
        }
        (folder / "evaluation.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
        return figures

    return run_stage(settings.home, "evaluate", key, work)


def left_out(settings: Settings) -> str:
    """Which comparisons were wanted and could not be made, and why; empty for none."""
    if not settings.evaluation.baselines:
        return ""
    if not rows_are_remote(settings):
        data = settings.data
        too_many = data.deals_to_many and data.num_clients > MAX_ALONE
        return f"Each client alone is left out above {MAX_ALONE} clients." if too_many else ""
    return (
        "Pooled models and each client alone are not among the comparisons: they are trained in one"
        " process that holds all rows, and here every row stayed on its client's host."
    )


def evaluate_run(run: TrainedRun, tables: Sequence[ClientTable], settings: Settings) -> Evaluation:
    """Judge a run; baselines are trained on ``tables``, none when it is empty."""
    objective, note = objective_of(settings.evaluation), ""
    if run.privacy is not None:
        objective, note = objective_without_rows(settings.evaluation)
    choice = choose_threshold(add_sums(run.validation.values()), objective)
    choice = replace(choice, note=choice.note or note)
    own = Scored(
        f"federated {settings.recipe}",
        "Rows never left their clients; settings and best round chosen on validation rows.",
        add_sums(run.validation.values()),
        run.test,
    )
    comparisons = (compare(own, objective), *_baselines(tables, objective, settings))
    peak = choose_threshold(add_sums(run.validation.values()), Objective("accuracy"))
    return Evaluation(
        choice=choice,
        pooled=metrics(add_sums(run.test.values()), choice.threshold),
        peak_accuracy=metrics(add_sums(run.test.values()), peak.threshold).accuracy,
        clients={client: metrics(s, choice.threshold) for client, s in run.test.items()},
        comparisons=comparisons,
        fairness=fairness(run.test, choice.threshold, rows_per_customer(run)),
    )


def rows_per_customer(run: TrainedRun) -> dict[str, float]:
    """By client, how many test rows say the same as one: copies of a customer tell nothing new."""
    held_out = run.relation.held_out if run.relation else {}
    return {
        client: sums.customer_squares / sums.num_rows
        for client, sums in held_out.items()
        if sums.num_rows
    }


def _baselines(
    tables: Sequence[ClientTable], objective: Objective, settings: Settings
) -> tuple[Comparison, ...]:
    if not tables:
        return ()
    # sklearn takes seconds to import; only baselines need it.
    from fedchurn.evaluation.pooled_baselines_sklearn import (
        logistic_regression_alone,
        pooled_baselines,
    )

    pooled = pooled_baselines(
        tables, seed=settings.seed, thorough=settings.evaluation.thorough, num_threads=1
    )
    compared = [compare(scored, objective) for scored in pooled]
    if len(tables) <= MAX_ALONE:
        alone = each_client_alone(logistic_regression_alone, tables)
        compared += compare_alone(alone, objective)
    return tuple(compared)


def _write(
    folder: Path,
    run: TrainedRun,
    evaluation: Evaluation,
    contract: Contract,
    *,
    is_sample: bool,
) -> None:
    # matplotlib takes a second to import; only plots need it.
    from fedchurn.evaluation.evaluation_plots import save_evaluation_plots, save_feature_plots

    records = published_records(run.records, run.privacy)
    rows = round_rows(records)
    write_round_table(rows, folder)
    write_client_round_table(client_round_rows(records), folder)
    curves = feature_curves(run.model, features(contract), run.statistics)
    plots = save_evaluation_plots(
        folder / "plots",
        rounds=[row for row in rows if row.round_num],  # an untrained model would dwarf the rest
        test=run.test,
        threshold=evaluation.choice.threshold,
        curves=curves,
        is_sample=is_sample,
    )
    save_feature_plots(folder / "plots", curves, is_sample=is_sample)
    save_plots(folder, plots)
