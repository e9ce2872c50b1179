"""The port of a training algorithm: what to ask in a round, and what to make of the answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.training.state import RoundState
from fedchurn.learning.spec import ModelSpec, Weights

Memory = Mapping[str, NDArray[np.generic]]


class Algorithm(Protocol):
    """Pure functions over ``RoundState``; clocks, files and loops are elsewhere."""

    @property
    def strategy(self) -> str:
        """Name of the strategy, for records."""

    @property
    def spec(self) -> ModelSpec:
        """Shape of the candidates."""

    @property
    def encoder_json(self) -> str:
        """The encoder that clients use."""

    def start(self) -> RoundState:
        """The state before round 1."""

    def cohort(self, state: RoundState, clients: Sequence[str]) -> tuple[str, ...] | None:
        """Who is asked in the next round, of all clients; None asks everybody."""

    def panel(self, clients: Sequence[str]) -> tuple[str, ...] | None:
        """Who evaluates, in all rounds alike; None asks everybody."""

    def request(self, state: RoundState) -> Request:
        """What clients are asked to compute in the next round."""

    def problem(self, state: RoundState, reply: Reply) -> str:
        """Why a reply cannot be used, whatever others sent; empty when it can."""

    def update_norm(self, state: RoundState, reply: Reply) -> float:
        """Size of one reply's update per row, to find wild ones."""

    def step(
        self, state: RoundState, replies: Sequence[Reply]
    ) -> tuple[tuple[Weights, ...], Memory]:
        """New candidates and memory from usable replies, sorted by client."""

    def client_numbers(self, state: RoundState, reply: Reply) -> dict[str, float]:
        """Training numbers of one client, for the record; ``loss`` is a mean per row."""

    def notes(self, state: RoundState) -> Mapping[str, float]:
        """Numbers about the next round that belong in its record, for example a clip norm."""
