"""Server optimizers: what the server makes of the clients' combined update (Reddi et al. 2021).

The combined update D is a pseudo-gradient, turned round. Memory goes in and comes out, so that a
training that was killed goes on with equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Memory = dict[str, NDArray[np.generic]]

RATE = "server_learning_rate"


class ServerOptimizer(Protocol):
    """Takes (weights, update, memory, settings), gives (new weights, new memory)."""

    def __call__(
        self,
        weights: FloatArray,
        update: FloatArray,
        memory: Mapping[str, NDArray[np.generic]],
        hyper: Mapping[str, float],
    ) -> tuple[FloatArray, Memory]: ...


def sgd(
    weights: FloatArray,
    update: FloatArray,
    memory: Mapping[str, NDArray[np.generic]],  # noqa: ARG001
    hyper: Mapping[str, float],
) -> tuple[FloatArray, Memory]:
    """w + rate D; rate 1, the default, is FedAvg."""
    return weights + hyper.get(RATE, 1.0) * update, {}


def momentum(
    weights: FloatArray,
    update: FloatArray,
    memory: Mapping[str, NDArray[np.generic]],
    hyper: Mapping[str, float],
) -> tuple[FloatArray, Memory]:
    """FedAvgM (Hsu et al. 2019, arXiv 1909.06335): m = beta m + D, w + rate m."""
    moved = hyper.get("server_momentum", 0.9) * _recall(memory, "m_t", update) + update
    return weights + hyper.get(RATE, 1.0) * moved, {"m_t": moved}


def adam(
    weights: FloatArray,
    update: FloatArray,
    memory: Mapping[str, NDArray[np.generic]],
    hyper: Mapping[str, float],
) -> tuple[FloatArray, Memory]:
    """FedAdam, with Flower's defaults and its bias correction, which counts steps from 2."""
    step, first = _first_moment(update, memory, hyper)
    beta_1, beta_2 = hyper.get("beta_1", 0.9), hyper.get("beta_2", 0.99)
    second = beta_2 * _recall(memory, "v_t", update) + (1 - beta_2) * update**2
    rate = hyper.get(RATE, 0.1) * np.sqrt(1 - beta_2 ** (step + 1.0)) / (1 - beta_1 ** (step + 1.0))
    moved = weights + rate * first / (np.sqrt(second) + hyper.get("tau", 1e-3))
    return moved, _memory(step, first, second)


def yogi(
    weights: FloatArray,
    update: FloatArray,
    memory: Mapping[str, NDArray[np.generic]],
    hyper: Mapping[str, float],
) -> tuple[FloatArray, Memory]:
    """FedYogi, with Flower's defaults."""
    step, first = _first_moment(update, memory, hyper)
    second, square = _recall(memory, "v_t", update), update**2
    second = second - (1 - hyper.get("beta_2", 0.99)) * square * np.sign(second - square)
    moved = weights + hyper.get(RATE, 0.01) * first / (np.sqrt(second) + hyper.get("tau", 1e-3))
    return moved, _memory(step, first, second)


def _first_moment(
    update: FloatArray, memory: Mapping[str, NDArray[np.generic]], hyper: Mapping[str, float]
) -> tuple[int, FloatArray]:
    beta_1 = hyper.get("beta_1", 0.9)
    step = int(memory.get("num_steps", np.asarray(0))) + 1
    return step, beta_1 * _recall(memory, "m_t", update) + (1 - beta_1) * update


def _recall(memory: Mapping[str, NDArray[np.generic]], name: str, update: FloatArray) -> FloatArray:
    return np.asarray(memory.get(name, np.zeros_like(update)), dtype=np.float64)


def _memory(step: int, first: FloatArray, second: FloatArray) -> Memory:
    return {"num_steps": np.asarray(step, dtype=np.int64), "m_t": first, "v_t": second}
