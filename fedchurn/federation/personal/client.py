"""A client's side of personalisation: it makes a model of its own, keeps it, and tells how it does.

What leaves are the chosen strength and threshold, and sums of test rows: never the model.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import TEST, TRAIN, VALIDATION, ClientTable
from fedchurn.encoding.encoder import Encoder
from fedchurn.errors import FederationError
from fedchurn.evaluation.sums import score_sums
from fedchurn.evaluation.thresholds import Objective, choose_threshold
from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.model_messages import candidate_weights, prefixed, spec_from
from fedchurn.federation.personal.fit import (
    chosen_strength,
    fitted_near,
    last_layer,
    paired_gain,
    row_losses,
    with_last_layer,
)
from fedchurn.learning.spec import ModelSpec, Weights, predict_probability
from fedchurn.release.personal import PersonalModel, scorer_digest, write_personal
from fedchurn.release.scorer import Scorer

TASK = "personalise"
STAYS = 0.0  # strength of a client that stays with the model of all, on its way

_ROWS = {"train": (TRAIN,), "train+validation": (TRAIN, VALIDATION)}


@dataclass(frozen=True)
class _Rows:
    """Encoded rows of some splits."""

    inputs: NDArray[np.float32]
    target: NDArray[np.int8]
    customer_groups: NDArray[np.int64]

    def has(self, num_rows: int) -> bool:
        """Whether there are so many rows of either class."""
        churned = int(self.target.sum())
        return min(churned, len(self.target) - churned) >= num_rows


class PersonalModels:
    """Answers the question ``personalise``.

    Args:
        table: the client's rows, already split.
        contract: that the rows obey.
        folder: where models of its own are kept; None refuses to make one.
    """

    def __init__(self, table: ClientTable, contract: Contract, folder: Path | None) -> None:
        self._table = table
        self._contract = contract
        self._folder = folder

    def reply(self, request: Request, min_cell_rows: int) -> Reply:
        """Strength and threshold; gains and score sums where test rows of either class are k.

        Raises:
            FederationError: there is no place to keep a model.
        """
        if self._folder is None:
            raise FederationError(
                "this client has no folder to keep a model of its own in",
                where=f"client {self._table.client}",
                next_step="start it with a home folder",
            )
        config = request.config
        encoder = Encoder.from_dict(json.loads(str(config["encoder"])))
        spec = spec_from(config)
        before, final = (candidate_weights(request.arrays, spec, place) for place in (0, 1))
        enough = max(int(config["min_rows"]), min_cell_rows)  # a choice must not show single rows
        strength = self._strength(spec, before, encoder, request, enough)
        threshold = self._threshold(spec, before, encoder, strength, request, enough)
        own = self._near(spec, final, encoder, strength, str(config["split"]))
        model = PersonalModel(
            self._table.client,
            Scorer(self._contract, encoder, spec, own),
            threshold,
            strength,
            scorer_digest(Scorer(self._contract, encoder, spec, final)),
        )
        write_personal(model, self._folder)
        numbers = {"strength": STAYS if strength is None else strength, "threshold": threshold}
        test = self._rows(encoder, (TEST,))
        if not test.has(min_cell_rows):
            return Reply(self._table.client, {}, {**numbers, "num_rows": 0.0})
        return self._judged(spec, final, own, test, numbers)

    def _strength(
        self, spec: ModelSpec, weights: Weights, encoder: Encoder, request: Request, enough: int
    ) -> float | None:
        train, held_out = self._rows(encoder, (TRAIN,)), self._rows(encoder, (VALIDATION,))
        if not (train.has(1) and held_out.has(enough)):
            return None
        return chosen_strength(
            last_layer(spec, weights, train.inputs),
            train.target,
            last_layer(spec, weights, held_out.inputs),
            held_out.target,
            held_out.customer_groups,
            json.loads(str(request.config["strengths"])),
        )

    def _threshold(
        self,
        spec: ModelSpec,
        weights: Weights,
        encoder: Encoder,
        strength: float | None,
        request: Request,
        enough: int,
    ) -> float:
        """Chosen on validation rows by a model that has not seen them."""
        held_out = self._rows(encoder, (VALIDATION,))
        if not held_out.has(enough):
            return float(request.config["threshold"])
        own = self._near(spec, weights, encoder, strength, "train")
        sums = score_sums(held_out.target, predict_probability(spec, own, held_out.inputs))
        objective = Objective(**json.loads(str(request.config["objective"])))
        return choose_threshold(sums, objective).threshold

    def _near(
        self,
        spec: ModelSpec,
        weights: Weights,
        encoder: Encoder,
        strength: float | None,
        split: str,
    ) -> Weights:
        if strength is None:
            return weights
        rows = self._rows(encoder, _ROWS[split])
        layer = last_layer(spec, weights, rows.inputs)
        return with_last_layer(spec, weights, fitted_near(layer, rows.target, strength))

    def _rows(self, encoder: Encoder, splits: tuple[int, ...]) -> _Rows:
        part = self._table.take(np.isin(self._table.split, splits))
        return _Rows(encoder.encode(part.columns), part.target, part.customer_groups)

    def _judged(
        self,
        spec: ModelSpec,
        of_all: Weights,
        own: Weights,
        test: _Rows,
        numbers: dict[str, float],
    ) -> Reply:
        # scipy and the registry's maths are needed here only.
        from fedchurn.registry.comparison import client_comparison

        scores = [predict_probability(spec, weights, test.inputs) for weights in (of_all, own)]
        losses = []
        for weights in (of_all, own):
            layer = last_layer(spec, weights, test.inputs)
            losses.append(row_losses(layer, layer.theta, test.target))
        loss = paired_gain(losses[0], losses[1], test.customer_groups)
        compared = client_comparison(
            test.target, scores[1], scores[0], test.customer_groups, client=self._table.client
        )
        arrays = {}
        for place, one in enumerate(scores):
            arrays.update(prefixed(score_sums(test.target, one).to_arrays(), place))
        told = {
            "num_rows": float(len(test.target)),
            "log_loss_gain": loss.gain,
            "log_loss_error": loss.error,
            "auc_gain": compared.difference,
            "auc_error": float(np.sqrt(compared.variance_of_difference)),
        }
        known = {name: value for name, value in told.items() if np.isfinite(value)}
        return Reply(self._table.client, arrays, {**numbers, **known})
