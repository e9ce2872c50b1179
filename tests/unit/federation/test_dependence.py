"""What clients tell about how columns go together: sums that add up, and nothing of few rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedchurn.contract.columns import MISSING, Columns
from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import TEST, TRAIN, ClientTable
from fedchurn.drift.relation.dependence import DependenceSums
from fedchurn.drift.relation.normal_scores import ScoredColumn
from fedchurn.encoding.statistics import Statistics, client_statistics, pool_statistics
from fedchurn.errors import QuorumError
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.drift.dependence import Relation, collect_relation
from fedchurn.federation.drift.dependence_messages import scored_columns
from fedchurn.federation.drift.dependence_sums import HeldOutSums, dependence_sums, held_out_sums
from fedchurn.federation.exchange import ClientHandler, Reply, Request
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.train import TrainedModel, train_federated
from fedchurn.learning.recipe import NewtonPhase, Recipe
from tests.unit.federation import clients
from tests.unit.federation.clients import Altered, Broken

CONTRACT = Contract.model_validate(
    {
        "contract": "small",
        "version": "1.0.0",
        "target": {"column": "churn", "positive": 1, "negative": 0},
        "columns": {
            "age": {"kind": "integer", "usual": [0, 100], "nullable": True, "drift": "ks"},
            "plan": {
                "kind": "category",
                "categories": ["basic", "pro"],
                "nullable": True,
                "drift": "chi_squared",
            },
        },
    }
)
POLICY = RoundPolicy()
RECIPE = Recipe(
    name="quick",
    description="one round",
    phases=(NewtonPhase(strategy="newton", num_rounds=1, ridges=(1.0,), refit_rounds=0),),
)


def rows_of(seed: int, num_rows: int = 60) -> Columns:
    generator = np.random.default_rng(seed)
    age = generator.integers(18, 90, num_rows).astype(np.float64)
    age[generator.random(num_rows) < 0.2] = np.nan
    return {"age": age, "plan": generator.integers(-1, 2, num_rows).astype(np.int32)}


def statistics_of(columns: Columns, min_cell_rows: int) -> Statistics:
    target = np.zeros(len(columns["age"]), dtype=np.int8)
    return client_statistics(columns, target, CONTRACT, min_cell_rows=min_cell_rows)


def scored(columns: Columns) -> tuple[ScoredColumn, ...]:
    return scored_columns(statistics_of(columns, 1), CONTRACT)


def sums_of(
    columns: Columns, known: Sequence[ScoredColumn], min_cell_rows: int = 1
) -> DependenceSums:
    probability = np.linspace(0.01, 0.99, len(columns["age"]))
    return dependence_sums(columns, probability, known, min_cell_rows)


def equal(one: DependenceSums, other: DependenceSums) -> bool:
    return (
        one.num_rows == other.num_rows
        and np.array_equal(one.sums, other.sums)
        and np.array_equal(one.products, other.products)
    )


@given(st.lists(st.integers(0, 2), min_size=60, max_size=60))
def test_sums_are_the_same_however_rows_are_dealt(dealt: list[int]) -> None:
    columns = rows_of(seed=1)
    known = scored(columns)
    probability = np.linspace(0.01, 0.99, 60)
    client_of = np.array(dealt)
    parts = []
    for client in range(3):
        rows = client_of == client
        own = {name: values[rows] for name, values in columns.items()}
        parts.append(dependence_sums(own, probability[rows], known, 1))
    assert equal(parts[0] + parts[1] + parts[2], sums_of(columns, known))


def test_sums_by_hand() -> None:
    columns: Columns = {"age": np.array([1.0, 2.0]), "plan": np.array([0, 1], dtype=np.int32)}
    known = scored(columns)
    sums = dependence_sums(columns, np.array([0.5, 0.5]), known, 1)
    low, high = (round(4096 * 0.6744897501960817 * sign) for sign in (-1, 1))
    assert sums.num_rows == 2
    assert sums.sums.tolist()[:2] == [low + high, low + high]
    assert sums.products[0, 1] == low * low + high * high


def reported_sum(statistics: Statistics, name: str, one: ScoredColumn) -> float:
    """Sum of a column's scores as its own histogram already tells it."""
    if name in statistics.numbers:
        return float(statistics.numbers[name].cells @ one.ticks[:-1])
    counts = statistics.categories[name]
    return float(np.append(counts.cells, counts.unknown) @ one.ticks[:-1])


@given(st.integers(0, 200), st.integers(1, 12), st.integers(12, 60))
def test_of_one_column_nothing_is_told_that_its_histogram_does_not(
    seed: int, k: int, num_rows: int
) -> None:
    known = scored(rows_of(seed=1))
    columns = rows_of(seed, num_rows)
    told = sums_of(columns, known, k)
    statistics = statistics_of(columns, k)
    for place, one in enumerate(known):
        wanted = reported_sum(statistics, one.name, one)
        assert told.sums[place] == pytest.approx(wanted, abs=num_rows), one.name


