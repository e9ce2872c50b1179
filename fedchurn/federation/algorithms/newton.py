"""Federated second-order training of one logistic layer.

Clients send gradient and Hessian sums at the current weights; the server adds them and takes a
damped Newton step on the ridge-penalised log loss. Sums do not care how rows are spread over
clients, so the result is the pooled model at any skew. One candidate model per ridge is trained at
once; the federated validation metric picks among them.

For ridge r:  J(w) = sum_clients loss(w) + r/2 |w without bias|^2,  w' = w - t H^-1 g, where the
damping t is halved whenever J rose (Boyd and Vandenberghe 2004, section 9.5). J is compared between
rounds that the same clients answered: other rows have another J.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.federation.algorithms.algorithm import Memory
from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.training.state import RoundState
from fedchurn.learning.spec import ModelSpec, Weights

FloatArray = NDArray[np.float64]

_BIAS_RIDGE = 1e-6  # keeps the Hessian invertible without pulling the base rate
_SMALL_GRADIENT = 0.02  # per row; at the start it is about half the length of a mean row
_RISE = 1e-9  # relative rise of J that is rounding, not divergence


@dataclass(frozen=True)
class Newton:
    """See the module docstring.

    Attributes:
        encoder_json: the encoder.
        num_inputs: d, encoded inputs.
        ridges: penalties, one candidate each.
        split: rows that are summed: ``train``, or ``train+validation`` for a refit.
        first_weights: model that each candidate starts from; zeros by default.
        min_cell_rows: k; inputs that fewer rows of a client hold are left out of its sums.
    """

    encoder_json: str
    num_inputs: int
    ridges: tuple[float, ...]
    split: str = "train"
    first_weights: tuple[Weights, ...] | None = None
    min_cell_rows: int = 5

    @property
    def strategy(self) -> str:
        return "newton"

    @property
    def spec(self) -> ModelSpec:
        return ModelSpec(self.num_inputs)

    def start(self) -> RoundState:
        shape = (len(self.ridges), self.num_inputs + 1)
        first = np.zeros(shape)
        for number, (kernel, bias) in enumerate(self.first_weights or ()):
            first[number] = np.concatenate([kernel[:, 0], bias])
        memory = {
            "newton.weights": first,
            "newton.anchor": np.zeros(shape),
            "newton.direction": np.zeros(shape),
            "newton.damping": np.ones(len(self.ridges)),
            "newton.objective": np.full(len(self.ridges), np.inf),
            "newton.roster": np.zeros(len(self.ridges), dtype=np.uint64),
        }
        return RoundState(0, _candidates(memory["newton.weights"]), memory)

    def request(self, state: RoundState) -> Request:
        return Request(
            task="newton",
            round_num=state.round_num + 1,
            arrays={"newton.weights": state.memory["newton.weights"]},
            config={
                "encoder": self.encoder_json,
                "split": self.split,
                "min_cell_rows": self.min_cell_rows,
            },
        )

    def cohort(self, state: RoundState, clients: Sequence[str]) -> None:  # noqa: ARG002
        return None

    def panel(self, clients: Sequence[str]) -> None:  # noqa: ARG002
        return None

    def problem(self, state: RoundState, reply: Reply) -> str:
        shape = np.shape(state.memory["newton.weights"])
        shapes = {"loss": shape[:1], "gradient": shape, "hessian": (*shape, shape[1])}
        for name, expected in shapes.items():
            sent = reply.arrays.get(f"newton.{name}")
            if sent is None or sent.shape != expected:
                told = "is missing" if sent is None else f"has shape {sent.shape}"
                return f"newton.{name} {told}, expected {expected}"
        num_rows = reply.numbers.get("num_rows", 0.0)
        return "" if num_rows > 0 else f"summed over {num_rows:g} rows"

    def update_norm(self, state: RoundState, reply: Reply) -> float:  # noqa: ARG002
        gradient = np.asarray(reply.arrays["newton.gradient"], dtype=np.float64)
        # Near the optimum most gradients are next to nothing, and one of a client unlike the others
        # is not: below this size none is called wild.
        return max(float(np.linalg.norm(gradient) / reply.numbers["num_rows"]), _SMALL_GRADIENT)

    def step(
        self, state: RoundState, replies: Sequence[Reply]
    ) -> tuple[tuple[Weights, ...], Memory]:
        loss, gradient, hessian = (_added(replies, f"newton.{p}") for p in _PARTS)
        roster = np.full(len(self.ridges), _roster_number(replies), dtype=np.uint64)
        before = dict(state.memory)
        if not np.array_equal(roster, before["newton.roster"]):
            before["newton.objective"] = np.full(len(self.ridges), np.inf)
        steps = [
            self._candidate_step(before, k, float(loss[k]), gradient[k], hessian[k])
            for k in range(len(self.ridges))
        ]
        memory: Memory = {name: np.stack([step[name] for step in steps]) for name in steps[0]}
        return _candidates(np.asarray(memory["newton.weights"], dtype=np.float64)), {
            **memory,
            "newton.roster": roster,
        }

    def _candidate_step(
        self, memory: Memory, k: int, loss: float, gradient: FloatArray, hessian: FloatArray
    ) -> dict[str, FloatArray]:
        kept: dict[str, FloatArray] = {
            name: np.asarray(array[k], dtype=np.float64) for name, array in memory.items()
        }
        here = kept["newton.weights"]
        ridge: FloatArray = np.full(len(here), self.ridges[k], dtype=np.float64)
        ridge[-1] = _BIAS_RIDGE
        objective = loss + 0.5 * float(ridge @ here**2)
        before = float(kept["newton.objective"])
        if objective > before + _RISE * abs(before):
            damping = np.asarray(kept["newton.damping"] / 2, dtype=np.float64)
            anchor, direction = kept["newton.anchor"], kept["newton.direction"]
            objective = before
        else:
            damping = np.ones((), dtype=np.float64)
            anchor = here
            solved = np.linalg.solve(hessian + np.diag(ridge), gradient + ridge * here)
            direction = np.asarray(solved, dtype=np.float64)
        return {
            "newton.weights": anchor - damping * direction,
            "newton.anchor": anchor,
            "newton.direction": direction,
            "newton.damping": damping,
            "newton.objective": np.array(objective),
        }

    def client_numbers(self, state: RoundState, reply: Reply) -> dict[str, float]:
        num_rows = reply.numbers["num_rows"]
        chosen = state.best.candidate if state.best else 0
        loss = float(np.asarray(reply.arrays["newton.loss"], dtype=np.float64)[chosen])
        return {"num_rows": num_rows, "loss": loss / max(num_rows, 1.0)}

    def notes(self, state: RoundState) -> Mapping[str, float]:  # noqa: ARG002
        return {}


_PARTS = ("loss", "gradient", "hessian")


def _added(replies: Sequence[Reply], name: str) -> FloatArray:
    first, *rest = (np.asarray(r.arrays[name], dtype=np.float64) for r in replies)
    total = first.copy()
    for part in rest:
        total += part
    return total


def _roster_number(replies: Sequence[Reply]) -> int:
    """A number that is equal for equal sets of clients."""
    names = "\0".join(sorted(client for reply in replies for client in reply.clients))
    return int.from_bytes(hashlib.sha256(names.encode()).digest()[:8], "little")


def _candidates(weights: FloatArray) -> tuple[Weights, ...]:
    return tuple(
        (row[:-1, None].astype(np.float32), row[-1:].astype(np.float32)) for row in weights
    )
