"""The peer of ``benchmarks.rounds``: Flower's Ray simulation with a client as in its TensorFlow
quickstart, that is a new Keras model and ``fit`` per client and round.

Central and federated evaluation are off on both sides. One processor per client process, so that
the simulation uses all of them.
"""

from __future__ import annotations

import time
from pathlib import Path

import keras
import numpy as np
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

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
from fedchurn.learning.spec import Weights


def load_model() -> keras.Model:
    """The reference network, compiled."""
    layers = [keras.Input((SPEC.inputs,))]
    for layer in SPEC.hidden:
        layers += [keras.layers.Dense(layer.units, "relu"), keras.layers.Dropout(layer.dropout)]
    model = keras.Sequential([*layers, keras.layers.Dense(1, "sigmoid")])
    model.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss="binary_crossentropy",
        metrics=["accuracy"],
    )
    return model


def fit(message: Message, context: Context) -> Message:
    """Train one epoch on the rows of the client behind ``context``."""
    keras.backend.clear_session()
    number = int(context.node_config["partition-id"])
    keras.utils.set_random_seed(SEED + number)
    rows = client_rows(number)
    model = load_model()
    model.set_weights(message.content["arrays"].to_numpy_ndarrays())
    history = model.fit(rows.inputs, rows.target, batch_size=BATCH_SIZE, epochs=1, verbose=0)
    metrics = {"num-examples": len(rows.target), "train_loss": history.history["loss"][-1]}
    content = RecordDict(
        {"arrays": ArrayRecord(model.get_weights()), "metrics": MetricRecord(metrics)}
    )
    return Message(content, reply_to=message)


def train(flower_home: Path) -> tuple[Weights, list[float]]:  # noqa: ARG001
    """Final weights, and the clock (seconds) at the start and after every round."""
    ticks: list[float] = []
    final: list[np.ndarray] = []
    client_app, server_app = ClientApp(), ServerApp()
    client_app.train()(fit)

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:  # noqa: ARG001
        strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=3, min_available_nodes=3)
        result = strategy.start(
            grid=grid,
            initial_arrays=ArrayRecord(list(first_weights())),
            num_rounds=NUM_ROUNDS,
            evaluate_fn=lambda _round_num, _arrays: ticks.append(time.perf_counter()),
        )
        final.extend(result.arrays.to_numpy_ndarrays())

    run_simulation(
        server_app,
        client_app,
        num_supernodes=len(CLIENT_ROWS),
        backend_config={"client_resources": {"num_cpus": 1.0, "num_gpus": 0.0}},
    )
    return tuple(final), ticks
