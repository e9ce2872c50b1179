"""The rounds that leave in a release what drift is measured against, beside histograms."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.schema import Contract
from fedchurn.drift.relation.dependence import (
    Dependence,
    DependenceSums,
    coordinate_names,
    fit_dependence,
)
from fedchurn.drift.relation.normal_scores import TICKS_PER_UNIT, ScoredColumn
from fedchurn.federation.drift.dependence_messages import (
    dependence_from_arrays,
    scored_columns,
    scored_config,
    scored_to_arrays,
)
from fedchurn.federation.drift.dependence_sums import HeldOutSums
from fedchurn.federation.exchange import Arrays, Exchange, Reply, Request, Scalar
from fedchurn.federation.model_messages import weights_to_arrays
from fedchurn.federation.training.checks import RoundPolicy, accept
from fedchurn.federation.training.train import TrainedModel

T = TypeVar("T")
FloatArray = NDArray[np.float64]

NUM_ERROR_CELLS = 128
_ERRORS_REACH = 4.0  # times the root mean square; larger ones share the last cell


@dataclass(frozen=True)
class Relation:
    """How columns go together, and how well held-out rows keep to it.

    Attributes:
        dependence: JSON-ready ``Dependence``.
        error_edges: inner edges of the reconstruction error's cells, (c - 1,); empty when there
            are too few columns for such errors.
        held_out: per client, of its test rows.
    """

    dependence: Mapping[str, Any]
    error_edges: FloatArray
    held_out: Mapping[str, HeldOutSums]


def collect_relation(
    exchange: Exchange,
    policy: RoundPolicy,
    trained: TrainedModel,
    contract: Contract,
    min_cell_rows: int,
) -> Relation | None:
    """Dependence from training rows, then errors of test rows; None without tested columns.

    Clients are asked twice; their weights and encoder are those of ``trained``, so nothing about
    the model changes.

    Raises:
        QuorumError: too few clients answered.
    """
    scored = scored_columns(trained.statistics, contract)
    if not scored:
        return None
    asked = _Asked(exchange, policy, scored, min_cell_rows)
    sums = asked.dependence(trained)
    dependence = fit_dependence(scored, sums)
    edges = _error_edges(dependence, sums)
    return Relation(dependence.to_json(), edges, asked.held_out(dependence, edges))


def _error_edges(dependence: Dependence, sums: DependenceSums) -> FloatArray:
    """Equal steps up to four times the root mean square error of the training rows."""
    if not len(dependence.components):
        return np.zeros(0)
    moments = sums.products[:-1, :-1] / (TICKS_PER_UNIT**2 * max(sums.num_rows, 1))
    kept = dependence.components @ moments @ dependence.components.T
    mean_square = float(np.trace(moments) - np.trace(kept))
    reach = _ERRORS_REACH * np.sqrt(max(mean_square, 0.01))
    return np.linspace(0.0, reach, NUM_ERROR_CELLS)[1:]


@dataclass(frozen=True)
class _Asked:
    """The two questions, about the same columns."""

    exchange: Exchange
    policy: RoundPolicy
    scored: Sequence[ScoredColumn]
    min_cell_rows: int

    def dependence(self, trained: TrainedModel) -> DependenceSums:
        """The sum over clients."""
        arrays = weights_to_arrays(trained.spec, [trained.weights])
        config = {"encoder": trained.encoder.to_json(), "spec": json.dumps(trained.spec.to_dict())}
        size = len(coordinate_names(self.scored))
        known = {c: int(part.num_rows) for c, part in trained.client_statistics.items()}

        def read(reply: Reply) -> DependenceSums:
            sums = dependence_from_arrays(reply.arrays, size)
            if not reply.members and sums.num_rows not in (0, known.get(reply.client, 0)):
                raise ValueError(f"{sums.num_rows} rows, not those of the client's statistics")
            return sums

        total, *others = self._ask("dependence", arrays, config, read).values()
        for sums in others:
            total = total + sums
        return total

    def held_out(self, dependence: Dependence, edges: FloatArray) -> dict[str, HeldOutSums]:
        """Errors of test rows by client."""
        arrays = {"components": dependence.components, "error_edges": edges}

        def read(reply: Reply) -> HeldOutSums:
            return HeldOutSums.from_arrays(reply.arrays, len(edges) + 1)

        return self._ask("held_out", arrays, {}, read)

    def _ask(
        self,
        task: str,
        arrays: Arrays,
        config: Mapping[str, Scalar],
        read: Callable[[Reply], T],
    ) -> dict[str, T]:
        """What clients answered; an answer that cannot be read counts as none."""
        request = Request(
            task,
            0,
            {**scored_to_arrays(self.scored), **arrays},
            {**scored_config(self.scored), **config, "min_cell_rows": self.min_cell_rows},
        )
        found: dict[str, T] = {}
        replies = []
        for reply in self.exchange.ask(request, timeout_seconds=self.policy.deadline_seconds):
            try:
                if not reply.error:
                    found[reply.client] = read(reply)
                replies.append(reply)
            except (KeyError, TypeError, ValueError) as error:
                replies.append(replace(reply, error=f"unusable answer: {error}"))
        accepted = accept(replies, self.policy, what=f"after training, {task}")
        return {reply.client: found[reply.client] for reply in accepted.replies}
