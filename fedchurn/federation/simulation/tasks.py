"""Bulk forms of the tasks that are slow for a thousand clients one after another.

Each answers as ``ClientSession`` would: local epochs to float32 rounding, scores exactly, Newton
sums to the order of additions. A request with settings or arrays that are not known here is left to
the clients' own handlers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.errors import FederationError
from fedchurn.evaluation.sums import ScoreSums, score_sums, score_sums_by_client
from fedchurn.federation.client.newton_sums import newton_sums
from fedchurn.federation.client.update import UpdateRules, leaving, numbers_leaving
from fedchurn.federation.exchange import ONE_SUM, TOGETHER, Reply, Request
from fedchurn.federation.model_messages import candidate_weights, prefixed, spec_from
from fedchurn.federation.simulation.exchange import BulkTask
from fedchurn.federation.simulation.rows import SimulatedRows, UnreadableRows
from fedchurn.federation.updates import CORRECTION, num_weights
from fedchurn.learning.keras_cohort import CohortRows
from fedchurn.learning.keras_epochs import EpochSettings, check_rows
from fedchurn.learning.spec import ModelSpec, predict_probability

_NEWTON_ROWS = 8192  # bounds the float64 copy of the inputs

Array = NDArray[np.generic]


def bulk_tasks(rows: SimulatedRows) -> Mapping[str, BulkTask]:
    """The tasks of this module, over the clients' rows."""
    forms = {"local_epochs": _local_epochs, "evaluate": _evaluate, "newton": _newton}
    return {name: _Bulk(form, rows, name) for name, form in forms.items()}


_CONFIG = {
    "local_epochs": {"encoder", "spec", "epochs", "update", "seed", ONE_SUM},
    "evaluate": {"encoder", "spec", "split", "num_candidates", ONE_SUM},
    "newton": {"encoder", "split", "min_cell_rows", ONE_SUM},
}

_OWN_ARRAYS = {"local_epochs": {CORRECTION}}


class _Bulk:
    """Calls a bulk form with requests that it understands."""

    def __init__(self, form: Any, rows: SimulatedRows, name: str) -> None:
        self._form = form
        self._rows = rows
        self._config = _CONFIG[name]
        self._own_arrays = _OWN_ARRAYS.get(name, set())

    def __call__(self, request: Request, clients: Sequence[str]) -> Sequence[Reply] | None:
        own = {name for arrays in request.own_arrays.values() for name in arrays}
        if not (set(request.config) <= self._config and own <= self._own_arrays):
            return None
        failed: list[Reply] = []
        while clients:
            try:
                replies = self._form(request, clients, self._rows)
                return None if replies is None else [*replies, *failed]
            except UnreadableRows as error:
                failed += [Reply(client, error=why) for client, why in error.reasons.items()]
                clients = [client for client in clients if client not in error.reasons]
        return failed


def _local_epochs(
    request: Request, clients: Sequence[str], rows: SimulatedRows
) -> list[Reply] | None:
    # TensorFlow takes seconds to import and is needed by this task only.
    from fedchurn.learning.keras_cohort import cohort_epochs

    config = request.config
    rules = UpdateRules.from_json(str(config["update"]))
    if rules.noise_std:
        return None  # each client draws its own
    spec = spec_from(config)
    cohort = rows.joined(str(config["encoder"]), "train", clients)
    sizes = cohort.num_rows()
    failed = [_without_rows(spec, clients[int(place)]) for place in np.flatnonzero(sizes == 0)]
    cohort = cohort.only(np.flatnonzero(sizes))
    if not cohort.clients:
        return failed
    learnt = cohort_epochs(
        spec,
        candidate_weights(request.arrays, spec, 0),
        cohort,
        EpochSettings(**json.loads(str(config["epochs"]))),
        seed=int(config["seed"]),
        round_num=request.round_num,
        corrections=_corrections(request, cohort.clients, num_weights(spec)),
    )
    return failed + [
        Reply(
            client,
            leaving(learnt.updates[place], rules, float(learnt.num_rows[place])),
            numbers_leaving(
                learnt.updates[place],
                rules,
                {
                    "num_rows": float(learnt.num_rows[place]),
                    "loss_sum": float(learnt.loss_sum[place]),
                    "num_right": float(learnt.num_right[place]),
                },
            ),
        )
        for place, client in enumerate(cohort.clients)
    ]


