"""What a release of a private training holds instead of what clients' rows would have given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fedchurn.contract.columns import features
from fedchurn.contract.schema import Contract
from fedchurn.encoding.from_contract import no_statistics
from fedchurn.encoding.ranges import histogram_edges
from fedchurn.evaluation.thresholds import Objective
from fedchurn.federation.training.state import RoundRecord
from fedchurn.loop.drift_reference import histograms_of
from fedchurn.settings import EvaluationSettings

SCORED = ("log_loss", "brier", "roc_auc", "precision", "recall", "f1")
"""Of a record's training metrics, those that evaluation alone tells."""

NO_DRIFT_NOTE = "No histograms were told, so drift cannot be judged from this release."


def objective_without_rows(evaluation: EvaluationSettings) -> tuple[Objective, str]:
    """A threshold that no row has a say in, and why it is not the one that was asked for.

    ``cost``, ``f1`` and ``top_share`` take the one that is best for calibrated probabilities, false
    positive cost / (false positive cost + false negative cost); ``accuracy`` takes 0.5.
    """
    if evaluation.objective == "fixed":
        return Objective("fixed", threshold=evaluation.threshold), ""
    if evaluation.objective == "accuracy":
        return Objective("fixed", threshold=0.5), ""
    costs = (evaluation.false_positive_cost, evaluation.false_negative_cost)
    threshold = costs[0] / sum(costs)
    note = (
        f"Privacy: the threshold follows from the costs alone ({costs[0]:g} to {costs[1]:g});"
        f" objective {evaluation.objective} would have needed validation rows."
    )
    return Objective("fixed", threshold=threshold), note


def published_records(
    records: Sequence[RoundRecord], privacy: Mapping[str, Any] | None
) -> tuple[RoundRecord, ...]:
    """Records as they may be published: who was drawn by a secret key stays secret.

    Sums over those who were drawn go too: rows of each client are known, so their number alone
    would tell who they are. Score sums of all clients stay.
    """
    if privacy is None or privacy["sampling_rate"] >= 1:
        return tuple(records)
    everybody, left_out = tuple(privacy["clients"]), dict(privacy["left_out"])
    return tuple(
        replace(
            record,
            participants=everybody,
            absences=left_out,
            quarantined={},
            cohort=(),
            train={n: v for n, v in record.train.items() if n in SCORED},
            per_client=_evaluated(record),
            bytes_up=0,
            bytes_down=0,
            client_bytes_up={},
            client_bytes_down={},
            seconds={},
        )
        for record in records
    )


def _evaluated(record: RoundRecord) -> dict[str, dict[str, float]]:
    """Per client what evaluation told, which does not ask those who were drawn."""
    scored = {
        client: {n: v for n, v in numbers.items() if n.startswith("validation_")}
        for client, numbers in record.per_client.items()
    }
    return {client: numbers for client, numbers in scored.items() if numbers}


def privacy_notes(privacy: Mapping[str, Any]) -> tuple[str, ...]:
    """The promise, for the card."""
    promise = (
        f"Differential privacy of {privacy['protects']} ({privacy['mode']}): epsilon"
        f" {privacy['epsilon']:.2f} at delta {privacy['delta']:g}, by {privacy['mechanism']}, noise"
        f" multiplier {privacy['noise_multiplier']:.3g}, clip norm {privacy['clip_norm']:g}"
        f"{' at first, adaptive' if privacy['adaptive_clipping'] else ''},"
        f" {privacy['num_rounds']} rounds; {privacy['sampling']}. Accountant:"
        f" {privacy['accountant']}."
    )
    spent = max(privacy["lifetime_epsilon"].values(), default=0.0)
    lifetime = f"With all trainings before, at most epsilon {spent:.2f} was spent of a client."
    return (promise, lifetime, *privacy["assumptions"], NO_DRIFT_NOTE)


def reference_without_rows(contract: Contract, min_cell_rows: int) -> dict[str, Any]:
    """``reference.json`` of no rows; see ``drift_reference``."""
    edges = histogram_edges(contract)
    return {
        "format": 2,
        "min_cell_rows": min_cell_rows,
        "labels": {f.name: list(f.labels) for f in features(contract) if f.labels is not None},
        "edges": {f.name: edges[f.name].tolist() for f in features(contract) if f.is_number},
        "pooled": {**histograms_of(no_statistics(contract)), "own": {}},
        "clients": {},
        "scores": {"edges": [0.0, 1.0], "negative_rows": [0.0], "positive_rows": [0.0]},
        "own_edges": {},
        "dependence": None,
        "calibration": None,
    }
