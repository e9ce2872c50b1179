"""Flower's own strategy classes behind a pure function.

The strategies keep their server-optimizer memory in attributes and add replies in order of arrival.
Here memory goes in and comes out, replies stand in order of client names, and sums are taken in
float64: equal replies give equal bytes, whoever answered first, and after a resume too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
from flwr.app import Array, ArrayRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAdam, FedAvg, FedProx, FedYogi
from flwr.serverapp.strategy.fedopt import FedOpt
from numpy.typing import NDArray

from fedchurn.errors import FederationError, SettingsError, nearest
from fedchurn.learning.spec import Weights

Memory = dict[str, NDArray[np.generic]]
ClientReply = tuple[str, Sequence[NDArray[np.floating]], int]

WEIGHTED_BY = "num-examples"
SERVER_RATE = "server_learning_rate"

# name -> (Flower's class, our names of its settings -> Flower's). FedProx adds replies up as FedAvg
# does; its proximal term acts on clients (EpochSettings.proximal).
_OPTIMIZER = {name: name for name in ("beta_1", "beta_2", "tau")}
STRATEGIES: dict[str, tuple[Callable[..., FedAvg], dict[str, str]]] = {
    "fedavg": (FedAvg, {}),
    "fedprox": (partial(FedProx, proximal_mu=0.0), {}),
    "fedadam": (FedAdam, {SERVER_RATE: "eta", **_OPTIMIZER}),
    "fedyogi": (FedYogi, {SERVER_RATE: "eta", **_OPTIMIZER}),
}


def aggregate(
    name: str,
    weights: Sequence[NDArray[np.floating]],
    replies: Sequence[ClientReply],
    memory: Mapping[str, NDArray[np.generic]],
    hyper: Mapping[str, float],
) -> tuple[Weights, Memory]:
    """New global weights from the clients' weights; a pure function.

    Args:
        name: a key of ``STRATEGIES``.
        weights: global weights the clients started from.
        replies: (client, arrays shaped as ``weights``, number of rows) in any order.
        memory: what the last call returned, empty at first: m_t and v_t of the server optimizer
            (Reddi et al. 2021, arXiv 2003.00295) and the number of steps it has taken.
        hyper: ``server_learning_rate`` (FedAvg, FedProx: 1 takes the clients' mean, less goes part
            of the way; FedAdam, FedYogi: Flower's eta), and ``beta_1``, ``beta_2``, ``tau`` of
            FedAdam and FedYogi. Flower's defaults where left out.

    Returns:
        (float32 weights, new memory).

    Raises:
        SettingsError: unknown strategy or setting.
        FederationError: no replies, no rows, or arrays of another shape.
    """
    strategy = _strategy(name, hyper)
    _check_replies(weights, replies)
    step = int(memory.get("num_steps", np.asarray(0))) + 1
    keys = [str(number) for number in range(len(weights))]
    if isinstance(strategy, FedOpt):
        strategy.current_arrays = dict(zip(keys, map(_wide, weights), strict=True))
        strategy.m_t = _recall(memory, "m_t", keys)
        strategy.v_t = _recall(memory, "v_t", keys)
    ordered = sorted(replies, key=lambda reply: reply[0])
    record, _ = strategy.aggregate_train(step, [_message(keys, *reply[1:]) for reply in ordered])
    assert record is not None
    combined = [record[key].numpy() for key in keys]
    if not isinstance(strategy, FedOpt):
        combined = _part_of_the_way(weights, combined, hyper.get(SERVER_RATE, 1.0))
    return tuple(array.astype(np.float32) for array in combined), _remember(strategy, step)


def _strategy(name: str, hyper: Mapping[str, float]) -> FedAvg:
    if name not in STRATEGIES:
        raise SettingsError(f"no strategy {name!r}", next_step=nearest(name, STRATEGIES))
    make, accepted = STRATEGIES[name]
    known = {SERVER_RATE, *accepted}
    for key in hyper:
        if key not in known:
            raise SettingsError(
                f"no setting {key!r}", where=f"strategy {name}", next_step=nearest(key, known)
            )
    settings = {accepted[key]: value for key, value in hyper.items() if key in accepted}
    return make(weighted_by_key=WEIGHTED_BY, **settings)


def _part_of_the_way(
    start: Sequence[NDArray[np.floating]], mean: list[NDArray[np.float64]], rate: float
) -> list[NDArray[np.float64]]:
    """FedAvg as server SGD (Reddi et al. 2021): start + rate (mean - start)."""
    if rate == 1.0:
        return mean
    pairs = zip(map(_wide, start), mean, strict=True)
    return [before + rate * (after - before) for before, after in pairs]


def _check_replies(weights: Sequence[NDArray[np.floating]], replies: Sequence[ClientReply]) -> None:
    if not replies:
        raise FederationError("no replies to aggregate", next_step="see the round's absences")
    shapes = [np.shape(array) for array in weights]
    for client, arrays, num_rows in replies:
        if [np.shape(array) for array in arrays] != shapes:
            raise FederationError(
                f"weights of shapes {[np.shape(array) for array in arrays]}, expected {shapes}",
                where=f"client {client!r}",
                next_step="the client must run the recipe of this federation",
            )
        if num_rows < 1:
            raise FederationError(
                f"trained on {num_rows} rows",
                where=f"client {client!r}",
                next_step="leave this client out of the round",
            )


def _message(keys: Sequence[str], arrays: Sequence[NDArray[np.floating]], num_rows: int) -> Message:
    named = {key: Array(_wide(array)) for key, array in zip(keys, arrays, strict=True)}
    content = RecordDict(
        {"arrays": ArrayRecord(named), "metrics": MetricRecord({WEIGHTED_BY: int(num_rows)})}
    )
    return Message(content, dst_node_id=0, message_type=MessageType.TRAIN)


def _wide(array: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(array, dtype=np.float64)


def _recall(
    memory: Mapping[str, NDArray[np.generic]], name: str, keys: Sequence[str]
) -> dict[str, NDArray[np.generic]] | None:
    return {key: memory[f"{name}.{key}"] for key in keys} if f"{name}.0" in memory else None


def _remember(strategy: FedAvg, step: int) -> Memory:
    if not isinstance(strategy, FedOpt):
        return {}
    memory: Memory = {"num_steps": np.asarray(step, dtype=np.int64)}
    for name in ("m_t", "v_t"):
        for key, array in getattr(strategy, name).items():
            memory[f"{name}.{key}"] = np.asarray(array, dtype=np.float64)
    return memory
