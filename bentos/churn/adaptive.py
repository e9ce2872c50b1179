"""Rows of concurrent requests, merged by BentoML's adaptive batching."""

from __future__ import annotations

from typing import Any

import msgspec

from bentos.churn.answers import prediction_fields
from bentos.churn.api_parts import ApiParts
from bentos.churn.findings import finding
from fedchurn.serving.answering import Question
from fedchurn.serving.records import Answer


def adaptive_answers(
    parts: ApiParts, customers: list[dict[str, Any]], started: float
) -> list[dict[str, Any]]:
    """One entry per row, in order: the fields of a prediction, or the ``errors`` of a bad row."""
    known = parts.live.state.champion.contract.columns
    question = Question("/predict/adaptive", started)
    return [
        msgspec.to_builtins(prediction_fields(answer))
        if isinstance(answer, Answer)
        else {"errors": msgspec.to_builtins([finding(p, known) for p in answer.problems])}
        for answer in parts.answering.many(customers, question)
    ]
