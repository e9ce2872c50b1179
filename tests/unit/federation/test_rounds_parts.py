"""Parts of a round: rare inputs, near candidates, rosters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.errors import SettingsError
from fedchurn.federation.algorithms.of_phase import check_recipe
from fedchurn.federation.client.newton_sums import newton_sums, without_rare_inputs
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.judge_half import is_better, mean_weights, near_best
from fedchurn.federation.training.state import BestRound
from fedchurn.federation.training.train import train_federated
from fedchurn.learning.recipe import Recipe
from tests.unit.federation.clients import CONTRACT, table


def test_an_input_that_fewer_than_k_rows_hold_is_left_out() -> None:
    inputs = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 0]], dtype=np.float32)
    assert without_rare_inputs(inputs, 2).tolist() == [[0, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert without_rare_inputs(inputs, 1) is inputs


@given(st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_no_hessian_cell_of_an_input_stands_for_fewer_than_k_rows(k: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    inputs = (generator.random((20, 8)) < 0.2).astype(np.float32)
    kept = without_rare_inputs(inputs, k)
    hessian = newton_sums(np.zeros((1, 9)), kept, np.zeros(20, np.int8))["newton.hessian"][0]
    held = 4 * np.diag(hessian)[:-1]
    assert ((held == 0) | (held >= k)).all()


def test_near_candidates_are_those_within_the_share() -> None:
    assert near_best([0.30, 0.20, 0.209, 0.22], 0.05) == (1, 2)
    assert near_best([0.30, 0.20, 0.209], 0.0) == (1,)
    assert near_best([-0.80, -0.90, -0.89], 0.02) == (1, 2)  # a metric to be raised, negated


def test_models_are_averaged_array_by_array() -> None:
    one = (np.float32([[1], [3]]), np.float32([0]))
    two = (np.float32([[3], [5]]), np.float32([1]))
    kernel, bias = mean_weights([one, two])
    assert kernel.tolist() == [[2], [4]]
    assert bias.tolist() == [0.5]
    assert kernel.dtype == np.float32


def best(value: float, *clients: str) -> BestRound:
    return BestRound(1, (0,), value, (), (), clients)


def test_values_of_different_clients_are_not_compared() -> None:
    assert is_better(best(0.3, "a", "b"), best(0.4, "a", "b"), 0.0)
    assert not is_better(best(0.1, "a"), best(0.4, "a", "b"), 0.0)
    assert is_better(best(0.9, "a", "b"), best(0.4, "a"), 0.0)


def test_a_client_away_for_one_round_does_not_stop_newton() -> None:
    recipe = Recipe.model_validate(
        {
            "name": "n",
            "encoder": {"num_knots": 3},
            "phases": [{"strategy": "newton", "num_rounds": 8, "ridges": [1.0]}],
        }
    )
    tables = [table("a", 300, 1), table("b", 200, 2)]

    class Away(ClientSession):
        def handle(self, request: Request) -> Reply:
            if (request.task, request.round_num) == ("newton", 1):
                raise TimeoutError("asleep")
            return super().handle(request)

    def losses(second: ClientSession) -> list[float]:
        exchange = DirectExchange({"a": ClientSession(tables[0], CONTRACT), "b": second})
        model = train_federated(exchange, CONTRACT, recipe, RoundPolicy(quorum_fraction=0.5))
        return [record.validation["log_loss"] for record in model.records]

    undisturbed = losses(ClientSession(tables[1], CONTRACT))
    disturbed = losses(Away(tables[1], CONTRACT))
    assert abs(disturbed[-1] - undisturbed[-1]) < 1e-3


def test_a_reply_of_the_test_rows_is_refused_in_training() -> None:
    session = ClientSession(table("a", 100, 1), CONTRACT)
    exchange = DirectExchange({"a": session})
    request = Request("newton", 1, config={"encoder": "{}", "split": "test", "min_cell_rows": 5})
    (reply,) = exchange.ask(replace(request, arrays={"newton.weights": np.zeros((1, 2))}))
    assert "'test' rows is refused" in reply.error


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"keep": "last", "patience_rounds": 2}, "patience_rounds 2 waits for a better round"),
        ({"keep_fraction": 0.5}, "keep_fraction 0.5 does nothing with compression none"),
        ({"keep_fraction": 0.5, "compression": "fp16"}, "does nothing with compression fp16"),
    ],
)
def test_a_setting_that_would_do_nothing_is_refused(setting: dict[str, object], told: str) -> None:
    phase = {"strategy": "fedavg", **setting}
    with pytest.raises(SettingsError, match=told):
        check_recipe(Recipe.model_validate({"name": "n", "phases": [phase]}))


def test_patience_counts_rounds_not_evaluations() -> None:
    class Still(ClientSession):
        def handle(self, request: Request) -> Reply:
            if request.task != "local_epochs":
                return super().handle(request)
            size = sum(array.size for array in request.arrays.values())
            numbers = {"num_rows": 60.0, "loss_sum": 1.0, "num_right": 1.0}
            return Reply("a", {"update": np.zeros(size, np.float32)}, numbers)

    phase = {
        "strategy": "fedavg",
        "num_rounds": 40,
        "hidden": [{"units": 2}],
        "evaluate_every": 5,
        "patience_rounds": 10,
    }
    rows = table("a", 100, 1)
    rows = replace(rows, split=np.repeat([0, 1, 2], [60, 20, 20]).astype(np.int8))
    exchange = DirectExchange({"a": Still(rows, CONTRACT)})
    recipe = Recipe.model_validate({"name": "n", "phases": [phase]})
    model = train_federated(exchange, CONTRACT, recipe, RoundPolicy(), min_cell_rows=1)
    assert model.records[-1].round_num == 10
    assert [r.round_num for r in model.records if r.validation] == [0, 5, 10]
