"""Training on masked sums gives the model that sums in the clear give, to quantisation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from fedchurn.data.client_table import ClientTable
from fedchurn.encoding.statistics import (
    client_statistics,
    pool_statistics,
    statistics_to_arrays,
    with_ranges,
)
from fedchurn.errors import QuorumError
from fedchurn.evaluation.sums import add_sums
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.drift.dependence import collect_relation
from fedchurn.federation.exchange import TOGETHER, Exchange
from fedchurn.federation.secure.messages import SUM
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.scoring import evaluate
from fedchurn.federation.training.train import TrainedModel, collect_statistics, train_federated
from fedchurn.registry.comparison import ClientComparison, combine_comparisons
from tests.unit.federation import test_dependence as watched
from tests.unit.federation.clients import CONTRACT, federation, table
from tests.unit.federation.secure.vectors import together
from tests.unit.federation.test_training import NEWTON

TABLES = [table(name, 150 + 40 * seed, seed) for seed, name in enumerate("abcd")]
PLAIN, SUMMED = RoundPolicy(), RoundPolicy(summed=True)
MOST_DIFFERENT = 1e-6  # of weights around 1; measured 1.5e-8, a rounding of float32


def masked(tables: Sequence[ClientTable] = TABLES) -> Exchange:
    return together({t.client: ClientSession(t, CONTRACT) for t in tables})[0]


def trained(exchange: Exchange, policy: RoundPolicy) -> TrainedModel:
    return train_federated(exchange, CONTRACT, NEWTON, policy, min_cell_rows=1)


def largest_difference(one: TrainedModel, other: TrainedModel) -> float:
    pairs = zip(one.weights, other.weights, strict=True)
    return max(float(np.abs(mine - theirs).max()) for mine, theirs in pairs)


def test_newton_rounds_give_the_same_model() -> None:
    clear, secure = trained(federation(TABLES), PLAIN), trained(masked(), SUMMED)
    assert secure.encoder == clear.encoder
    assert largest_difference(clear, secure) < MOST_DIFFERENT
    assert secure.best_round_num == clear.best_round_num
    for mine, theirs in zip(secure.records, clear.records, strict=True):
        assert mine.validation == pytest.approx(theirs.validation, abs=1e-6)


def test_a_record_names_the_clients_behind_its_sums_and_no_figure_of_theirs() -> None:
    records = trained(masked(), SUMMED).records
    assert all(record.participants == ("a", "b", "c", "d") for record in records[1:])
    assert all(set(record.per_client) <= {TOGETHER} for record in records)
    for record in records[1:]:
        assert set(record.client_bytes_up) == set(record.client_bytes_down) == {*"abcd"}
        assert record.bytes_up == sum(record.client_bytes_up.values())
        assert 0 < record.seconds["secure_sum"] <= record.seconds["train"]


def test_a_client_that_drops_out_of_a_round_is_absent_and_training_goes_on() -> None:
    rounds = [0]

    def lost(task: str, client: str) -> bool:
        rounds[0] += task == SUM and client == "d"
        return task == SUM and client == "d" and rounds[0] == 4  # after statistics and round 0

    clients = {t.client: ClientSession(t, CONTRACT) for t in TABLES}
    exchange, _ = together(clients, lost)
    policy = RoundPolicy(summed=True, quorum_fraction=0.7)
    records = train_federated(exchange, CONTRACT, NEWTON, policy, min_cell_rows=1).records
    (absent,) = [dict(r.absences) for r in records if r.absences]
    assert absent == {"d": "sending the masked vector: gone"}
    rounds[0] = 0
    strict, _ = together(clients, lost)
    with pytest.raises(QuorumError, match="3 of 4 clients gave a usable answer, 4 are needed"):
        train_federated(strict, CONTRACT, NEWTON, SUMMED, min_cell_rows=1)


def test_statistics_are_sums_and_ranges_come_from_their_histograms() -> None:
    exchange, tapped = together({t.client: ClientSession(t, CONTRACT) for t in TABLES})
    found, _ = collect_statistics(exchange, SUMMED, CONTRACT, 5)
    parts = [
        client_statistics(rows.columns, rows.target, CONTRACT, min_cell_rows=5)
        for rows in (t.part(0) for t in TABLES)
    ]
    clear = pool_statistics(parts)
    mine, theirs = found[TOGETHER].numbers["age"], clear.numbers["age"]
    np.testing.assert_allclose(mine.cells, theirs.cells, atol=1e-9)
    assert (mine.count, mine.total, mine.total_squares) == pytest.approx(
        (theirs.count, theirs.total, theirs.total_squares), abs=1e-9
    )
    youngest, oldest = (f([c.numbers["age"].low for c in parts]) for f in (min, max))
    assert mine.low <= youngest <= oldest <= mine.high
    # Lowest and highest values of a client are not even in its masked vector.
    assert tapped.received(SUM, "a")["secure.words"].dtype == np.uint64


def test_a_range_ends_at_the_outermost_cells_in_use() -> None:
    ages = np.array([30.0, 31.0, 40.0, 500.0])
    columns = {"age": ages, "plan": np.zeros(4, dtype=np.int32)}
    statistics = client_statistics(columns, np.zeros(4, dtype=np.int8), CONTRACT, min_cell_rows=1)
    ranged = with_ranges(statistics, CONTRACT).numbers["age"]
    assert (ranged.low, ranged.high) == (30.0, 100.5)  # beyond the contract: its last edge
    arrays = statistics_to_arrays(with_ranges(statistics, CONTRACT))
    assert arrays["number:age"][4:6].tolist() == [30.0, 100.5]


def test_evaluation_is_that_of_all_clients_together() -> None:
    clear = trained(federation(TABLES), PLAIN)
    encoder = clear.encoder.to_json()

    def test_sums(exchange: Exchange, policy: RoundPolicy) -> object:
        asked = evaluate(exchange, policy, clear.spec, [clear.weights], encoder, "test")
        return add_sums(asked.sums[0].values())

    assert test_sums(masked(), SUMMED) == test_sums(federation(TABLES), PLAIN)


def test_the_relation_of_columns_is_that_of_all_clients_together() -> None:
    recipe, contract = watched.RECIPE, watched.CONTRACT
    secured, _ = together(watched.handlers())
    plain = DirectExchange(watched.handlers())
    clear = train_federated(plain, contract, recipe, PLAIN, min_cell_rows=1)
    secure = train_federated(secured, contract, recipe, SUMMED, min_cell_rows=1)
    mine = collect_relation(secured, SUMMED, secure, contract, 1)
    theirs = collect_relation(plain, PLAIN, clear, contract, 1)
    assert mine is not None
    assert theirs is not None
    assert set(mine.held_out) == {TOGETHER}
    for row, expected in zip(
        mine.dependence["correlation"], theirs.dependence["correlation"], strict=True
    ):
        assert row == pytest.approx(expected, abs=1e-5)
    total, *others = theirs.held_out.values()
    for one in others:
        total = total + one
    assert mine.held_out[TOGETHER].num_rows == total.num_rows
    np.testing.assert_allclose(mine.held_out[TOGETHER].error_cells, total.error_cells, atol=1e-6)


def test_models_are_compared_by_sums_as_by_clients() -> None:
    generator = np.random.default_rng(5)
    parts = []
    for client in "abc":
        numbers = generator.uniform(0.5, 0.9, 2)
        spread = generator.uniform(1e-4, 2e-4, 2)
        positive, negative = (int(n) for n in generator.integers(5, 50, 2))
        parts.append(
            ClientComparison(
                client, positive, negative, positive + negative, *numbers, *spread, 5e-5
            )
        )
    unmeasured = ClientComparison("d", 0, 7, 7, *[float("nan")] * 5)
    clear = combine_comparisons([*parts, unmeasured])
    sums = [part.to_sums() for part in (*parts, unmeasured)]
    total = {name: sum(s[name] for s in sums) for name in sums[0]}
    secure = combine_comparisons([ClientComparison.from_sums(TOGETHER, total)])
    for name in ("auc_challenger", "auc_champion", "standard_error", "z", "p_better"):
        assert getattr(secure, name) == pytest.approx(getattr(clear, name))
    assert secure.num_customers == clear.num_customers
    nobody = ClientComparison.from_sums(TOGETHER, unmeasured.to_sums())
    assert not nobody.is_measured
