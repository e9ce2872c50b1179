"""From rows as sent to answers: judge, score (with fallbacks), explain, record."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fedchurn.contract.customer_rows import CanonicalRow, canonical_row
from fedchurn.serving.explaining.explanation import Explanation
from fedchurn.serving.fallback.chain import Outcome
from fedchurn.serving.fallback.switch_log import place
from fedchurn.serving.live import Live, Serving
from fedchurn.serving.prediction_ids import PredictionIds
from fedchurn.serving.rare_message import RareMessage
from fedchurn.serving.recorder import Recorder
from fedchurn.serving.records import Answer, PredictionRecord, Refusal
from fedchurn.serving.served_release import ServedRelease
from fedchurn.serving.tracing.attributes import (
    explanation_attributes,
    feature_attributes,
    inference_attributes,
    request_attributes,
)
from fedchurn.serving.tracing.tracing import (
    EXPLAINABILITY,
    FEATURES,
    INFERENCE,
    NoTracing,
    Span,
    Tracing,
)

logger = logging.getLogger("bentoml.churn.answering")

Row = Mapping[str, object]
_failed_explanations = RareMessage()


@dataclass(frozen=True)
class Question:
    """How rows are asked about.

    Attributes:
        endpoint: route that was called.
        started: ``time.perf_counter()`` when the request came.
        explain: whether contributions and recommendations are wanted.
    """

    endpoint: str
    started: float
    explain: bool = False


class Answering:
    """Answers rows with what is live; blocking, for worker threads rather than the event loop."""

    def __init__(
        self, live: Live, recorder: Recorder, ids: PredictionIds, tracing: Tracing | None = None
    ) -> None:
        self._live = live
        self._recorder = recorder
        self._ids = ids
        self._tracing = tracing or NoTracing()

    def one(self, row: Row, question: Question) -> Answer | Refusal:
        """The answer about one row, or why there is none."""
        return self.many([row], question)[0]

    def many(self, rows: Sequence[Row], question: Question) -> list[Answer | Refusal]:
        """Answers in the order of the rows; a bad row does not keep good ones from answers."""
        with self._tracing.request() as root:
            return self._many(rows, question, root)

    def _many(self, rows: Sequence[Row], question: Question, root: Span) -> list[Answer | Refusal]:
        state = self._live.state
        with root.span(FEATURES) as span:
            judged = [_judged(row, state.champion) for row in rows]
            customers = [customer_id(row, state.champion) for row in rows]
            asked = [state.pick(customer) for customer in customers]
            span.note(feature_attributes, judged)
        with root.span(INFERENCE) as span:
            outcomes = _outcomes(state, judged, asked)
            span.note(inference_attributes, asked, outcomes)
        with root.span(EXPLAINABILITY) as span:
            wanted = outcomes if question.explain else [None] * len(rows)
            explanations = list(map(_explained, asked, judged, wanted))
            span.note(explanation_attributes, explanations)
        answers = [
            self._answer(customer, one, served, outcome, explanation, question)
            if outcome is not None
            else Refusal(one.problems)
            for customer, one, served, outcome, explanation in zip(
                customers, judged, asked, outcomes, explanations, strict=True
            )
        ]
        root.note(request_attributes, question.endpoint, asked, answers)
        return answers

    def _answer(
        self,
        customer: str | None,
        judged: CanonicalRow,
        served: ServedRelease,
        outcome: Outcome,
        explanation: Explanation | None,
        question: Question,
    ) -> Answer:
        record = PredictionRecord(
            time_seconds=time.time(),
            prediction_id=self._ids.new(),
            customer_id=customer,
            values=tuple(judged.values.values()),
            probability=outcome.probability,
            prediction=int(outcome.probability >= served.threshold),
            risk_level=served.band(outcome.probability).name,
            model_used=outcome.model_used,
            fallback_reason=outcome.reason,
            served=served,
            latency_seconds=time.perf_counter() - question.started,
            warnings=tuple((w.field, w.rule) for w in judged.warnings),
            endpoint=question.endpoint,
            quick=False,
        )
        self._recorder.record(record)
        if not question.explain:
            return Answer(record, judged.warnings)
        advice = served.advisor.recommend(outcome.probability, explanation)
        return Answer(record, judged.warnings, explanation, advice)


def _judged(row: Row, served: ServedRelease) -> CanonicalRow:
    return served.quick.canonical(row) or canonical_row(row, served.contract)


def customer_id(row: Row, served: ServedRelease) -> str | None:
    """The customer that a row is about, where it says so, as text of at most 64 characters."""
    name = served.id_column
    return customer_text(row.get(name)) if name else None


def customer_text(value: object) -> str | None:
    """A value of the id field as text, cut to 64 characters; None for what cannot be an id.

    Blank text is none either: customers of a file whose id column is empty are not one customer.
    """
    if value is None or isinstance(value, dict | list):
        return None
    text = str(value)
    return text[:64] if text.strip() else None


def _explained(
    served: ServedRelease, judged: CanonicalRow, outcome: Outcome | None
) -> Explanation | None:
    """Contributions to the answer of the model that gave it; rules and base rate have none.

    A defect of the explainer must not take the answer with it.
    """
    if outcome is None:
        return None
    explainer = served.explainers.get(outcome.model_used)
    if explainer is None:
        return None
    try:
        return explainer.explain(judged.values)
    except Exception as error:
        if num_failed := _failed_explanations.add():
            logger.error("%d answers could not be explained: %s", num_failed, place(error))
        return None


def _outcomes(
    state: Serving, judged: Sequence[CanonicalRow], asked: Sequence[ServedRelease]
) -> list[Outcome | None]:
    """One outcome per row without problems, scored together per release."""
    outcomes: list[Outcome | None] = [None] * len(judged)
    for served in {id(s): s for s in asked}.values():
        places = [i for i, row in enumerate(judged) if asked[i] is served and not row.problems]
        if not places:
            continue
        fault = state.champion_fault if served is state.champion else None
        values = [judged[i].values for i in places]
        for i, outcome in zip(places, served.chain.answer(values, fault), strict=True):
            outcomes[i] = outcome
    return outcomes
