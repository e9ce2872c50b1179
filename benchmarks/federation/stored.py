"""The job of ``benchmarks.federation`` on disk, and its terms; needs numpy alone, as peers do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

UNITS = (64, 32)
DROPOUT = (0.3, 0.2)
BATCH_SIZE = 32
LEARNING_RATE = 0.01
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7  # Adam as in Keras
SEED = 42

Array = np.ndarray[Any, Any]
Rows = tuple[Array, Array]


@dataclass(frozen=True)
class Job:
    """One epoch of every client's rows per round, from the same first weights.

    Attributes:
        inputs: float32 (n, d), encoded training rows, one client after another.
        target: int8 (n,), 1 = churn.
        starts: int64 (clients + 1,), where each client's rows begin, and n.
        test_inputs: float32 (m, d), rows that no client has.
        test_target: int8 (m,).
        first_weights: kernel and bias of every layer, the output last, float32.
    """

    inputs: Array
    target: Array
    starts: Array
    test_inputs: Array
    test_target: Array
    first_weights: tuple[Array, ...]

    @property
    def num_clients(self) -> int:
        return len(self.starts) - 1

    @property
    def num_inputs(self) -> int:
        return int(self.inputs.shape[1])

    def rows(self, client: int) -> Rows:
        """Inputs and target of client 0 to ``num_clients - 1``."""
        span = slice(self.starts[client], self.starts[client + 1])
        return self.inputs[span], self.target[span]


def save_job(job: Job, path: Path) -> None:
    """Write what ``load_job`` reads."""
    weights = {f"weights_{number}": array for number, array in enumerate(job.first_weights)}
    arrays = {name: value for name, value in vars(job).items() if name != "first_weights"}
    np.savez(path, **arrays, **weights)


def load_job(path: Path) -> Job:
    """The job behind ``save_job``."""
    with np.load(path, allow_pickle=False) as stored:
        names = sorted(name for name in stored.files if name.startswith("weights_"))
        return Job(
            inputs=stored["inputs"],
            target=stored["target"],
            starts=stored["starts"],
            test_inputs=stored["test_inputs"],
            test_target=stored["test_target"],
            first_weights=tuple(stored[name] for name in names),
        )
