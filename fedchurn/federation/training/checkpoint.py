"""The whole state of a training between two rounds, as bytes and back, without pickles.

A training that goes on from these bytes ends with the weights of one that was never interrupted:
all that a later round depends on is here, besides the clients' rows.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fedchurn.encoding.statistics import (
    Statistics,
    statistics_from_arrays,
    statistics_to_arrays,
)
from fedchurn.federation.training.client_arrays import stacked, unstacked
from fedchurn.federation.training.state import BestRound, RoundRecord, RoundState
from fedchurn.learning.spec import Weights

FORMAT = 2
Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Progress:
    """How far a training got.

    Attributes:
        statistics: per client, of round 0.
        absences: why some clients gave none.
        bests: best round of every phase that is over.
        state: of the phase (or refit) under way; None before its first evaluation.
        refitting: whether the refit of the last phase is under way.
        best_round_num: round of the best model so far, counted over all phases.
        records: one per round so far.
    """

    statistics: Mapping[str, Statistics]
    absences: Mapping[str, str]
    bests: tuple[BestRound, ...] = ()
    state: RoundState | None = None
    refitting: bool = False
    best_round_num: int = 0
    records: tuple[RoundRecord, ...] = ()


class Checkpoints(Protocol):
    """Where progress is kept."""

    def keep(self, progress: Progress) -> None:
        """Keep it; durable when this returns."""

    def newest(self) -> Progress | None:
        """What was kept last, if it can still be read; None starts anew."""


class NoCheckpoints:
    """Keeps nothing."""

    def keep(self, progress: Progress) -> None:
        """Forget it."""

    def newest(self) -> Progress | None:
        """Nothing."""
        return None


def progress_to_bytes(progress: Progress) -> bytes:
    """The progress as the bytes of an npz file."""
    arrays: Arrays = {}
    header: dict[str, Any] = {
        "format": FORMAT,
        "absences": dict(progress.absences),
        "refitting": progress.refitting,
        "best_round_num": progress.best_round_num,
        "records": [record.to_dict() for record in progress.records],
        "bests": [_pack_best(f"best_{n}", b, arrays) for n, b in enumerate(progress.bests)],
        "state": None if progress.state is None else _pack_state(progress.state, arrays),
    }
    packed = _packed_statistics(_Same(progress.statistics))
    arrays["statistics"] = np.frombuffer(packed, dtype=np.uint8)
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def progress_from_bytes(content: bytes) -> Progress:
    """The progress behind ``progress_to_bytes``.

    Raises:
        ValueError: another format, or not such a file at all.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays: Arrays = {name: stored[name] for name in stored.files}
    header = json.loads(arrays["header"].tobytes())
    if header["format"] != FORMAT:
        raise ValueError(f"checkpoint format {header['format']}, expected {FORMAT}")
    state = header["state"]
    return Progress(
        statistics=_statistics(arrays["statistics"].tobytes()),
        absences=header["absences"],
        bests=tuple(_best(f"best_{n}", b, arrays) for n, b in enumerate(header["bests"])),
        state=None if state is None else _state(state, arrays),
        refitting=header["refitting"],
        best_round_num=header["best_round_num"],
        records=tuple(RoundRecord.from_dict(record) for record in header["records"]),
    )


class _Same:
    """A value that equals itself alone."""

    def __init__(self, value: Mapping[str, Statistics]) -> None:
        self.value = value

    def __hash__(self) -> int:
        return id(self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.value is other.value


@lru_cache(maxsize=2)  # a training has the same ones in every round: 10 MB for a thousand clients
def _packed_statistics(statistics: _Same) -> bytes:
    arrays = {client: statistics_to_arrays(one) for client, one in statistics.value.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **stacked(arrays))
    return buffer.getvalue()


def _statistics(packed: bytes) -> dict[str, Statistics]:
    with np.load(io.BytesIO(packed), allow_pickle=False) as stored:
        arrays = unstacked({name: stored[name] for name in stored.files})
    return {client: statistics_from_arrays(own) for client, own in arrays.items()}


def _pack_state(state: RoundState, arrays: Arrays) -> dict[str, Any]:
    _pack_models("state.candidates", state.candidates, arrays)
    arrays.update({f"state.memory/{name}": array for name, array in state.memory.items()})
    return {
        "round_num": state.round_num,
        "num_candidates": len(state.candidates),
        "stale_rounds": state.stale_rounds,
        "excluded": dict(state.excluded),
        "rows": dict(state.rows),
        "sent": dict(state.sent),
        "best": None if state.best is None else _pack_best("state.best", state.best, arrays),
    }


def _state(header: Mapping[str, Any], arrays: Arrays) -> RoundState:
    best = header["best"]
    state = RoundState(
        header["round_num"],
        _models("state.candidates", header["num_candidates"], arrays),
        _within(arrays, "state.memory/"),
        stale_rounds=header["stale_rounds"],
        excluded=header.get("excluded", {}),
        rows=header.get("rows", {}),
        sent=header.get("sent", {}),
    )
    return state if best is None else replace(state, best=_best("state.best", best, arrays))


def _pack_best(prefix: str, best: BestRound, arrays: Arrays) -> dict[str, Any]:
    _pack_models(prefix, (best.weights, *best.candidates), arrays)
    return {
        "round_num": best.round_num,
        "near": list(best.near),
        "value": best.value,
        "num_candidates": len(best.candidates),
        "clients": list(best.clients),
    }


def _best(prefix: str, header: Mapping[str, Any], arrays: Arrays) -> BestRound:
    weights, *candidates = _models(prefix, header["num_candidates"] + 1, arrays)
    return BestRound(
        header["round_num"],
        tuple(header["near"]),
        header["value"],
        weights,
        tuple(candidates),
        tuple(header["clients"]),
    )


def _pack_models(prefix: str, models: Sequence[Weights], arrays: Arrays) -> None:
    for number, weights in enumerate(models):
        for place, array in enumerate(weights):
            arrays[f"{prefix}.{number}/{place}"] = array


def _models(prefix: str, num_models: int, arrays: Arrays) -> tuple[Weights, ...]:
    found: list[Weights] = []
    for number in range(num_models):
        parts = _within(arrays, f"{prefix}.{number}/")
        places = range(len(parts))
        found.append(tuple(np.asarray(parts[str(place)], dtype=np.float32) for place in places))
    return tuple(found)


def _within(arrays: Arrays, prefix: str) -> Arrays:
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
