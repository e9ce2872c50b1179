"""How good the model still is: estimated for a window, and by mature labels, once a run."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from typing import Any

from fedchurn.drift.performance.decay import Decay
from fedchurn.drift.performance.estimated_performance import estimate_performance
from fedchurn.drift.performance.held_out import effective_fraction
from fedchurn.drift.verdict import Verdict
from fedchurn.errors import IntegrityError
from fedchurn.loop.watching.performance_rules import decay_rule, performance_rule
from fedchurn.loop.watching.window import Window
from fedchurn.release.load import Release
from fedchurn.retraining.inbox import TriggerInbox
from fedchurn.retraining.places import inbox_folder
from fedchurn.retraining.trigger import Source, Trigger
from fedchurn.serving.feedback.performance_file import write_performance
from fedchurn.serving.feedback.performance_record import performance_record
from fedchurn.serving.serving_settings import ServingSettings
from fedchurn.settings import Settings

Record = dict[str, Any]

PERFORMANCE = "performance"
_VERDICTS = {Decay.DECAY: Verdict.DRIFT, Decay.WARNING: Verdict.WARNING}
_MEANINGS = {
    "accuracy": "share of right decisions",
    "f1": "harmonic mean of precision and recall",
    "roc_auc": "chance that a churner has the higher probability",
    "brier": "mean squared error of the probability; lower is better",
}


def look_at_labels(settings: Settings, serving: ServingSettings, release: Release) -> Record:
    """Judge the release by its mature labels, and tell the service (``performance.json``).

    Decay asks for a retrain, once per state of the labels.

    Raises:
        SourceError: a file of log or feedback is of a format that this version does not know.
        ReleaseError, RetrainingError: the disk refuses.
    """
    found = performance_record(
        serving.predictions_folder,
        serving.feedback_folder,
        release,
        now_seconds=time.time(),
        rule=performance_rule(settings.feedback),
        decay_rule=decay_rule(settings),
    )
    write_performance(serving.service_folder, found)
    told = found.to_dict()
    if found.decay.verdict is Decay.DECAY:
        folder = inbox_folder(serving.home, serving.contract)
        TriggerInbox(folder).add(_trigger(told))
    return told


def verdict_by_labels(told: Mapping[str, Any] | None) -> Verdict:
    """Of decay, in the words of drift."""
    return _VERDICTS.get(Decay(told["decay"]["verdict"]), Verdict.NONE) if told else Verdict.NONE


def estimate(window: Window, release: Release) -> Record | None:
    """What the figures of a window should be, before labels come; None where nothing is known."""
    threshold = release.card.threshold
    try:
        found = estimate_performance(
            release.reference.get("scores") or {},
            window.probabilities,
            window.probabilities >= threshold,
            threshold=threshold,
            effective_fraction=effective_fraction(release.reference),
        )
    except IntegrityError:
        return None
    return found.to_dict()


def page_part(
    estimated: Mapping[str, Any] | None, by_labels: Mapping[str, Any] | None
) -> Record | None:
    """``lines`` and ``rows`` of a report; None when nothing is known."""
    lines, rows = [], []
    if estimated and estimated["metrics"]:
        lines.append(
            "Estimated without labels, from calibrated churn probabilities: what the figures should"
            " be if churn goes with the score as it did in training. It warns of customers whom the"
            " model knows less about; a change of churn itself only labels show."
        )
        rows += [_row(one, one["estimated"], "estimated: ") for one in estimated["metrics"]]
    if by_labels:
        decay = by_labels["decay"]
        lines.append(f"Labels that came back: {decay['summary']}.")
        known = [one for one in decay["metrics"] if one["live"] is not None]
        rows += [_row(one, one["live"], "by labels: ") for one in known]
    return {"lines": lines, "rows": rows} if lines else None


def _row(one: Mapping[str, Any], now: float | None, how: str) -> Record:
    meaning = how + _MEANINGS[one["metric"]]
    return {"name": one["metric"], "before": one["held_out"], "now": now, "meaning": meaning}


def _trigger(told: Mapping[str, Any]) -> Trigger:
    decay = told["decay"]
    facts = [told["contract"], told["release"], decay["num_labels"], decay["summary"]]
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
    return Trigger(
        key=f"labels-{digest}",
        source=Source.DECAY,
        time=told["timestamp"],
        summary=f"Decay: {decay['summary']}, by {decay['num_labels']} mature labels.",
        release_id=told["release"],
        evidence={
            "subjects": [PERFORMANCE],
            "clients": decay["decayed_clients"],
            "metrics": decay["metrics"],
            "num_labels": decay["num_labels"],
        },
    )
