"""Federated training: equal to pooled training at any skew, and loud about absent clients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fedchurn.data.client_table import VALIDATION
from fedchurn.errors import FederationError, QuorumError
from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.sums import add_sums
from fedchurn.federation.algorithms.newton import Newton
from fedchurn.federation.client.newton_sums import newton_sums
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.direct_exchange import DirectExchange, not_connected
from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.simulation.exchange import SimulationExchange
from fedchurn.federation.simulation.rows import SimulatedRows
from fedchurn.federation.simulation.tasks import bulk_tasks
from fedchurn.federation.training import train_half
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.scoring import evaluate
from fedchurn.federation.training.train import TrainedModel, train_federated
from fedchurn.learning.recipe import Recipe
from tests.unit.federation.clients import CONTRACT, Altered, Broken, federation, joined, table

NEWTON = Recipe.model_validate(
    {
        "name": "additive",
        "encoder": {"num_knots": 3},
        "phases": [{"strategy": "newton", "num_rounds": 8, "ridges": [3.0, 0.3], "min_gain": 0}],
    }
)
TABLES = [table("a", 300, 1), table("b", 200, 2), table("c", 120, 3)]


def trained(exchange: DirectExchange, recipe: Recipe = NEWTON, **policy: Any) -> TrainedModel:
    return train_federated(exchange, CONTRACT, recipe, RoundPolicy(**policy), min_cell_rows=1)


def test_newton_sums_by_hand() -> None:
    inputs = np.array([[1.0], [-1.0]], dtype=np.float32)
    sums = newton_sums(np.zeros((1, 2)), inputs, np.array([1, 0], dtype=np.int8))
    assert sums["newton.loss"].tolist() == pytest.approx([2 * np.log(2)])
    assert sums["newton.gradient"].tolist() == [[-1.0, 0.0]]
    assert sums["newton.hessian"].tolist() == [[[0.5, 0.0], [0.0, 0.5]]]


def test_three_clients_give_the_model_of_their_pooled_rows() -> None:
    apart = trained(federation(TABLES))
    pooled = trained(federation([joined(TABLES, "all")]))
    assert apart.encoder == pooled.encoder
    for mine, theirs in zip(apart.weights, pooled.weights, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_the_gradient_vanishes_at_the_result() -> None:
    recipe = NEWTON.model_copy(
        update={
            "phases": (
                NEWTON.phases[0].model_copy(update={"ridges": (1.0,), "patience_rounds": None}),
            )
        }
    )
    model = trained(federation(TABLES), recipe)
    weights = np.concatenate([model.weights[0][:, 0], model.weights[1]]).astype(np.float64)
    parts = [t.part(0) for t in TABLES]
    gradient = sum(
        newton_sums(weights[None], model.encoder.encode(p.columns), p.target)["newton.gradient"][0]
        for p in parts
    )
    gradient = gradient + np.append(weights[:-1], 0)
    assert np.abs(gradient).max() < 1e-2


def test_equal_seeds_give_equal_bytes() -> None:
    first, second = trained(federation(TABLES)), trained(federation(TABLES[::-1]))
    assert [w.tobytes() for w in first.weights] == [w.tobytes() for w in second.weights]


def test_the_best_round_is_kept_and_beats_the_start() -> None:
    model = trained(federation(TABLES))
    losses = [r.validation["log_loss"] for r in model.records]
    assert losses[model.best_round_num] == min(losses) < losses[0]
    assert model.records[model.best_round_num].is_best


def test_a_refit_uses_validation_rows_and_leaves_the_selection_model_alone() -> None:
    phase = NEWTON.phases[0].model_copy(update={"refit_rounds": 3})
    model = trained(federation(TABLES), NEWTON.model_copy(update={"phases": (phase,)}))
    plain = trained(federation(TABLES))
    assert [w.tobytes() for w in model.selection_weights] == [w.tobytes() for w in plain.weights]
    assert model.weights[0].tobytes() != plain.weights[0].tobytes()
    assert [r.strategy for r in model.records[-3:]] == ["newton refit"] * 3


def test_every_client_has_its_own_numbers_in_every_round() -> None:
    record = trained(federation(TABLES)).records[1]
    assert record.participants == ("a", "b", "c")
    assert record.per_client["b"]["num_rows"] == TABLES[1].part(0).num_rows
    assert 0 < record.per_client["c"]["validation_log_loss"] < 2


def test_the_model_ranks_unseen_rows() -> None:
    model = trained(federation(TABLES))
    sums = evaluate(
        federation(TABLES),
        RoundPolicy(),
        model.spec,
        [model.weights],
        model.encoder.to_json(),
        "test",
    ).sums[0]
    assert metrics(add_sums(sums.values())).roc_auc > 0.65


def test_an_absent_client_ends_training_by_default_and_is_named_with_its_reason() -> None:
    handlers = {t.client: ClientSession(t, CONTRACT) for t in TABLES[:2]}
    with pytest.raises(QuorumError, match=r"2 of 3 .*c: .*disk gone"):
        trained(DirectExchange({**handlers, "c": Broken()}))


def test_below_full_quorum_training_goes_on_and_says_who_was_absent() -> None:
    handlers = {t.client: ClientSession(t, CONTRACT) for t in TABLES[:2]}
    model = trained(DirectExchange({**handlers, "c": Broken()}), quorum_fraction=0.6)
    assert all("disk gone" in r.absences["c"] for r in model.records[1:])
    assert model.records[1].participants == ("a", "b")


class Leaving(ClientSession):
    """A client that is there for some rounds only."""

    def __init__(self, there: Callable[[int], bool]) -> None:
        super().__init__(TABLES[2], CONTRACT)
        self._there = there

    def handle(self, request: Request) -> Reply:
        if not self._there(request.round_num):
            raise TimeoutError("gone")
        return super().handle(request)


@pytest.mark.parametrize(
    "there",
    [lambda n: n < 1, lambda n: n != 1, lambda n: n % 2 == 0, lambda n: n in (0, 8)],
    ids=["leaves", "misses the first", "every other", "returns for the last"],
)
def test_the_model_is_not_that_of_the_last_round_in_which_all_were_there(
    there: Callable[[int], bool],
) -> None:
    handlers = {t.client: ClientSession(t, CONTRACT) for t in TABLES[:2]}
    model = trained(DirectExchange({**handlers, "c": Leaving(there)}), quorum_fraction=0.6)
    assert model.best_round_num > 1
    assert np.any(model.weights[0])
    assert model.records[model.best_round_num].validation["log_loss"] < 0.46


def test_who_misses_any_question_of_an_evaluation_is_absent() -> None:
    def forgetful(request: Request, reply: Reply) -> Reply:
        asked = (request.task, request.config.get("split"), request.round_num)
        if asked == ("evaluate", "train", 2):
            raise OSError("disk gone")
        return reply

    handlers = {t.client: ClientSession(t, CONTRACT) for t in TABLES[:2]}
    bad = Altered(ClientSession(TABLES[2], CONTRACT), forgetful)
    newton = NEWTON.phases[0].model_copy(update={"num_rounds": 2})
    recipe = NEWTON.model_copy(update={"phases": (newton,)})
    model = trained(DirectExchange({**handlers, "c": bad}), recipe, quorum_fraction=0.6)
    assert [dict(r.absences) for r in model.records[:2]] == [{}, {}]
    assert model.records[2].absences == {"c": "evaluation: OSError: disk gone"}


def test_a_metric_that_validation_rows_do_not_define_is_told_instead_of_keeping_the_start() -> None:
    rows = table("a", 300, 1)
    loyal = np.where(rows.split == VALIDATION, 0, rows.target).astype(np.int8)
    phase = NEWTON.phases[0].model_copy(update={"metric": "roc_auc"})
    with pytest.raises(FederationError, match="roc_auc of 60 validation rows, 0 of them"):
        trained(
            federation([replace(rows, target=loyal)]),
            NEWTON.model_copy(update={"phases": (phase,)}),
        )


class Unreached(DirectExchange):
    """One client is known, and not there."""

    def ask(
        self,
        request: Request,
        clients: Sequence[str] | None = None,
        timeout_seconds: float = 600.0,
    ) -> tuple[Reply, ...]:
        asked = self.clients() if clients is None else clients
        here = super().ask(request, [c for c in asked if c != "c"], timeout_seconds)
        return (*here, not_connected("c")) if "c" in asked else here


def test_who_is_not_connected_was_sent_no_bytes() -> None:
    handlers = {t.client: ClientSession(t, CONTRACT) for t in TABLES}
    record = trained(Unreached(handlers), quorum_fraction=0.6).records[1]
    assert sorted(record.client_bytes_down) == ["a", "b"]
    assert record.bytes_down == sum(record.client_bytes_down.values())


def test_one_sum_of_many_clients_costs_what_their_answers_cost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tables = {t.client: t for t in TABLES}
    apart = trained(federation(TABLES)).records[1]
    monkeypatch.setattr(train_half, "MANY_CLIENTS", 2)
    bulk = bulk_tasks(SimulatedRows(tables.__getitem__))
    exchange = SimulationExchange(
        list(tables), lambda c: ClientSession(tables[c], CONTRACT), bulk=bulk
    )
    summed = train_federated(exchange, CONTRACT, NEWTON, RoundPolicy(), min_cell_rows=1).records[1]
    assert summed.participants == ("a", "b", "c")
    assert (summed.bytes_up, summed.bytes_down) == (apart.bytes_up, apart.bytes_down)
    assert (summed.client_bytes_up, summed.client_bytes_down) == ({}, {})


def test_nan_in_an_update_is_quarantined_with_the_reason() -> None:
    def poisoned(request: Request, reply: Reply) -> Reply:
        if request.task != "newton":
            return reply
        gradient = np.full_like(reply.arrays["newton.gradient"], np.nan)
        return replace(reply, arrays={**reply.arrays, "newton.gradient": gradient})

    handlers = {t.client: ClientSession(t, CONTRACT) for t in TABLES[:2]}
    bad = Altered(ClientSession(TABLES[2], CONTRACT), poisoned)
    model = trained(DirectExchange({**handlers, "c": bad}), quorum_fraction=0.6)
    assert "NaN" in model.records[1].quarantined["c"]
    assert np.isfinite(model.weights[0]).all()


def test_a_wild_norm_is_quarantined_with_its_size() -> None:
    def huge(request: Request, reply: Reply) -> Reply:
        if request.task != "newton":
            return reply
        gradient = 1e6 * np.asarray(reply.arrays["newton.gradient"])
        return replace(reply, arrays={**reply.arrays, "newton.gradient": gradient})

    handlers = {t.client: ClientSession(t, CONTRACT) for t in TABLES[:2]}
    bad = Altered(ClientSession(TABLES[2], CONTRACT), huge)
    exchange = DirectExchange({**handlers, "c": bad})
    model = trained(exchange, quorum_fraction=0.6)
    assert "newton.gradient holds" in model.records[1].quarantined["c"]
    unaudited = trained(exchange, quorum_fraction=0.6, audit="off")
    assert "times the median" in unaudited.records[1].quarantined["c"]


def test_diverging_steps_are_damped() -> None:
    # One-sided rows make undamped Newton overshoot; the objective must never end above its start.
    few = [table("a", 40, 5)]
    phase = NEWTON.phases[0].model_copy(update={"ridges": (1e-4,), "patience_rounds": None})
    model = trained(federation(few), NEWTON.model_copy(update={"phases": (phase,)}))
    assert all(np.isfinite(r.train["loss"]) for r in model.records[1:])
    assert model.records[-1].train["loss"] <= model.records[1].train["loss"]


def test_reference_strategies_learn(strategy_name: str) -> None:
    recipe = Recipe.model_validate(
        {
            "name": "small",
            "encoder": {"basis": "linear", "scaling": "minmax"},
            "phases": [
                {
                    "strategy": strategy_name,
                    "num_rounds": 4,
                    "hidden": [{"units": 8}],
                    "batch_size": 16,
                    "server_learning_rate": 0.05
                    if strategy_name in ("fedadam", "fedyogi")
                    else 1.0,
                    "proximal_mu": 0.1 if strategy_name == "fedprox" else 0.0,
                }
            ],
        }
    )
    model = trained(federation(TABLES), recipe)
    losses = [r.validation["log_loss"] for r in model.records]
    assert min(losses[1:]) < losses[0]


@pytest.fixture(params=["fedavg", "fedprox", "fedavgm", "fedadam", "fedyogi"])
def strategy_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_the_residual_starts_as_the_additive_model_and_is_kept_only_if_better() -> None:
    recipe = Recipe.model_validate(
        {
            "name": "additive+residual",
            "encoder": {"num_knots": 3},
            "phases": [
                NEWTON.phases[0].model_dump(),
                {
                    "strategy": "fedavg",
                    "num_rounds": 3,
                    "hidden": [{"units": 4}],
                    "linear": True,
                    "frozen_linear": True,
                    "batch_size": 32,
                },
            ],
        }
    )
    additive, both = trained(federation(TABLES)), trained(federation(TABLES), recipe)
    assert both.spec.linear
    assert both.spec.hidden[0].units == 4
    assert both.weights[0].tobytes() == additive.weights[0].tobytes()
    losses = [r.validation["log_loss"] for r in both.records]
    assert losses[both.best_round_num] <= min(r.validation["log_loss"] for r in additive.records)
    assert [r.round_num for r in both.records] == list(range(len(both.records)))


def test_a_client_unlike_the_others_is_not_wild_near_the_optimum() -> None:
    algorithm = Newton("{}", 1, (1.0,))
    state = algorithm.start()

    def reply(client: str, gradient: float) -> Reply:
        arrays = {"newton.gradient": np.array([[gradient, 0.0]])}
        return Reply(client, arrays, {"num_rows": 10.0})

    lengths = [algorithm.update_norm(state, reply(c, g)) for c, g in (("a", 1e-4), ("b", 1.0))]
    assert lengths == [pytest.approx(0.02), pytest.approx(0.1)]
    assert lengths[1] < RoundPolicy().max_norm_ratio * lengths[0]
