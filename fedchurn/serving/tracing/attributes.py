"""What traces say about a request: counts, names and scores; never a value of a row.

Scores are given for requests about one customer; a batch has counts only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fedchurn.contract.customer_rows import CanonicalRow
from fedchurn.serving.explaining.explanation import Explanation
from fedchurn.serving.fallback.chain import Outcome
from fedchurn.serving.records import Answer, Refusal
from fedchurn.serving.served_release import ServedRelease
from fedchurn.serving.tracing.tracing import Attributes


def request_attributes(
    endpoint: str, asked: Sequence[ServedRelease], answers: Sequence[Answer | Refusal]
) -> Attributes:
    """Of the root: who was asked, who answered, and what."""
    records = [answer.record for answer in answers if isinstance(answer, Answer)]
    found: dict[str, str | int | float | bool] = {
        "endpoint": endpoint,
        "release": _names(served.release_id for served in asked),
        "model_version": _names(served.version or "" for served in asked),
        "model_used": _names(record.model_used for record in records),
        "is_fallback": any(record.fallback_reason for record in records),
        "fallback_reason": _names(record.fallback_reason or "" for record in records),
        "num_rows": len(answers),
        "num_refused_rows": len(answers) - len(records),
    }
    if len(answers) == len(records) == 1:
        found |= {
            "prediction_id": records[0].prediction_id,
            "prediction": records[0].prediction,
            "probability": records[0].probability,
            "risk_level": records[0].risk_level,
        }
    return found


def feature_attributes(judged: Sequence[CanonicalRow]) -> Attributes:
    """Of the first part: what was odd about the rows, in numbers."""
    return {
        "num_rows": len(judged),
        "num_refused_rows": sum(bool(row.problems) for row in judged),
        "num_warnings": sum(len(row.warnings) for row in judged),
    }


def inference_attributes(
    asked: Sequence[ServedRelease], outcomes: Sequence[Outcome | None]
) -> Attributes:
    """Of the second part: who scored, and for one customer the score."""
    scored = [outcome for outcome in outcomes if outcome is not None]
    found: dict[str, str | int | float | bool] = {
        "num_rows": len(scored),
        "model_used": _names(outcome.model_used for outcome in scored),
    }
    if len(outcomes) == len(scored) == 1:
        probability = scored[0].probability
        found |= {
            "probability": probability,
            "prediction": int(probability >= asked[0].threshold),
        }
    return found


def explanation_attributes(explanations: Sequence[Explanation | None]) -> Attributes:
    """Of the third part: how many contributions, and for one customer the strongest field."""
    made = [explanation for explanation in explanations if explanation is not None]
    found: dict[str, str | int | float | bool] = {
        "num_explanations": len(made),
        "num_contributions": sum(len(explanation.contributions) for explanation in made),
    }
    if len(explanations) == len(made) == 1 and made[0].contributions:
        found["top_field"] = made[0].contributions[0].field
    return found


def _names(names: Iterable[str]) -> str:
    """Different names in alphabetical order, with commas; an experiment has two releases."""
    return ",".join(sorted(set(names) - {""}))
