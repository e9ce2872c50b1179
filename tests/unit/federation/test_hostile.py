"""Broken and hostile clients: refused with a reason on every question, and nobody else suffers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedchurn.errors import QuorumError
from fedchurn.evaluation.possible_sums import impossibility
from fedchurn.evaluation.sums import NUM_BINS, ScoreSums, score_sums
from fedchurn.federation.algorithms.newton_audit import Sums, contradiction, reversed_clients
from fedchurn.federation.client.newton_sums import newton_sums
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.drift.dependence import collect_relation
from fedchurn.federation.exchange import ClientHandler, Reply, Request
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.model_audit import reversing_clients
from fedchurn.federation.training.train import TrainedModel, train_federated
from fedchurn.learning.recipe import Recipe
from tests.unit.federation.clients import CONTRACT, Altered, table

TABLES = [table(name, 1500, seed) for seed, name in enumerate("abcd")]
NEWTON = Recipe.model_validate(
    {
        "name": "additive",
        "encoder": {"num_knots": 3},
        "phases": [
            {"strategy": "newton", "num_rounds": 4, "ridges": [3.0, 0.3], "refit_rounds": 1}
        ],
    }
)
LOCAL = Recipe.model_validate(
    {
        "name": "local",
        "encoder": {"basis": "linear", "scaling": "minmax"},
        "phases": [{"strategy": "fedavg", "num_rounds": 2, "hidden": [{"units": 2}]}],
    }
)
Change = Callable[[Request, Reply], Reply]


class QuickEpochs:
    """A client that answers local epochs without a network, so that no test waits for one."""

    def __init__(self, handler: ClientHandler, num_rows: int) -> None:
        self._handler = handler
        self._num_rows = num_rows

    def handle(self, request: Request) -> Reply:
        if request.task != "local_epochs":
            return self._handler.handle(request)
        size = sum(array.size for array in request.arrays.values())
        update = np.full(size, 0.01 * request.round_num, dtype=np.float32)
        numbers = {"num_rows": self._num_rows, "loss_sum": 9.0, "num_right": 8.0}
        return Reply("d", {"update": update}, numbers)


def handlers(change: Change | None = None) -> dict[str, ClientHandler]:
    found: dict[str, ClientHandler] = {}
    for one in TABLES:
        quick = QuickEpochs(ClientSession(one, CONTRACT), one.part(0).num_rows)
        found[one.client] = Altered(quick, lambda _, r, name=one.client: replace(r, client=name))
    if change is not None:
        found["d"] = Altered(found["d"], change)
    return found


def train(change: Change | None, recipe: Recipe = NEWTON, quorum: float = 0.7) -> TrainedModel:
    policy = RoundPolicy(quorum_fraction=quorum)
    exchange = DirectExchange(handlers(change))
    return train_federated(exchange, CONTRACT, recipe, policy, min_cell_rows=1)


def turned_labels() -> ClientSession:
    flipped = replace(TABLES[3], target=(1 - TABLES[3].target).astype(np.int8))
    return ClientSession(flipped, CONTRACT)


def test_turned_labels_end_a_clients_part_and_the_model_is_that_of_the_others() -> None:
    liar = turned_labels()
    model = train(lambda request, _: liar.handle(request))
    honest = train_federated(
        DirectExchange({c: h for c, h in handlers().items() if c != "d"}),
        CONTRACT,
        NEWTON,
        RoundPolicy(),
        min_cell_rows=1,
    )
    why = model.records[1].excluded["d"]
    assert "models of 3 of 3 other clients" in why
    assert all(why in record.quarantined["d"] for record in model.records[1:])
    assert all(record.participants == ("a", "b", "c") for record in model.records[1:])
    assert model.best_round_num > 0
    # The encoder was fitted with the liar's inputs, which were true.
    np.testing.assert_allclose(model.weights[0], honest.weights[0], atol=0.2)


def test_turned_labels_under_full_quorum_stop_the_training_and_name_the_client() -> None:
    liar = turned_labels()
    with pytest.raises(QuorumError, match="d: out for the rest of the training: labels turned"):
        train(lambda request, _: liar.handle(request), quorum=1.0)


def test_honest_clients_are_all_used_and_the_audit_changes_no_byte() -> None:
    audited = train(None)
    exchange = DirectExchange(handlers())
    policy = RoundPolicy(audit="off")
    plain = train_federated(exchange, CONTRACT, NEWTON, policy, min_cell_rows=1)
    assert not any(record.quarantined for record in audited.records)
    assert [w.tobytes() for w in audited.weights] == [w.tobytes() for w in plain.weights]


def test_a_gradient_turned_round_contradicts_its_losses() -> None:
    def turned(request: Request, reply: Reply) -> Reply:
        if request.task != "newton" or request.round_num == 1:
            return reply
        gradient = -np.asarray(reply.arrays["newton.gradient"])
        return replace(reply, arrays={**reply.arrays, "newton.gradient": gradient})

    record = train(turned).records[2]
    assert "newton." in record.quarantined["d"]
    assert record.participants == ("a", "b", "c")


@given(st.integers(0, 10_000), st.floats(0, 6), st.integers(1, 80))
@settings(max_examples=60, deadline=None)
def test_sums_over_rows_never_contradict_themselves(seed: int, scale: float, rows: int) -> None:
    generator = np.random.default_rng(seed)
    inputs = generator.normal(scale=generator.choice([0.01, 1, 30]), size=(rows, 3))
    target = (generator.random(rows) < generator.random()).astype(np.int8)
    weights = scale * generator.normal(size=(3, 4))
    weights[0] *= generator.integers(0, 2)
    arrays = newton_sums(weights, inputs.astype(np.float32), target)
    sums = Sums(rows, *(arrays[f"newton.{n}"] for n in ("loss", "gradient", "hessian")))
    assert contradiction(weights, sums, float(target.sum())) == ""


def sums_at_zero(target: NDArray[np.int8], inputs: NDArray[np.float32]) -> Sums:
    arrays = newton_sums(np.zeros((1, inputs.shape[1] + 1)), inputs, target)
    return Sums(len(target), *(arrays[f"newton.{n}"] for n in ("loss", "gradient", "hessian")))


@pytest.mark.parametrize(
    ("part", "factor", "why"),
    [
        ("hessian", -1.0, "negative eigenvalue"),
        ("hessian", 3.0, "at most"),
        ("loss", 2.0, "newton.loss"),
        ("gradient", 50.0, "at most"),
    ],
)
def test_impossible_sums_are_named(part: str, factor: float, why: str) -> None:
    sums = sums_at_zero(np.array([1, 0, 0, 0], dtype=np.int8), np.float32([[1], [-1], [2], [0]]))
    strange = replace(sums, **{part: factor * getattr(sums, part)})
    assert why in contradiction(np.zeros((1, 2)), strange, 1.0)


def test_churners_that_were_not_told_before_are_named() -> None:
    sums = sums_at_zero(np.array([1, 0, 0, 0], dtype=np.int8), np.float32([[1], [-1], [2], [0]]))
    assert contradiction(np.zeros((1, 2)), sums, 1.0) == ""
    assert "3 of 4 rows with churn" in contradiction(np.zeros((1, 2)), sums, 3.0)


def test_clients_of_other_sizes_and_churn_rates_are_not_taken_for_liars() -> None:
    generator = np.random.default_rng(3)
    sums = {}
    for client, (rows, base) in {"a": (2000, -3.0), "b": (60, 0.0), "c": (400, 1.5)}.items():
        inputs = generator.normal(loc=base, size=(rows, 2)).astype(np.float32)
        logit = base + inputs @ np.array([1.0, -1.0])
        target = (generator.random(rows) < 1 / (1 + np.exp(-logit))).astype(np.int8)
        sums[client] = sums_at_zero(target, inputs)
    assert reversed_clients(sums, 1.0) == {}
    turned = replace(sums["a"], gradient=-sums["a"].gradient)
    assert list(reversed_clients({**sums, "a": turned}, 1.0)) == ["a"]


def test_two_clients_cannot_accuse_each_other() -> None:
    generator = np.random.default_rng(3)
    inputs = generator.normal(size=(200, 1)).astype(np.float32)
    target = (inputs[:, 0] > 0).astype(np.int8)
    pair = {"a": sums_at_zero(target, inputs), "b": sums_at_zero(1 - target, inputs)}
    assert reversed_clients(pair, 1.0) == {}


def test_a_model_that_ranks_most_others_in_reverse_is_named() -> None:
    target = np.arange(200) % 2
    good, bad = np.where(target, 0.9, 0.1), np.where(target, 0.1, 0.9)
    rows = {"a": good, "b": good, "c": bad, "d": good}  # c's voters are honest
    clients = list(rows)
    sums = [{c: score_sums(target, rows[m]) for c in clients} for m in clients]
    assert list(reversing_clients(clients, sums)) == ["c"]
    # One lying voter more changes nothing.
    lied = [{**s, "d": score_sums(1 - target, rows[m])} for m, s in zip(clients, sums, strict=True)]
    assert list(reversing_clients(clients, lied)) == ["c"]


def test_score_sums_that_no_scores_give_are_impossible() -> None:
    sums = score_sums(np.array([1, 0, 1]), np.array([0.9, 0.2, 0.4]))
    assert impossibility(sums) == ""
    assert "log loss" in impossibility(replace(sums, log_loss_ticks=0))
    assert "squared error" in impossibility(replace(sums, squared_error_ticks=2**33))
    assert "stated" in impossibility(replace(sums, num_rows=1000))


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=30))
def test_honest_score_sums_are_possible(scored: list[tuple[bool, float]]) -> None:
    target, probability = np.array([t for t, _ in scored]), np.array([p for _, p in scored])
    assert impossibility(score_sums(target.astype(np.int8), probability)) == ""


def _claiming(num_rows: float) -> Change:
    def changed(request: Request, reply: Reply) -> Reply:
        numbers = {**reply.numbers, "num_rows": num_rows}
        arrays = dict(reply.arrays)
        if request.task == "statistics":
            rows = np.array(arrays["rows"], dtype=np.float64)
            arrays["rows"] = np.array([num_rows, rows[1], num_rows])
        return replace(reply, arrays=arrays, numbers=numbers)

    return changed


def test_a_client_that_claims_all_rows_of_the_world_gets_no_weight() -> None:
    with pytest.raises(QuorumError, match=r"d: .*1e\+12"):
        train(_claiming(1e12), LOCAL, quorum=1.0)
    late = train(lambda q, r: _claiming(1e12)(q, r) if q.task == "local_epochs" else r, LOCAL)
    assert "its statistics said" in late.records[1].quarantined["d"]


def test_rows_that_change_between_evaluations_are_refused() -> None:
    def grown(request: Request, reply: Reply) -> Reply:
        if request.task != "evaluate" or request.round_num < 2:
            return reply
        arrays = {name: 3 * np.asarray(array) for name, array in reply.arrays.items()}
        return replace(reply, arrays=arrays)

    record = train(grown).records[2]
    assert "before" in record.absences["d"]


def test_an_update_that_comes_again_is_refused() -> None:
    kept: list[Reply] = []

    def again(request: Request, reply: Reply) -> Reply:
        if request.task != "local_epochs":
            return reply
        kept.append(reply)
        return kept[0]

    model = train(again, LOCAL)
    assert model.records[1].participants == ("a", "b", "c", "d")
    assert model.records[2].quarantined["d"] == "the update of an earlier round"


def test_an_update_that_comes_again_after_an_absence_is_refused() -> None:
    kept: list[Reply] = []

    def again(request: Request, reply: Reply) -> Reply:
        if request.task != "local_epochs":
            return reply
        if request.round_num == 2:
            raise TimeoutError("away")
        kept.append(reply)
        return kept[0]

    phase = LOCAL.phases[0].model_copy(update={"num_rounds": 3})
    model = train(again, LOCAL.model_copy(update={"phases": (phase,)}))
    assert "away" in model.records[2].absences["d"]
    assert model.records[3].quarantined["d"] == "the update of an earlier round"


def strange_arrays(array: NDArray[np.generic], kind: str, seed: int) -> NDArray[np.generic]:
    """The array, spoilt in one way."""
    generator = np.random.default_rng(seed)
    plain = np.asarray(array, dtype=np.float64)
    flat = plain.ravel().copy()
    places = generator.integers(0, max(flat.size, 1), size=3)
    if kind == "shape":
        return plain.reshape(-1)[:-1]
    if kind == "text":
        return plain.astype("U8")
    if kind == "complex":
        return plain * 1j
    if kind == "scalar":
        return np.array(7)
    spoilt = {"nan": np.nan, "inf": np.inf, "huge": 1e300, "negative": -5.0, "big": 2.0**63}
    if flat.size:
        flat[places] = spoilt[kind]
    return flat.reshape(plain.shape)


KINDS = ["shape", "text", "complex", "scalar", "nan", "inf", "huge", "negative", "big"]
TASKS = ["statistics", "newton", "evaluate", "local_epochs", "dependence", "held_out"]


@pytest.mark.parametrize("task", TASKS)
@given(
    kind=st.sampled_from([*KINDS, "missing", "number", "rows", "other name"]),
    seed=st.integers(0, 1000),
)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_one_client_sends_the_others_get_their_model(
    task: str, kind: str, seed: int
) -> None:
    def spoil(request: Request, reply: Reply) -> Reply:
        if request.task != task:
            return reply
        if kind == "other name":
            return replace(reply, client="a")
        if kind == "missing":
            return replace(reply, arrays={}, numbers={})
        if kind == "number":
            return replace(reply, numbers={n: float("nan") for n in reply.numbers})
        if kind == "rows":
            return replace(
                reply, numbers={**reply.numbers, "num_rows": [-3.0, 0.5, 1e300][seed % 3]}
            )
        names = sorted(reply.arrays)
        name = names[seed % len(names)]
        return replace(
            reply, arrays={**reply.arrays, name: strange_arrays(reply.arrays[name], kind, seed)}
        )

    recipe = LOCAL if task == "local_epochs" else NEWTON
    short = recipe.phases[0].model_copy(update={"num_rounds": 1})
    model = train(spoil, recipe.model_copy(update={"phases": (short,)}))
    assert all(np.isfinite(array).all() for array in model.weights)
    if task in ("dependence", "held_out"):
        exchange, policy = DirectExchange(handlers(spoil)), RoundPolicy(quorum_fraction=0.7)
        relation = collect_relation(exchange, policy, model, CONTRACT, 1)
        assert relation is None or set("abc") <= set(relation.held_out)


def test_statistics_of_more_rows_than_can_be_counted_are_refused() -> None:
    def boast(request: Request, reply: Reply) -> Reply:
        if request.task != "statistics" or reply.client != "d":
            return reply
        rows = np.array([1e200, 0.0, 1e200])
        return replace(reply, arrays={**reply.arrays, "rows": rows}, numbers={"num_rows": 1e200})

    model = train(boast, NEWTON)
    assert "statistics of 1e+200 rows" in model.records[0].absences["d"]


def test_bins_of_scores_are_as_many_as_agreed() -> None:
    empty = np.zeros(NUM_BINS, dtype=np.int64)
    assert impossibility(ScoreSums(0, 0, 0, 0, empty, empty)) == ""