def test_a_label_of_fewer_than_k_rows_changes_nothing() -> None:
    known = scored(rows_of(seed=1))
    rows = rows_of(seed=2, num_rows=10)
    common = {**rows, "plan": np.zeros(10, dtype=np.int32)}
    rare = {**rows, "plan": np.array([0] * 8 + [1, MISSING], dtype=np.int32)}
    assert equal(sums_of(common, known, 5), sums_of(rare, known, 5))
    assert not equal(sums_of(common, known, 1), sums_of(rare, known, 1))


def test_a_number_may_move_among_its_k_neighbours_unseen() -> None:
    known = scored(rows_of(seed=1))
    plan = np.zeros(10, dtype=np.int32)
    ages = np.array([20.0, 21, 22, 23, 24, 60, 61, 62, 63, 64])
    moved = np.array([20.0, 23, 23, 21, 24, 60, 63, 62, 63, 64])
    before = sums_of({"age": ages, "plan": plan}, known, 5)
    after = sums_of({"age": moved, "plan": plan}, known, 5)
    assert equal(before, after)


def test_fewer_than_k_missing_numbers_are_not_told() -> None:
    known = scored(rows_of(seed=1))
    plan = np.zeros(9, dtype=np.int32)
    ages = np.array([30.0, 30, 30, 40, 40, 40, 50, 50, 50])
    rare = np.where(np.arange(9) == 4, np.nan, ages)
    before = sums_of({"age": ages, "plan": plan}, known, 3)
    after = sums_of({"age": rare, "plan": plan}, known, 3)
    flag = len(known)
    assert before.sums[flag] == after.sums[flag]


def test_fewer_than_k_rows_tell_nothing() -> None:
    columns = rows_of(seed=2, num_rows=4)
    known = scored(rows_of(seed=1))
    sums = sums_of(columns, known, 5)
    assert (sums.num_rows, sums.sums.any(), sums.products.any()) == (0, False, False)
    held_out = held_out_sums(columns, np.arange(4), known, np.eye(4)[:1], np.array([1.0]), 5)
    assert (held_out.num_rows, held_out.error_cells.tolist()) == (0, [0.0, 0.0])


class TestHeldOut:
    KNOWN = scored(rows_of(seed=1))
    NO_COMPONENTS = np.zeros((0, 4))

    def test_errors_are_counted_in_cells_and_copies_count_less(self) -> None:
        columns: Columns = {
            "age": np.array([np.nan, 50.0, 50.0]),
            "plan": np.array([0, 0, 0], dtype=np.int32),
        }
        # Nothing is kept, so that the error is the length of the scores.
        sums = held_out_sums(
            columns, np.array([1, 2, 2]), self.KNOWN, self.NO_COMPONENTS, np.array([0.0, 9.0]), 1
        )
        assert (sums.num_rows, sums.customer_squares) == (3, 1 + 4)
        assert sums.num_effective_rows == 9 / 5
        assert sums.error_cells.tolist() == [0, 3, 0]

    def test_cells_below_k_are_joined(self) -> None:
        columns = rows_of(seed=3, num_rows=40)
        edges = np.linspace(0, 4, 30)
        sums = held_out_sums(
            columns, np.arange(40), self.KNOWN, self.NO_COMPONENTS, edges, min_cell_rows=10
        )
        heights, sizes = np.unique(sums.error_cells[sums.error_cells > 0], return_counts=True)
        assert all(h * n >= 10 - 1e-9 for h, n in zip(heights, sizes, strict=True))
        assert sums.error_cells.sum() == pytest.approx(40)

    def test_they_travel_as_arrays(self) -> None:
        sums = HeldOutSums(3, 5.0, np.array([1.0, 2.0]))
        back = HeldOutSums.from_arrays(sums.to_arrays(), num_cells=2)
        assert (back.num_rows, back.customer_squares) == (3, 5.0)
        assert back.error_cells.tolist() == [1.0, 2.0]

    @pytest.mark.parametrize(
        "strange",
        [
            HeldOutSums(3, 2.0, np.array([1.0, 2.0])),  # fewer squares than rows
            HeldOutSums(3, 10.0, np.array([1.0, 2.0])),  # more than one customer can have
            HeldOutSums(4, 5.0, np.array([1.0, 2.0])),
            HeldOutSums(3, 5.0, np.array([-1.0, 4.0])),
            HeldOutSums(3, 5.0, np.array([3.0])),
        ],
        ids=["squares", "one_customer", "rows", "negative", "shape"],
    )
    def test_what_no_rows_can_tell_is_refused(self, strange: HeldOutSums) -> None:
        with pytest.raises(ValueError, match="rows"):
            HeldOutSums.from_arrays(strange.to_arrays(), num_cells=2)


def table(client: str, seed: int, num_rows: int = 500) -> ClientTable:
    made = clients.table(client, num_rows, seed)
    age = np.where(np.arange(num_rows) % 4 == 0, np.nan, made.columns["age"])
    return replace(made, columns={**made.columns, "age": age})


TABLES = [table("north", 1), table("south", 2), table("west", 3, num_rows=300)]


def handlers(tables: Sequence[ClientTable] = TABLES) -> dict[str, ClientHandler]:
    return {t.client: ClientSession(t, CONTRACT) for t in tables}


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    return train_federated(DirectExchange(handlers()), CONTRACT, RECIPE, POLICY)