def _corrections(request: Request, clients: Sequence[str], size: int) -> NDArray[np.float32] | None:
    """What each client adds to its gradients (clients, size); zeros for who is sent nothing."""
    own = request.own_arrays
    if not any(CORRECTION in arrays for arrays in own.values()):
        return None
    corrections = np.zeros((len(clients), size), dtype=np.float32)
    for place, client in enumerate(clients):
        corrections[place] = own.get(client, {}).get(CORRECTION, np.float32(0))
    return corrections


def _without_rows(spec: ModelSpec, client: str) -> Reply:
    try:
        nothing = np.empty((0, spec.inputs), dtype=np.float32)
        check_rows(spec, nothing, np.empty(0, dtype=np.int8), client)
    except FederationError as error:
        return Reply(client, error=error.in_a_line())
    raise AssertionError("a client without rows can be trained")


def _evaluate(request: Request, clients: Sequence[str], rows: SimulatedRows) -> list[Reply]:
    config = request.config
    spec = spec_from(config)
    own = rows.joined(str(config["encoder"]), str(config["split"]), clients)
    models = [
        candidate_weights(request.arrays, spec, number)
        for number in range(int(config["num_candidates"]))
    ]
    scores = [predict_probability(spec, weights, own.inputs) for weights in models]
    if config.get(ONE_SUM):
        return [_one_sum(own, _score_arrays([score_sums(own.target, one) for one in scores]))]
    each = [score_sums_by_client(own.target, one, own.starts) for one in scores]
    return [
        Reply(client, _score_arrays(sums), {"num_rows": float(sums[0].num_rows)})
        for client, *sums in zip(clients, *each, strict=True)
    ]


def _score_arrays(sums: Sequence[ScoreSums]) -> dict[str, Array]:
    """Of every candidate model."""
    arrays: dict[str, Array] = {}
    for number, one in enumerate(sums):
        arrays.update(prefixed(one.to_arrays(), number))
    return arrays


def _newton(request: Request, clients: Sequence[str], rows: SimulatedRows) -> list[Reply] | None:
    """One sum over the clients; asked for each client's own, they answer one by one."""
    config = request.config
    split = str(config["split"])
    if not config.get(ONE_SUM) or split not in ("train", "train+validation"):
        return None
    own = rows.joined(str(config["encoder"]), split, clients)
    inputs = _without_rare_inputs(own, int(config["min_cell_rows"]))
    weights = np.asarray(request.arrays["newton.weights"], dtype=np.float64)
    total: dict[str, NDArray[np.float64]] = {}
    for first in range(0, max(len(inputs), 1), _NEWTON_ROWS):
        some = slice(first, first + _NEWTON_ROWS)
        sums = newton_sums(weights, inputs[some], own.target[some].astype(np.int8))
        total = {name: total[name] + part for name, part in sums.items()} if total else sums
    return [_one_sum(own, total)]


def _without_rare_inputs(rows: CohortRows, min_cell_rows: int) -> NDArray[np.float32]:
    """``newton_sums.without_rare_inputs`` of each client's own rows."""
    filled = np.flatnonzero(rows.num_rows())
    if min_cell_rows <= 1 or not len(filled):
        return rows.inputs
    # A client without rows has no segment of its own in reduceat.
    held = np.add.reduceat(rows.inputs != 0, rows.starts[filled], axis=0, dtype=np.int64)
    rare = (held > 0) & (held < min_cell_rows)
    client_of_row = np.repeat(np.arange(len(filled)), rows.num_rows()[filled])
    return np.where(rare[client_of_row], np.float32(0), rows.inputs)


def _one_sum(rows: CohortRows, arrays: Mapping[str, Array]) -> Reply:
    members = tuple(sorted(rows.clients))
    return Reply(TOGETHER, arrays, {"num_rows": float(len(rows.target))}, members=members)
