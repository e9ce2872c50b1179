"""Federated training by local epochs: FedAvg, FedProx, FedAdam, FedYogi.

Clients train the global model on their own rows for some epochs; the server combines the results
with Flower's strategy classes (``flower_strategies``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fedchurn.federation.algorithm import Memory
from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.model_messages import candidate_weights, weights_to_arrays
from fedchurn.federation.state import RoundState
from fedchurn.learning.spec import ModelSpec, Weights


@dataclass(frozen=True)
class LocalTraining:
    """See the module docstring.

    Attributes:
        strategy: fedavg, fedprox, fedadam or fedyogi.
        spec: shape of the model.
        encoder_json: the encoder.
        first_weights: the model before training.
        epochs: settings of the local epochs, as keyword arguments of ``EpochSettings``.
        hyper: settings of the server strategy, for example ``server_learning_rate``.
        seed: seeds shuffles and dropout, with round and client.
        frozen_linear: whether the linear path is left as it is; averaging keeps it exactly.
    """

    strategy: str
    spec: ModelSpec
    encoder_json: str
    first_weights: Weights
    epochs: Mapping[str, Any]
    hyper: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    frozen_linear: bool = False

    def start(self) -> RoundState:
        return RoundState(0, (self.first_weights,), {})

    def request(self, state: RoundState) -> Request:
        return Request(
            task="local_epochs",
            round_num=state.round_num + 1,
            arrays=weights_to_arrays(self.spec, state.candidates),
            config={
                "encoder": self.encoder_json,
                "spec": json.dumps(self.spec.to_dict()),
                "epochs": json.dumps(dict(self.epochs)),
                "seed": self.seed,
            },
        )

    def update_norm(self, state: RoundState, reply: Reply) -> float:
        moved = candidate_weights(reply.arrays, self.spec, 0)
        parts = [
            float(np.sum(np.square(after.astype(np.float64) - before)))
            for after, before in zip(moved, state.candidates[0], strict=True)
        ]
        return float(np.sqrt(sum(parts)))

    def step(
        self, state: RoundState, replies: Sequence[Reply]
    ) -> tuple[tuple[Weights, ...], Memory]:
        # Flower takes a second to import and newton rounds do not need it.
        from fedchurn.federation.flower_strategies import aggregate

        updates = [
            (r.client, candidate_weights(r.arrays, self.spec, 0), int(r.numbers["num_rows"]))
            for r in replies
        ]
        weights, memory = aggregate(
            self.strategy, state.candidates[0], updates, state.memory, dict(self.hyper)
        )
        if self.frozen_linear and self.spec.linear:
            weights = (*state.candidates[0][:2], *weights[2:])
        return (tuple(weights),), memory

    def client_numbers(self, state: RoundState, reply: Reply) -> dict[str, float]:  # noqa: ARG002
        return {name: float(value) for name, value in reply.numbers.items()}