def relation(
    trained: TrainedModel,
    reached: dict[str, ClientHandler],
    policy: RoundPolicy = POLICY,
    min_cell_rows: int = 1,
) -> Relation:
    found = collect_relation(DirectExchange(reached), policy, trained, CONTRACT, min_cell_rows)
    assert found is not None
    return found


class TestRelation:
    def test_every_training_row_counts_once_and_every_test_row_is_judged(
        self, trained: TrainedModel
    ) -> None:
        found = relation(trained, handlers())
        assert found.dependence["num_rows"] == sum(t.part(TRAIN).num_rows for t in TABLES)
        assert found.dependence["coordinates"] == ["age", "plan", "age?", "churn_probability"]
        tested = {client: sums.num_rows for client, sums in found.held_out.items()}
        assert tested == {t.client: t.part(TEST).num_rows for t in TABLES}
        for sums in found.held_out.values():
            assert sums.error_cells.sum() == pytest.approx(sums.num_rows)
            assert len(sums.error_cells) == len(found.error_edges) + 1

    def test_old_people_churn_seldom_and_the_copula_knows(self, trained: TrainedModel) -> None:
        found = relation(trained, handlers())
        assert found.dependence["correlation"][-1][0] < -0.4

    def test_one_client_with_all_rows_tells_the_same_dependence(
        self, trained: TrainedModel
    ) -> None:
        everybody = clients.joined(TABLES, "all")
        alone = replace(trained, client_statistics={"all": trained.statistics})
        found = relation(alone, handlers([everybody]))
        assert found.dependence == relation(trained, handlers()).dependence

    def test_only_sums_leave_a_client(self, trained: TrainedModel) -> None:
        sent: list[Reply] = []

        def watch(request: Request, reply: Reply) -> Reply:
            sent.append(reply)
            return reply

        relation(trained, {name: Altered(one, watch) for name, one in handlers().items()})
        sizes = {array.size for reply in sent for array in reply.arrays.values()}
        assert sizes == {1, 4, 16, 2, 128}, "as many numbers for 300 rows as for 500"

    def test_a_client_that_fails_is_left_out_if_the_quorum_allows(
        self, trained: TrainedModel
    ) -> None:
        reached = {**handlers(), "south": Broken()}
        found = relation(trained, reached, RoundPolicy(quorum_fraction=0.5))
        assert sorted(found.held_out) == ["north", "west"]
        with pytest.raises(QuorumError, match="after training, dependence"):
            relation(trained, reached)

    @pytest.mark.parametrize("how", ["rows", "products", "shape", "squares"])
    def test_a_client_that_exaggerates_is_left_out(self, trained: TrainedModel, how: str) -> None:
        def poisoned(request: Request, reply: Reply) -> Reply:
            arrays: dict[str, NDArray[np.generic]] = dict(reply.arrays)
            if request.task == "dependence":
                if how == "rows":
                    arrays["dependence_rows"] = np.array([10**9])
                elif how == "products":
                    arrays["dependence_products"] = np.asarray(arrays["dependence_products"]) * 0
                elif how == "squares":
                    arrays["dependence_products"] = np.full((4, 4), 2**60)
                else:
                    arrays["dependence_sums"] = np.zeros(3, dtype=np.int64)
            return replace(reply, arrays=arrays)

        reached = handlers()
        reached["south"] = Altered(reached["south"], poisoned)
        found = relation(trained, reached, RoundPolicy(quorum_fraction=0.5))
        honest = relation(
            trained, {**handlers(), "south": Broken()}, RoundPolicy(quorum_fraction=0.5)
        )
        assert found.dependence == honest.dependence

    def test_without_watched_columns_there_is_nothing_to_tell(self, trained: TrainedModel) -> None:
        exchange = DirectExchange(handlers())
        assert collect_relation(exchange, POLICY, trained, clients.CONTRACT, 1) is None

    def test_a_histogram_of_another_contract_is_refused_by_the_client(self) -> None:
        config = {"columns": '["age"]', "min_cell_rows": 1}
        arrays = {"cells_0": np.zeros(3), "missing": np.zeros(1)}
        request = Request("held_out", 0, {**arrays, "components": np.zeros((0, 1))}, config)
        reply = DirectExchange(handlers()).ask(request, ["north"])[0]
        assert "3 cells of 'age' were sent, the contract has 103" in reply.error


def test_effective_rows_are_sums_over_clients(trained: TrainedModel) -> None:
    copies = replace(TABLES[0], customer_groups=np.arange(500) // 10)
    parts = [
        train_federated(DirectExchange(handlers([one])), CONTRACT, RECIPE, POLICY).statistics
        for one in (copies, TABLES[1])
    ]
    pooled = pool_statistics(parts)
    assert (
        parts[1].num_effective_rows
        == parts[1].num_rows
        == trained.client_statistics["south"].num_effective_rows
    )
    assert parts[0].num_effective_rows == parts[0].num_rows / 2
    assert pooled.customer_squares == sum(part.customer_squares for part in parts)
