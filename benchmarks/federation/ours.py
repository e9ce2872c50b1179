"""Our side: rounds of the driver on the simulation engine, with all checks that a round makes.

``training_seconds`` and ``training_processor_seconds`` are the parts of each round inside the
compiled epochs; what is left is what messages, checks and combination cost.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.federation.course import Course, run_side
from benchmarks.federation.job import spec_of
from benchmarks.federation.stored import BATCH_SIZE, LEARNING_RATE, SEED, Job
from fedchurn.federation.algorithms.local_training import LocalTraining
from fedchurn.federation.simulation.exchange import SimulationExchange
from fedchurn.federation.simulation.rows import SimulatedRows
from fedchurn.federation.simulation.tasks import bulk_tasks
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.train_half import train_round
from fedchurn.learning import keras_cohort
from fedchurn.learning.keras_cohort import CohortRows


class StoredRows(SimulatedRows):
    """Rows that are encoded already."""

    def __init__(self, job: Job, clients: Sequence[str]) -> None:
        super().__init__(_nothing)
        starts = np.asarray(job.starts, dtype=np.intp)
        self._all = CohortRows(tuple(clients), job.inputs, job.target, starts)
        self._places = {client: place for place, client in enumerate(clients)}

    def joined(self, encoder_json: str, split: str, clients: Sequence[str]) -> CohortRows:  # noqa: ARG002
        return self._all.only(np.array([self._places[client] for client in clients]))


def _nothing(client: str) -> Any:
    raise AssertionError(f"{client} is asked for raw rows")


class Stopwatch:
    """Seconds inside a function, of wall and processor, per call."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.processor: list[float] = []

    def around(self, function: Any) -> Any:
        def timed(*arguments: Any, **named: Any) -> Any:
            begun = time.perf_counter(), time.process_time()
            result = function(*arguments, **named)
            self.wall.append(time.perf_counter() - begun[0])
            self.processor.append(time.process_time() - begun[1])
            return result

        return timed


def play(job: Job, course: Course) -> None:
    """Rounds of all clients."""
    stopwatch = Stopwatch()
    keras_cohort.cohort_epochs = stopwatch.around(keras_cohort.cohort_epochs)
    clients = [f"client_{number:05d}" for number in range(job.num_clients)]
    exchange = SimulationExchange(clients, _nothing, bulk=bulk_tasks(StoredRows(job, clients)))
    algorithm = LocalTraining(
        strategy="fedavg",
        spec=spec_of(job.num_inputs),
        encoder_json="{}",
        first_weights=job.first_weights,
        epochs={"batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE},
        seed=SEED,
    )
    state = algorithm.start()
    policy = RoundPolicy()
    import tensorflow as tf

    course.tell(
        package=f"Fedchurn, TensorFlow {tf.__version__}",
        training_seconds=stopwatch.wall,
        training_processor_seconds=stopwatch.processor,
    )
    course.begin()
    more = True
    while more:
        state, record = train_round(state, algorithm, exchange, policy)
        assert len(record.participants) == job.num_clients
        weights = state.candidates[0]
        more = course.round_done(lambda weights=weights: weights)


if __name__ == "__main__":
    run_side(play)
