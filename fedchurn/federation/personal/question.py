"""The server's side of personalisation: asks clients for models of their own, and reads figures."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from fedchurn.errors import DataError
from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.personal import Gain, PersonalFigures, Personalisation
from fedchurn.evaluation.sums import NUM_BINS, ScoreSums
from fedchurn.evaluation.thresholds import Objective
from fedchurn.federation.exchange import Exchange, Reply, Request
from fedchurn.federation.model_messages import of_candidate, weights_to_arrays
from fedchurn.federation.personal.client import STAYS, TASK
from fedchurn.federation.training.checks import RoundPolicy, accept
from fedchurn.learning.spec import Weights
from fedchurn.release.scorer import Scorer

_SHOWN = ("roc_auc", "log_loss", "f1", "recall", "precision")


@dataclass(frozen=True)
class PersonalQuestion:
    """What clients are asked.

    Attributes:
        model: the model of all.
        selection_weights: the same before a refit: it has not seen validation rows.
        threshold: of the model of all.
        objective: what thresholds are chosen for.
        strengths: to choose from.
        min_rows: validation rows of either class that a choice takes.
        min_cell_rows: k.
    """

    model: Scorer
    selection_weights: Weights
    threshold: float
    objective: Objective
    strengths: Sequence[float]
    min_rows: int
    min_cell_rows: int

    def request(self) -> Request:
        """For all clients."""
        spec = self.model.spec
        refitted = any(
            a.tobytes() != b.tobytes()
            for a, b in zip(self.selection_weights, self.model.weights, strict=True)
        )
        return Request(
            TASK,
            0,
            weights_to_arrays(spec, (self.selection_weights, self.model.weights)),
            {
                "encoder": self.model.encoder.to_json(),
                "spec": json.dumps(spec.to_dict()),
                "threshold": self.threshold,
                "objective": json.dumps(asdict(self.objective)),
                "strengths": json.dumps(list(self.strengths)),
                "min_rows": self.min_rows,
                "min_cell_rows": self.min_cell_rows,
                "split": "train+validation" if refitted else "train",
            },
        )


def ask_to_personalise(
    exchange: Exchange, policy: RoundPolicy, question: PersonalQuestion
) -> Personalisation:
    """Every client makes and keeps a model of its own; its figures come back.

    Raises:
        QuorumError: too few clients answered.
    """
    replies = exchange.ask(question.request(), timeout_seconds=policy.deadline_seconds)
    found: dict[str, PersonalFigures] = {}
    checked = []
    for reply in replies:
        try:
            if not reply.error:
                found[reply.client] = _figures(reply, question.threshold)
            checked.append(reply)
        except (DataError, KeyError, OverflowError, ValueError) as error:
            checked.append(replace(reply, error=f"an answer that cannot be read: {error}"))
    accepted = accept(checked, policy, what="question about clients' own models")
    kept = {reply.client: found[reply.client] for reply in accepted.replies}
    return Personalisation(kept, {**accepted.absences, **accepted.quarantined})


def _figures(reply: Reply, threshold: float) -> PersonalFigures:
    numbers = reply.numbers
    strength, own_threshold = numbers["strength"], numbers["threshold"]
    if not 0 <= own_threshold * NUM_BINS < NUM_BINS:
        raise ValueError(f"threshold {own_threshold}")
    of_all: dict[str, float | None] = {}
    own: dict[str, float | None] = {}
    if numbers["num_rows"]:
        sums = [ScoreSums.from_arrays(of_candidate(reply.arrays, place)) for place in (0, 1)]
        of_all, own = _shown(sums[0], threshold), _shown(sums[1], own_threshold)

    def gain(name: str) -> Gain:
        return Gain(*(numbers.get(f"{name}_{part}", math.nan) for part in ("gain", "error")))

    return PersonalFigures(
        strength=None if strength == STAYS else strength,
        threshold=own_threshold,
        num_rows=int(numbers["num_rows"]),
        of_all=of_all,
        own=own,
        auc=gain("auc"),
        log_loss=gain("log_loss"),
    )


def _shown(sums: ScoreSums, threshold: float) -> dict[str, float | None]:
    found = metrics(sums, threshold).to_dict()
    return {name: found[name] for name in _SHOWN}
