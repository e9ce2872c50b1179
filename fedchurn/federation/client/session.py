"""What a client does with a request, beside its own rows.

Only sums, counts, histograms, gradients, Hessians and model updates go into a ``Reply``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import TEST, TRAIN, VALIDATION, ClientTable
from fedchurn.encoding.encoder import Encoder
from fedchurn.encoding.statistics import client_statistics, statistics_to_arrays
from fedchurn.errors import FederationError, nearest
from fedchurn.evaluation.sums import score_sums
from fedchurn.federation.client.newton_sums import newton_sums, without_rare_inputs
from fedchurn.federation.client.trained_reply import update_reply
from fedchurn.federation.client.update import UpdateRules
from fedchurn.federation.drift.counts import DriftCounts
from fedchurn.federation.drift.dependence_messages import dependence_to_arrays, scored_columns_of
from fedchurn.federation.drift.dependence_sums import dependence_sums, held_out_sums
from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.joining.facts import ClientValidation, Membership
from fedchurn.federation.model_messages import (
    candidate_weights,
    prefixed,
    spec_from,
)
from fedchurn.federation.privacy.keyed_noise import QuestionNoise
from fedchurn.federation.secure.messages import question_digest
from fedchurn.federation.updates import CORRECTION
from fedchurn.learning.spec import predict_probability

SPLITS = {
    "train": (TRAIN,),
    "validation": (VALIDATION,),
    "train+validation": (TRAIN, VALIDATION),
    "test": (TEST,),
}


class ClientSession:
    """Answers requests about one client's rows; encoded rows are kept between rounds.

    Args:
        table: the client's rows, already split.
        contract: the contract that the rows obey.
        min_cell_rows: the client's own floor of k, which a server can raise but not lower.
        validation: what its validation found, told to a server that holds no rows.
        personal: folder in which it keeps models of its own; None makes none.
    """

    def __init__(
        self,
        table: ClientTable,
        contract: Contract,
        min_cell_rows: int = 1,
        validation: ClientValidation | None = None,
        personal: Path | None = None,
    ) -> None:
        self._table = table
        self._contract = contract
        self._min_cell_rows = min_cell_rows
        self._encoded: dict[tuple[str, str], NDArray[np.float32]] = {}
        self._parts: dict[str, ClientTable] = {}
        self._tasks: dict[str, Callable[[Request], Reply]] = {
            "statistics": self._statistics,
            "newton": self._newton,
            "local_epochs": self._local_epochs,
            "evaluate": self._evaluate,
            "compare": self._compare,
            "dependence": self._dependence,
            "held_out": self._held_out,
            "drift": self._drift,
            "join": self._join,
            "personalise": self._personalise,
        }
        self._personal = personal
        self._noise = QuestionNoise()
        self._membership = Membership(table, contract, validation)
        self._drift_counts = DriftCounts(table, contract)

    def handle(self, request: Request) -> Reply:
        """The reply to one request.

        Raises:
            FederationError: the task is unknown, or the request is meant for other rows.
        """
        request = self._membership.admit(request)
        task = self._tasks.get(request.task)
        if task is None:
            raise FederationError(
                f"unknown task {request.task!r}",
                where=f"client {self._table.client}",
                next_step=nearest(request.task, self._tasks),
            )
        return task(request)

    def _part(self, split: str) -> ClientTable:
        if split not in self._parts:
            rows = np.isin(self._table.split, SPLITS[split])
            self._parts[split] = self._table.take(rows)
        return self._parts[split]

    def _inputs(self, encoder_json: str, split: str) -> NDArray[np.float32]:
        key = (encoder_json, split)
        if key not in self._encoded:
            encoder = Encoder.from_dict(json.loads(encoder_json))
            self._encoded[key] = encoder.encode(self._part(split).columns)
        return self._encoded[key]

    def _reply(
        self, arrays: Mapping[str, NDArray[np.generic]], numbers: Mapping[str, float]
    ) -> Reply:
        return Reply(self._table.client, arrays, numbers)

    def _statistics(self, request: Request) -> Reply:
        train = self._part("train")
        statistics = client_statistics(
            train.columns,
            train.target,
            self._contract,
            min_cell_rows=self._floor(request),
            customer_groups=train.customer_groups,
        )
        return self._reply(statistics_to_arrays(statistics), {"num_rows": train.num_rows})

    def _newton(self, request: Request) -> Reply:
        split = self._training_split(request)
        inputs = self._inputs(str(request.config["encoder"]), split)
        inputs = without_rare_inputs(inputs, self._floor(request))
        rows = self._part(split)
        weights = np.asarray(request.arrays["newton.weights"], dtype=np.float64)
        sums = newton_sums(weights, inputs, rows.target)
        return self._reply(sums, {"num_rows": rows.num_rows})

    def _floor(self, request: Request) -> int:
        return max(self._min_cell_rows, int(request.config["min_cell_rows"]))

    def _training_split(self, request: Request) -> str:
        split = str(request.config["split"])
        if split not in ("train", "train+validation"):
            raise FederationError(
                f"training on {split!r} rows is refused",
                where=f"client {self._table.client}",
                next_step="ask for train or train+validation",
            )
        return split

    def _local_epochs(self, request: Request) -> Reply:
        # TensorFlow takes seconds to import and is needed by this task only.
        from fedchurn.learning.keras_epochs import EpochSettings, local_epochs

        config = request.config
        spec = spec_from(config)
        before = candidate_weights(request.arrays, spec, 0)
        trained = local_epochs(
            spec,
            before,
            self._inputs(str(config["encoder"]), "train"),
            self._part("train").target,
            EpochSettings(**json.loads(str(config["epochs"]))),
            seed=int(config["seed"]),
            round_num=request.round_num,
            client=self._table.client,
            correction=request.arrays.get(CORRECTION),
        )
        rules = UpdateRules.from_json(str(config["update"]))
        noise = self._noise.of(question_digest(request))
        return update_reply(self._table.client, before, trained, rules, noise)

    def _evaluate(self, request: Request) -> Reply:
        split = str(request.config["split"])
        rows = self._part(split)
        spec = spec_from(request.config)
        inputs = self._inputs(str(request.config["encoder"]), split)
        arrays: dict[str, NDArray[np.generic]] = {}
        for candidate in range(int(request.config["num_candidates"])):
            weights = candidate_weights(request.arrays, spec, candidate)
            sums = score_sums(rows.target, predict_probability(spec, weights, inputs))
            arrays.update(prefixed(sums.to_arrays(), candidate))
        return self._reply(arrays, {"num_rows": rows.num_rows})

    def _dependence(self, request: Request) -> Reply:
        rows = self._part("train")
        spec = spec_from(request.config)
        inputs = self._inputs(str(request.config["encoder"]), "train")
        sums = dependence_sums(
            rows.columns,
            predict_probability(spec, candidate_weights(request.arrays, spec, 0), inputs),
            scored_columns_of(request, self._contract),
            self._floor(request),
        )
        return self._reply(dependence_to_arrays(sums), {"num_rows": sums.num_rows})

    def _held_out(self, request: Request) -> Reply:
        rows = self._part("test")
        sums = held_out_sums(
            rows.columns,
            rows.customer_groups,
            scored_columns_of(request, self._contract),
            np.asarray(request.arrays["components"], dtype=np.float64),
            np.asarray(request.arrays["error_edges"], dtype=np.float64),
            self._floor(request),
        )
        return self._reply(sums.to_arrays(), {"num_rows": sums.num_rows})

    def _compare(self, request: Request) -> Reply:
        # scipy and the registry's maths are needed by this task only.
        from fedchurn.registry.comparison import client_comparison

        scores = []
        for number, side in enumerate(("challenger", "champion")):
            config = json.loads(str(request.config[side]))
            inputs = self._inputs(json.dumps(config["encoder"]), "test")
            spec = spec_from({"spec": json.dumps(config["spec"])})
            weights = candidate_weights(request.arrays, spec, number)
            scores.append(predict_probability(spec, weights, inputs))
        test = self._part("test")
        comparison = client_comparison(
            test.target,
            scores[0],
            scores[1],
            test.customer_groups,
            client=self._table.client,
        )
        arrays = prefixed(score_sums(test.target, scores[1]).to_arrays(), 1)
        return self._reply(arrays, {**comparison.to_numbers(), "num_rows": test.num_rows})

    def _join(self, request: Request) -> Reply:
        return self._membership.reply(self._floor(request))

    def _personalise(self, request: Request) -> Reply:
        # The files of a release are needed by this task only.
        from fedchurn.federation.personal.client import PersonalModels

        models = PersonalModels(self._table, self._contract, self._personal)
        return models.reply(request, self._floor(request))

    def _drift(self, request: Request) -> Reply:
        return self._drift_counts.reply(request, self._floor(request))
