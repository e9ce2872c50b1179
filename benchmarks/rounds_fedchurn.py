"""Our side of ``benchmarks.rounds``: compiled epochs behind Flower's apps in this process."""

from __future__ import annotations

import os
import time
from pathlib import Path

from flwr.app import Context

from benchmarks.rounds_job import (
    BATCH_SIZE,
    CLIENT_ROWS,
    LEARNING_RATE,
    NUM_ROUNDS,
    SEED,
    SPEC,
    client_rows,
    first_weights,
)
from fedchurn.federation.aggregation.strategies import ClientUpdate, aggregate
from fedchurn.federation.exchange import Exchange, Reply, Request
from fedchurn.federation.flower.environment import apply_flower_settings
from fedchurn.federation.flower.grid import run_in_process
from fedchurn.federation.updates import flat, unflat
from fedchurn.learning.keras_epochs import EpochSettings, local_epochs
from fedchurn.learning.spec import Weights

NAMES = [name for name, _ in SPEC.weight_shapes()]


class Client:
    """Trains one epoch on its rows."""

    def __init__(self, number: int) -> None:
        self._name = f"client_{number}"
        self._rows = client_rows(number)

    def handle(self, request: Request) -> Reply:
        update = local_epochs(
            SPEC,
            tuple(request.arrays[name] for name in NAMES),
            self._rows.inputs,
            self._rows.target,
            EpochSettings(batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE),
            seed=SEED,
            round_num=request.round_num,
            client=self._name,
        )
        arrays = dict(zip(NAMES, update.weights, strict=True))
        return Reply(self._name, arrays, {"num_rows": update.num_rows, "loss": update.loss})


def train(flower_home: Path) -> tuple[Weights, list[float]]:
    """Final weights, and the clock (seconds) at the start and after every round."""
    apply_flower_settings(os.environ, flower_home)
    weights = first_weights()
    ticks: list[float] = []

    def drive(exchange: Exchange, context: Context) -> None:  # noqa: ARG001
        nonlocal weights
        ticks.append(time.perf_counter())
        for round_num in range(1, NUM_ROUNDS + 1):
            arrays = dict(zip(NAMES, weights, strict=True))
            replies = exchange.ask(Request("local_epochs", round_num, arrays))
            before = flat(weights)
            updates = [
                ClientUpdate(
                    r.client, flat([r.arrays[n] for n in NAMES]) - before, r.numbers["num_rows"]
                )
                for r in replies
            ]
            weights = unflat(SPEC, aggregate("fedavg", before, updates, {}, {})[0])
            ticks.append(time.perf_counter())

    numbers = range(len(CLIENT_ROWS))
    run_in_process(drive, {f"client_{number}": Client(number) for number in numbers})
    return weights, ticks
