"""Strategies by name: a rule that combines updates, and a server optimizer that uses the result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fedchurn.errors import FederationError, SettingsError, nearest
from fedchurn.federation.aggregation import robust
from fedchurn.federation.aggregation.mean import weighted_mean
from fedchurn.federation.aggregation.server_optimizer import (
    RATE,
    Memory,
    ServerOptimizer,
    adam,
    momentum,
    sgd,
    yogi,
)

FloatArray = NDArray[np.float64]
Rows = Sequence[FloatArray]


@dataclass(frozen=True)
class ClientUpdate:
    """How far a client moved from the global weights.

    Attributes:
        client: who.
        update: (size,), weights after minus weights before, flat.
        weight: what the mean weighs it by, usually rows trained on; above 0.
    """

    client: str
    update: NDArray[np.floating]
    weight: float


@dataclass(frozen=True)
class ClientRemarks:
    """What became of single clients' updates.

    Attributes:
        left_out: why a client's update was not used.
        changed: how a client's update was changed before it was used.
        notes: numbers for the record, for example ``clip_norm``.
    """

    left_out: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, float] = field(default_factory=dict)


class Rule(Protocol):
    """Makes one update (size,) of ``updates`` (n, size), weighing rows by ``weights`` (n,).

    Robust rules get a matrix; the others a list of rows, which spares the copy.
    """

    def __call__(
        self, updates: Any, weights: FloatArray, hyper: Mapping[str, float]
    ) -> FloatArray: ...


def _mean(updates: Rows, weights: FloatArray, hyper: Mapping[str, float]) -> FloatArray:  # noqa: ARG001
    return weighted_mean(updates, weights)


Told = Callable[[FloatArray, Mapping[str, float]], robust.Remarks]
"""What a rule did to single rows of ``updates`` (n, size)."""


@dataclass(frozen=True)
class Strategy:
    """What a name stands for, and the settings that it knows beside the server's learning rate."""

    rule: Rule
    optimizer: ServerOptimizer
    settings: tuple[str, ...] = ()
    robust: bool = False
    told: Told | None = None


_MOMENTS = ("beta_1", "beta_2", "tau")

# FedProx and SCAFFOLD combine as FedAvg does; their terms act on clients.
STRATEGIES: dict[str, Strategy] = {
    "fedavg": Strategy(_mean, sgd),
    "fedprox": Strategy(_mean, sgd),
    "scaffold": Strategy(_mean, sgd),
    "fedavgm": Strategy(_mean, momentum, ("server_momentum",)),
    "fedadam": Strategy(_mean, adam, _MOMENTS),
    "fedyogi": Strategy(_mean, yogi, _MOMENTS),
    "median": Strategy(robust.median, sgd, robust=True),
    "trimmed_mean": Strategy(
        robust.trimmed_mean,
        sgd,
        ("trim_fraction",),
        robust=True,
        told=robust.trimmed_mean_remarks,
    ),
    "krum": Strategy(robust.krum, sgd, ("num_byzantine",), robust=True, told=robust.krum_remarks),
    "norm_clipping": Strategy(
        robust.norm_clipping,
        sgd,
        ("clip_norm",),
        robust=True,
        told=robust.norm_clipping_remarks,
    ),
}


def aggregate(
    name: str,
    weights: FloatArray,
    updates: Sequence[ClientUpdate],
    memory: Mapping[str, NDArray[np.generic]],
    hyper: Mapping[str, float],
) -> tuple[FloatArray, Memory]:
    """New global weights from the clients' updates; a pure function.

    Args:
        name: a key of ``STRATEGIES``.
        weights: (size,), global weights that the clients started from.
        updates: in any order; they are combined in order of names.
        memory: what the last call returned, empty at first.
        hyper: ``server_learning_rate`` and what the strategy knows beside it.

    Returns:
        (weights (size,) in float64, new memory).

    Raises:
        SettingsError: unknown strategy or setting.
        FederationError: no updates, no rows, or an update of another size.
    """
    strategy = strategy_named(name, hyper)
    _check(weights, updates)
    ordered = sorted(updates, key=lambda one: one.client)
    rows = [one.update for one in ordered]
    shares = np.array([one.weight for one in ordered], dtype=np.float64)
    combined = strategy.rule(_stacked(rows) if strategy.robust else rows, shares, hyper)
    return strategy.optimizer(np.asarray(weights, dtype=np.float64), combined, memory, hyper)


def remarks(
    name: str, updates: Sequence[ClientUpdate], hyper: Mapping[str, float]
) -> ClientRemarks:
    """What ``aggregate`` leaves out or changes of such updates; a pure function."""
    told = strategy_named(name, hyper).told
    if told is None or not updates:
        return ClientRemarks()
    ordered = sorted(updates, key=lambda one: one.client)
    rows = _stacked([one.update for one in ordered])
    by_row = told(rows, hyper)
    return ClientRemarks(
        {ordered[row].client: why for row, why in by_row.left_out.items()},
        {ordered[row].client: why for row, why in by_row.changed.items()},
        by_row.notes,
    )


def _stacked(rows: Sequence[NDArray[np.floating]]) -> FloatArray:
    return np.stack([np.asarray(row, dtype=np.float64) for row in rows])


def strategy_named(name: str, hyper: Mapping[str, float]) -> Strategy:
    """The strategy, if all of ``hyper`` are settings of it.

    Raises:
        SettingsError: unknown strategy or setting.
    """
    if name not in STRATEGIES:
        raise SettingsError(f"no strategy {name!r}", next_step=nearest(name, STRATEGIES))
    strategy = STRATEGIES[name]
    known = {RATE, *strategy.settings}
    for key in hyper:
        if key not in known:
            raise SettingsError(
                f"no setting {key!r}", where=f"strategy {name}", next_step=nearest(key, known)
            )
    return strategy


def _check(weights: FloatArray, updates: Sequence[ClientUpdate]) -> None:
    if not updates:
        raise FederationError("no updates to combine", next_step="see the round's absences")
    for one in updates:
        if one.update.shape != weights.shape:
            raise FederationError(
                f"an update of shape {one.update.shape}, expected {weights.shape}",
                where=f"client {one.client!r}",
                next_step="the client must run the recipe of this federation",
            )
        if not one.weight > 0:
            raise FederationError(
                f"trained on {one.weight:g} rows",
                where=f"client {one.client!r}",
                next_step="leave this client out of the round",
            )
