"""Clients that are answered for in bulk answer as they would themselves, within bounded memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from fedchurn.data.client_table import VALIDATION, ClientTable
from fedchurn.encoding.encoder import Encoder
from fedchurn.encoding.fit import EncoderSettings, fit_encoder
from fedchurn.encoding.statistics import client_statistics
from fedchurn.evaluation.sums import ScoreSums
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.client.update import UpdateRules
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.exchange import ONE_SUM, TOGETHER, Exchange, Reply, Request
from fedchurn.federation.model_messages import of_candidate, weights_to_arrays
from fedchurn.federation.simulation.exchange import SimulationExchange
from fedchurn.federation.simulation.rows import SimulatedRows
from fedchurn.federation.simulation.tasks import bulk_tasks
from fedchurn.federation.updates import CORRECTION, num_weights
from fedchurn.learning.keras_model import initial_weights
from fedchurn.learning.spec import HiddenLayer, ModelSpec, Weights
from tests.unit.federation.clients import CONTRACT, federation, joined, table

TABLES = {
    name: table(name, size, seed)
    for seed, (name, size) in enumerate(
        [("ada", 40), ("ben", 7), ("cid", 90), ("dot", 15), ("eve", 33)], start=1
    )
}


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    whole = joined(list(TABLES.values()), "whole")
    statistics = client_statistics(whole.columns, whole.target, CONTRACT, min_cell_rows=1)
    return fit_encoder(statistics, CONTRACT, EncoderSettings(num_knots=3))


def alone() -> DirectExchange:
    """Every client answers for itself."""
    return federation(list(TABLES.values()))


def in_bulk(tables: dict[str, ClientTable] = TABLES) -> SimulationExchange:
    return SimulationExchange(
        list(tables),
        lambda client: ClientSession(tables[client], CONTRACT),
        bulk=bulk_tasks(SimulatedRows(tables.__getitem__)),
    )


def spec_of(encoder: Encoder) -> ModelSpec:
    return ModelSpec(encoder.num_inputs, linear=False, hidden=(HiddenLayer(6, 0.3),))


def weights_of(encoder: Encoder, seed: int = 4) -> Weights:
    return initial_weights(spec_of(encoder), seed)


def training(encoder: Encoder, rules: UpdateRules | None = None, **config: object) -> Request:
    return Request(
        "local_epochs",
        3,
        weights_to_arrays(spec_of(encoder), [weights_of(encoder)]),
        {
            "encoder": encoder.to_json(),
            "spec": json.dumps(spec_of(encoder).to_dict()),
            "epochs": json.dumps({"batch_size": 8, "epochs": 2}),
            "update": (rules or UpdateRules()).to_json(),
            "seed": 11,
            **config,  # type: ignore[dict-item]
        },
    )


def scoring(encoder: Encoder, split: str = "validation", **config: object) -> Request:
    models = [weights_of(encoder, 4), weights_of(encoder, 5)]
    return Request(
        "evaluate",
        3,
        weights_to_arrays(spec_of(encoder), models),
        {
            "encoder": encoder.to_json(),
            "spec": json.dumps(spec_of(encoder).to_dict()),
            "split": split,
            "num_candidates": 2,
            **config,  # type: ignore[dict-item]
        },
    )


def newton(encoder: Encoder, min_cell_rows: int, **config: object) -> Request:
    weights = np.random.default_rng(0).normal(size=(2, encoder.num_inputs + 1))
    return Request(
        "newton",
        3,
        {"newton.weights": weights},
        {
            "encoder": encoder.to_json(),
            "split": "train",
            "min_cell_rows": min_cell_rows,
            **config,  # type: ignore[dict-item]
        },
    )


def assert_same(mine: Sequence[Reply], theirs: Sequence[Reply], tolerance: float) -> None:
    assert [reply.client for reply in mine] == [reply.client for reply in theirs]
    for own, other in zip(mine, theirs, strict=True):
        assert own.error == other.error
        assert own.arrays.keys() == other.arrays.keys()
        assert dict(own.numbers) == pytest.approx(dict(other.numbers), rel=1e-4)
        for name, array in own.arrays.items():
            assert array.dtype == other.arrays[name].dtype
            np.testing.assert_allclose(array, other.arrays[name], atol=tolerance, err_msg=name)


@pytest.mark.parametrize(
    "rules",
    [
        UpdateRules(),
        UpdateRules(clip_norm=0.05),
        UpdateRules(clip_norm=0.05, summed=True),
        UpdateRules(weighting="clients", compression="fp16"),
    ],
    ids=["plain", "clipped", "summed", "fp16"],
)
def test_updates_leave_as_from_clients_that_train_alone(
    encoder: Encoder, rules: UpdateRules
) -> None:
    request = training(encoder, rules)
    assert_same(in_bulk().ask(request), alone().ask(request), 1e-3 if rules.summed else 5e-5)


def test_some_clients_train_as_they_do_among_all(encoder: Encoder) -> None:
    asked = ("ben", "eve")
    mine = in_bulk().ask(training(encoder), asked)
    assert_same(mine, alone().ask(training(encoder), asked), 5e-5)


def test_corrections_reach_their_clients(encoder: Encoder) -> None:
    size = num_weights(spec_of(encoder))
    own = {
        client: {CORRECTION: np.full(size, number, dtype=np.float32)}
        for number, client in enumerate(("ada", "cid"), start=1)
    }
    request = replace(training(encoder), own_arrays=own)
    mine = in_bulk().ask(request)
    assert_same(mine, alone().ask(request), 5e-5)
    assert not np.allclose(
        mine[0].arrays["update"], in_bulk().ask(training(encoder))[0].arrays["update"]
    )


def test_a_client_without_training_rows_is_told_as_it_would_tell(encoder: Encoder) -> None:
    empty = replace(TABLES["ben"], split=np.full(TABLES["ben"].num_rows, VALIDATION, dtype=np.int8))
    tables = {**TABLES, "ben": empty}
    mine = in_bulk(tables).ask(training(encoder))
    theirs = federation(list(tables.values())).ask(training(encoder))
    assert "no training rows" in mine[1].error
    assert_same(mine, theirs, 5e-5)


def test_noise_and_unknown_settings_are_left_to_the_clients(encoder: Encoder) -> None:
    (task,) = (bulk_tasks(SimulatedRows(TABLES.__getitem__))[n] for n in ("local_epochs",))
    assert task(training(encoder, UpdateRules(noise_std=1.0)), ["ada"]) is None
    assert task(training(encoder, news=1), ["ada"]) is None
    own = replace(training(encoder), own_arrays={"ada": {"x": np.zeros(1)}})
    assert task(own, ["ada"]) is None


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_scores_are_the_clients_own(encoder: Encoder, split: str) -> None:
    request = scoring(encoder, split)
    assert_same(in_bulk().ask(request), alone().ask(request), 0)


def test_one_sum_of_scores_is_the_sum_of_all_clients(encoder: Encoder) -> None:
    (reply,) = in_bulk().ask(scoring(encoder, **{ONE_SUM: True}))
    assert (reply.client, reply.members) == (TOGETHER, tuple(sorted(TABLES)))
    for number in (0, 1):
        each = [
            ScoreSums.from_arrays(of_candidate(one.arrays, number))
            for one in alone().ask(scoring(encoder))
        ]
        together = ScoreSums.from_arrays(of_candidate(reply.arrays, number))
        assert together == sum(each, start=ScoreSums.zero())


@pytest.mark.parametrize("min_cell_rows", [1, 6])
def test_one_newton_sum_is_the_sum_of_all_clients(encoder: Encoder, min_cell_rows: int) -> None:
    (reply,) = in_bulk().ask(newton(encoder, min_cell_rows, **{ONE_SUM: True}))
    each = alone().ask(newton(encoder, min_cell_rows))
    assert reply.members == tuple(sorted(TABLES))
    assert reply.numbers["num_rows"] == sum(one.numbers["num_rows"] for one in each)
    for name, array in reply.arrays.items():
        total = sum(np.asarray(one.arrays[name], dtype=np.float64) for one in each)
        np.testing.assert_allclose(np.asarray(array), total, rtol=1e-9, atol=1e-9)


def test_newton_sums_of_each_client_are_its_own(encoder: Encoder) -> None:
    assert_same(in_bulk().ask(newton(encoder, 1)), alone().ask(newton(encoder, 1)), 0)


def test_a_failure_in_bulk_is_every_clients_failure(encoder: Encoder) -> None:
    request = replace(scoring(encoder), arrays={})
    replies = in_bulk().ask(request)
    assert [reply.client for reply in replies] == sorted(TABLES)
    assert all(reply.error.startswith("KeyError") for reply in replies)


def test_clients_that_are_not_there_are_named_beside_a_sum(encoder: Encoder) -> None:
    replies = in_bulk().ask(scoring(encoder, **{ONE_SUM: True}), ["ada", "zoe"])
    assert [(r.client, r.error, r.members) for r in replies] == [
        (TOGETHER, "", ("ada",)),
        ("zoe", "not connected", ()),
    ]


def test_a_client_whose_file_is_gone_fails_alone() -> None:
    def opened(client: str) -> ClientSession:
        if client == "ben":
            raise OSError("no such file")
        return ClientSession(TABLES[client], CONTRACT)

    exchange = SimulationExchange(list(TABLES), opened)
    replies = exchange.ask(Request("statistics", 0, config={"min_cell_rows": 1}))
    assert [r.error for r in replies if r.client == "ben"] == ["OSError: no such file"]
    assert sum(not r.error for r in replies) == len(TABLES) - 1


@pytest.mark.parametrize("one_sum", [False, True])
def test_a_client_whose_file_is_gone_fails_alone_in_bulk(
    encoder: Encoder, *, one_sum: bool
) -> None:
    def load(client: str) -> ClientTable:
        if client in ("ben", "dot"):
            raise OSError("no such file")
        return TABLES[client]

    others = ["ada", "cid", "eve"]
    bulk = bulk_tasks(SimulatedRows(load))
    exchange = SimulationExchange(
        list(TABLES), lambda c: ClientSession(load(c), CONTRACT), bulk=bulk
    )
    request = scoring(encoder, **({ONE_SUM: True} if one_sum else {}))
    replies = exchange.ask(request)
    assert {r.client: r.error for r in replies if r.error} == dict.fromkeys(
        ("ben", "dot"), "OSError: no such file"
    )
    assert sorted(c for r in replies if not r.error for c in r.clients) == others
    assert_same([r for r in replies if not r.error], in_bulk().ask(request, others), 0)


class Counting:
    """Tables by name; counts reads, and how many handlers are held at once."""

    def __init__(self) -> None:
        self.reads: list[str] = []

    def load(self, client: str) -> ClientTable:
        self.reads.append(client)
        return TABLES[client]


def test_a_round_reads_its_cohort_only(encoder: Encoder) -> None:
    files = Counting()
    rows = SimulatedRows(files.load)
    exchange: Exchange = SimulationExchange(
        list(TABLES),
        lambda client: ClientSession(files.load(client), CONTRACT),
        bulk=bulk_tasks(rows),
    )
    exchange.ask(training(encoder), ["dot", "ben"])
    assert files.reads == ["ben", "dot"]
    exchange.ask(training(encoder), ["ben", "eve"])
    exchange.ask(scoring(encoder), ["ben", "dot"])
    assert files.reads == ["ben", "dot", "eve"]


def test_rows_are_let_go_beyond_the_limit(encoder: Encoder) -> None:
    files = Counting()
    limit = 80 * (encoder.num_inputs * 4 + 2)  # bytes of 80 rows
    rows = SimulatedRows(files.load, max_bytes=limit)
    for client in TABLES:
        rows.joined(encoder.to_json(), "train", [client])
        assert rows.held_bytes <= limit
    assert rows.joined(encoder.to_json(), "train", list(TABLES)).num_rows().tolist() == [
        int((one.split == 0).sum()) for one in TABLES.values()
    ]
    assert rows.held_bytes <= limit
    assert len(files.reads) > len(TABLES), "what was let go is read again"


def test_handlers_are_let_go_beyond_the_limit() -> None:
    opened: list[str] = []

    def open_client(client: str) -> ClientSession:
        opened.append(client)
        return ClientSession(TABLES[client], CONTRACT)

    exchange = SimulationExchange(list(TABLES), open_client, max_open=2)
    request = Request("statistics", 0, config={"min_cell_rows": 1})
    exchange.ask(request, ["ada", "ben"])
    exchange.ask(request, ["ada", "ben"])
    assert opened == ["ada", "ben"]
    exchange.ask(request, ["cid"])
    exchange.ask(request, ["ben", "cid"])
    exchange.ask(request, ["ada"])
    assert opened == ["ada", "ben", "cid", "ada"]
