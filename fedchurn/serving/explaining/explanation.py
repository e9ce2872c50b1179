"""Why a model answered as it did: Shapley values of the fields, additive to the probability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fedchurn.contract.conditions import Value
from fedchurn.serving.explaining.reasons import Reasons
from fedchurn.serving.explaining.reference_customer import reference_customer
from fedchurn.serving.explaining.shapley import Game, shapley_values
from fedchurn.serving.explaining.shapley_first_layer import FirstLayer
from fedchurn.serving.explaining.shapley_players import Player, find_players
from fedchurn.serving.explaining.shapley_rows import MixedRows
from fedchurn.serving.predictor import Predictor


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one field adds to the churn probability.

    Attributes:
        field: contract column.
        value: the customer's canonical value.
        reference: what it was compared with: a typical customer's value.
        contribution: added probability (-1 to 1); positive pushes towards churn.
        reason: the same in words.
        together_with: further fields, tied to this one by the contract's rules, for which the
            contribution counts too (no internet service, hence none of what needs it).
    """

    field: str
    value: Value
    reference: Value
    contribution: float
    reason: str
    together_with: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Explanation:
    """Contributions, strongest first; ``base_probability`` plus their sum is the answer.

    Attributes:
        base_probability: answer of the same model for a typical customer (0-1).
        contributions: every contract column that differs from it, alone or in ``together_with``.
    """

    base_probability: float
    contributions: tuple[Contribution, ...]


class Explainer:
    """Explains answers of one model, in about half a millisecond; safe from any thread."""

    def __init__(self, model: Predictor, reference: Mapping[str, Any]) -> None:
        """Prepare for ``model``; ``reference`` is the release's ``reference.json``."""
        scorer = model.scorer
        self._contract = scorer.contract
        self._typical = reference_customer(scorer, reference)
        self._model = FirstLayer(scorer.spec, scorer.weights)
        self._rows = MixedRows(scorer, self._typical)
        self._reasons = Reasons(scorer.contract)
        nobody = np.zeros((1, 0), dtype=np.bool_)
        typical = self._rows.encode(self._rows.read({}), (), nobody)
        self._base_probability = float(self._model.probability(self._model.sums(typical))[0])

    @property
    def typical_customer(self) -> Mapping[str, Value]:
        """Canonical values that customers are compared with."""
        return self._typical.values

    def explain(self, values: Mapping[str, Value]) -> Explanation:
        """The explanation of the model's answer about canonical ``values``.

        The answer is ``base_probability`` plus all contributions, within 1e-9; equal values have
        equal explanations.
        """
        customer = self._rows.read(values)
        differing = self._rows.differing(customer)
        players = find_players(values, self._typical.values, differing, self._contract)
        if not players:
            return Explanation(self._base_probability, ())
        game = Game(
            self._model,
            partial(self._rows.encode, customer, players),
            len(players),
            self._rows.linked(players),
        )
        found = shapley_values(game)
        shares = sorted(zip(found.values.tolist(), players, strict=True), key=_strength)
        contributions = (self._contribution(share, names, values) for share, names in shares)
        return Explanation(self._base_probability, tuple(contributions))

    def _contribution(
        self, share: float, names: Player, values: Mapping[str, Value]
    ) -> Contribution:
        name, *followers = names
        value, typical = values.get(name), self._typical.values[name]
        reason = self._reasons.of(names, value, typical, share)
        return Contribution(name, value, typical, share, reason, tuple(followers))


def _strength(share: tuple[float, Player]) -> float:
    return -abs(share[0])
