"""Flower's Ray simulation with a client as in its TensorFlow quickstart.

Variant ``new``: a new Keras model and ``fit`` per client and round, as the quickstart does. Variant
``kept``: each actor keeps one compiled model and its ``fit``, with a fresh optimizer per client.
A cohort of clients is drawn per round (``BENCH_COHORT``): a round of a thousand takes many minutes.
Runs in Flower's environment; one processor per actor, so that all are used.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import flwr
import numpy as np
import ray
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

from benchmarks.federation.course import Course, run_side
from benchmarks.federation.stored import (
    BATCH_SIZE,
    DROPOUT,
    LEARNING_RATE,
    SEED,
    UNITS,
    Job,
    load_job,
)


class EnoughError(Exception):
    """All rounds that there is time for are played."""


class AllFailedError(Exception):
    """Nobody trained."""


@lru_cache
def held_job() -> Job:
    """Read once per actor."""
    return load_job(Path(os.environ["BENCH_JOB"]))


def new_model(num_inputs: int):
    """The network, compiled."""
    import keras

    layers = [keras.Input((num_inputs,))]
    for units, rate in zip(UNITS, DROPOUT, strict=True):
        layers += [keras.layers.Dense(units, "relu"), keras.layers.Dropout(rate)]
    model = keras.Sequential([*layers, keras.layers.Dense(1, "sigmoid")])
    model.compile(optimizer=keras.optimizers.Adam(LEARNING_RATE), loss="binary_crossentropy")
    return model


@lru_cache
def kept_model(num_inputs: int):
    """One per actor, its optimizer built."""
    model = new_model(num_inputs)
    model.optimizer.build(model.trainable_variables)
    return model


def fit(message: Message, context: Context) -> Message:
    """Train one epoch on the rows of the client behind ``context``."""
    import keras

    job = held_job()
    client = int(context.node_config["partition-id"])
    if os.environ["BENCH_VARIANT"] == "new":
        keras.backend.clear_session()
        model = new_model(job.num_inputs)
    else:
        model = kept_model(job.num_inputs)
        for variable in model.optimizer.variables:
            if "learning_rate" not in variable.path:
                variable.assign(np.zeros(variable.shape, dtype=variable.dtype))
    keras.utils.set_random_seed(SEED + client)
    model.set_weights(message.content["arrays"].to_numpy_ndarrays())
    inputs, target = job.rows(client)
    model.fit(inputs, target, batch_size=BATCH_SIZE, epochs=1, verbose=0)
    metrics = {"num-examples": len(target)}
    content = {"arrays": ArrayRecord(model.get_weights()), "metrics": MetricRecord(metrics)}
    return Message(RecordDict(content), reply_to=message)


def play(job: Job, course: Course) -> None:
    """Rounds of a drawn cohort."""
    cohort = int(os.environ["BENCH_COHORT"])
    client_app, server_app = ClientApp(), ServerApp()
    client_app.train()(fit)
    course.tell(package=f"flwr {flwr.__version__}, ray {ray.__version__}", cohort=cohort)

    @server_app.main()
    def main(grid: Grid, context: Context) -> None:  # noqa: ARG001
        strategy = FedAvg(
            fraction_train=cohort / job.num_clients,
            fraction_evaluate=0.0,
            min_train_nodes=cohort,
            min_available_nodes=job.num_clients,
        )

        before = job.first_weights[0]

        def note(round_num: int, arrays: ArrayRecord) -> None:
            nonlocal before
            now = arrays.to_numpy_ndarrays()[0]
            if round_num == 0:
                course.begin()
            elif np.array_equal(now, before):  # Flower goes on with the old weights, silently
                raise AllFailedError(f"all clients failed in round {round_num}")
            before = now
            if round_num > 0 and not course.round_done(arrays.to_numpy_ndarrays):
                raise EnoughError

        try:
            strategy.start(
                grid=grid,
                initial_arrays=ArrayRecord(list(job.first_weights)),
                num_rounds=10**6,
                timeout=36000,
                evaluate_fn=note,
            )
        except EnoughError:
            return

    run_simulation(
        server_app,
        client_app,
        num_supernodes=job.num_clients,
        backend_config={"client_resources": {"num_cpus": 1.0, "num_gpus": 0.0}},
    )


if __name__ == "__main__":
    # Actors must find the functions by name: those of ``__main__`` they cannot.
    from benchmarks.federation import peer_flower

    run_side(peer_flower.play)
