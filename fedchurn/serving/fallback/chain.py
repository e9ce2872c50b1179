"""Who answers when the model cannot: fallback model, then rules, then the base rate.

A step is left because of an error, a timeout, failed golden rows or a result that is no
probability; never because a probability is low, which only says that a customer is safe.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fedchurn.contract.conditions import Value
from fedchurn.contract.schema import Contract
from fedchurn.serving.fallback.deadline import DeadlineRunner
from fedchurn.serving.fallback.rules import base_rate, rule_probability
from fedchurn.serving.fallback.scores import Attempt, Model, Score
from fedchurn.serving.fallback.switch_log import SwitchLog
from fedchurn.serving.records import BASE_RATE, ERROR, FALLBACK_MODEL, RULES, TIMEOUT


class Outcome(NamedTuple):
    """One score and who gave it.

    Attributes:
        probability: churn probability (0-1), finite.
        model_used: one of ``records.MODELS_USED``.
        reason: why a fallback answered (``records.FALLBACK_REASONS``), or None.
    """

    probability: float
    model_used: str
    reason: str | None


class FallbackChain:
    """Scores rows with the first step that can; safe from any thread.

    Args:
        contract: rules and base rate.
        role: what the model's answers call it: ``champion`` or ``challenger``.
        model: asked first.
        fallback: asked about rows that the model has no answer for, or None.
        timeout_seconds: how long each of the two may take for a call of ``answer``.
    """

    def __init__(
        self,
        contract: Contract,
        role: str,
        model: Model,
        fallback: Model | None,
        *,
        timeout_seconds: float,
    ) -> None:
        self._contract = contract
        self._base_rate = base_rate(contract)
        self._log = SwitchLog()
        self._model = _Step(role, model, timeout_seconds, self._log)
        self._fallback = (
            _Step(FALLBACK_MODEL, fallback, timeout_seconds, self._log) if fallback else None
        )

    def answer(
        self, rows: Sequence[Mapping[str, Value]], fault: str | None = None
    ) -> list[Outcome]:
        """Scores of n canonical rows (n >= 1); ``fault`` is why the model may not be asked."""
        first = self._model.refused(rows, fault) if fault else self._model.scores(rows)
        failed = [row for row, score in zip(rows, first, strict=True) if isinstance(score, str)]
        second = iter(self._without_model(failed) if failed else ())
        return [
            Outcome(*next(second), score)
            if isinstance(score, str)
            else Outcome(score, self._model.name, None)
            for score in first
        ]

    def _without_model(self, rows: Sequence[Mapping[str, Value]]) -> list[tuple[float, str]]:
        if self._fallback is None:
            return [self._last_resort(row) for row in rows]
        return [
            self._last_resort(row) if isinstance(score, str) else (score, FALLBACK_MODEL)
            for row, score in zip(rows, self._fallback.scores(rows), strict=True)
        ]

    def _last_resort(self, row: Mapping[str, Value]) -> tuple[float, str]:
        try:
            probability = rule_probability(self._contract, row)
        except Exception as error:  # nothing may keep the last step from answering
            self._log.switched(RULES, ERROR, 1, error)
            probability = None
        return (self._base_rate, BASE_RATE) if probability is None else (probability, RULES)


class _Step:
    """A model, its deadline, and its complaints in the log."""

    def __init__(self, name: str, model: Model, timeout_seconds: float, log: SwitchLog) -> None:
        self.name = name
        self._model = model
        self._runner = DeadlineRunner(timeout_seconds)
        self._log = log

    def scores(self, rows: Sequence[Mapping[str, Value]]) -> list[Score]:
        """One score per row; a reason for every row when the model is late."""
        attempt = Attempt()
        try:
            scores = self._runner.run(lambda: attempt.scores(self._model, rows))
        except TimeoutError:
            scores = [TIMEOUT] * len(rows)
        except Exception as error:  # no thread to be had
            attempt.error = error
            scores = [ERROR] * len(rows)
        reasons = Counter(score for score in scores if isinstance(score, str))
        for reason, num_rows in reasons.items():
            cause = attempt.error if reason == ERROR else None
            self._log.switched(self.name, reason, num_rows, cause)
        return scores

    def refused(self, rows: Sequence[Mapping[str, Value]], fault: str) -> list[Score]:
        """The same for a model that may not be asked because of ``fault``."""
        self._log.switched(self.name, fault, len(rows))
        return [fault] * len(rows)
