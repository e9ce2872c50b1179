"""What callers do: ask about customers, and tell later what these really did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fedchurn.data.sample_customers import Customer
from infra.drill.service import Service
from infra.drill.timeline import Step

NUM_CALLERS = 4


@dataclass(frozen=True)
class Answered:
    """What the service said about some customers.

    Attributes:
        answers: one per customer, in order.
        num_labels: truths that were taken.
    """

    answers: tuple[Mapping[str, Any], ...]
    num_labels: int

    @property
    def releases(self) -> Mapping[str, int]:
        """Answers by release."""
        return Counter(str(answer["release"]) for answer in self.answers)

    @property
    def num_fallbacks(self) -> int:
        return sum(bool(answer["is_fallback"]) for answer in self.answers)

    @property
    def mean_probability(self) -> float:
        return sum(float(a["churn_probability"]) for a in self.answers) / len(self.answers)


def send(service: Service, customers: Sequence[Customer]) -> Answered:
    """Ask about every customer, then tell the truth about each by the answer's id.

    Raises:
        ValueError: a call was refused.
    """
    with ThreadPoolExecutor(NUM_CALLERS) as callers:
        answers = tuple(callers.map(service.predict, [c.row for c in customers]))
        told = callers.map(
            lambda pair: _tell(service, pair[0], pair[1].label),
            zip(answers, customers, strict=True),
        )
        return Answered(answers, sum(told))


def _tell(service: Service, answer: Mapping[str, Any], label: int) -> int:
    truth = {"prediction_id": answer["prediction_id"], "label": label}
    status, receipt = service.ask("POST", "/feedback", truth)
    if status != 200:
        raise ValueError(f"/feedback answered {status}: {receipt}")
    return 1


def check_answers(step: Step, answered: Answered, release_id: str) -> None:
    """Every answer is of the release, and of its model."""
    step.check(
        dict(answered.releases) == {release_id: len(answered.answers)},
        f"answers are of {dict(answered.releases)}, not of {release_id} alone",
    )
    step.check(answered.num_fallbacks == 0, f"{answered.num_fallbacks} answers are of a fallback")
