"""The state of a federation between rounds, and the record of one round."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.learning.spec import Weights


@dataclass(frozen=True)
class BestRound:
    """The best model seen so far, by the validation metric.

    Attributes:
        round_num: the round that made it; 0 is the model before training.
        near: the round's candidates that are averaged: the best one, and those that validation rows
            can hardly tell from it (``StopRule.average_within``).
        value: the validation metric of the model, smaller is better.
        weights: the model: the mean of the near candidates' weights.
        candidates: the near candidates themselves.
        clients: who evaluated it; values of different clients are not compared.
    """

    round_num: int
    near: tuple[int, ...]
    value: float
    weights: Weights
    candidates: tuple[Weights, ...]
    clients: tuple[str, ...] = ()

    @property
    def candidate(self) -> int:
        """The first of the near candidates."""
        return self.near[0]


@dataclass(frozen=True)
class RoundState:
    """All that the next round depends on, besides the clients' rows.

    Attributes:
        round_num: rounds played.
        candidates: models at hand; one, or one per ridge in Newton rounds.
        memory: the server optimiser's memory.
        best: the best model so far; None before the first evaluation.
        stale_rounds: rounds since ``best`` was found.
        excluded: why a client is out for the rest of the training.
        rows: validation rows per client, as it claimed them first.
        sent: digest of each client's last update, by which one that comes again is known.
    """

    round_num: int
    candidates: tuple[Weights, ...]
    memory: Mapping[str, NDArray[np.generic]]
    best: BestRound | None = None
    stale_rounds: int = 0
    excluded: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    sent: Mapping[str, str] = field(default_factory=dict)

    def digest(self) -> str:
        """sha256 of the whole state; equal states have equal bytes."""
        digest = hashlib.sha256(f"{self.round_num}:{self.stale_rounds}".encode())
        for weights in self.candidates:
            for array in weights:
                digest.update(np.ascontiguousarray(array).tobytes())
        told = [dict(self.excluded), dict(self.rows), dict(self.sent)]
        digest.update(json.dumps(told, sort_keys=True).encode())
        for name in sorted(self.memory):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.memory[name]).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class RoundRecord:
    """What happened in one round.

    Attributes:
        round_num: 1-based; 0 is the evaluation before training.
        strategy: what combined the updates.
        participants: clients whose update was used.
        absences: reason per client that did not answer.
        quarantined: reason per client whose answer was refused.
        train: pooled training numbers, for example ``loss``.
        validation: pooled validation metrics of the round's best candidate.
        per_client: numbers per client, training and validation; none where more than
            ``train_half.MANY_CLIENTS`` were asked, whose figures are in the sums alone.
        candidates: which candidates were best and are averaged.
        is_best: whether the round improved on all before it.
        bytes_up: bytes of arrays that clients sent for training.
        bytes_down: bytes of arrays that were sent to clients for training.
        client_bytes_up, client_bytes_down: the same per client, as ``per_client``.
        seconds: wall time per phase: ``train`` (ask and wait), ``combine``, ``evaluate``; of
            ``train``, under secure aggregation, also each step of the protocol.
        cohort: who was asked to train, if not everybody.
        notes: numbers of the strategy, for example a clip norm or an epsilon so far.
        set_aside: why a robust strategy did not use a client's update, or shortened it; nothing is
            wrong with the client for that.
        excluded: why a client is out for the rest of the training, found in this round.
    """

    round_num: int
    strategy: str
    participants: tuple[str, ...]
    absences: Mapping[str, str] = field(default_factory=dict)
    quarantined: Mapping[str, str] = field(default_factory=dict)
    train: Mapping[str, float] = field(default_factory=dict)
    validation: Mapping[str, float] = field(default_factory=dict)
    per_client: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    candidates: tuple[int, ...] = (0,)
    is_best: bool = False
    bytes_up: int = 0
    bytes_down: int = 0
    client_bytes_up: Mapping[str, int] = field(default_factory=dict)
    client_bytes_down: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    cohort: tuple[str, ...] = ()
    notes: Mapping[str, float] = field(default_factory=dict)
    set_aside: Mapping[str, str] = field(default_factory=dict)
    excluded: Mapping[str, str] = field(default_factory=dict)

    @property
    def reasons(self) -> dict[str, str]:
        """Why a client's answer did not count, or not as it was sent; by client."""
        return {**self.set_aside, **self.absences, **self.quarantined, **self.excluded}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> RoundRecord:
        """The record behind ``to_dict``, as JSON keeps it; names of later versions are left out."""
        values: dict[str, Any] = {
            one.name: stored[one.name] for one in fields(cls) if one.name in stored
        }
        tuples = ("participants", "candidates", "cohort")
        values.update({name: tuple(values[name]) for name in tuples if name in values})
        return cls(**values)


def excluded_in(records: Sequence[RoundRecord]) -> dict[str, str]:
    """Clients that were out from some round on, and why."""
    return {client: why for record in records for client, why in record.excluded.items()}
