"""SCAFFOLD ends at the optimum of all clients where FedAvg drifts off it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from fedchurn.errors import SettingsError
from fedchurn.federation.algorithms.local_training import LocalTraining
from fedchurn.federation.algorithms.of_phase import check_recipe
from fedchurn.federation.algorithms.scaffold import Controls, Scaffold
from fedchurn.federation.client.update import UpdateRules
from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.training.checkpoint import Progress, progress_from_bytes, progress_to_bytes
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.state import RoundState
from fedchurn.federation.training.train import train_federated
from fedchurn.federation.updates import CORRECTION, UPDATE
from fedchurn.learning.recipe import Recipe
from fedchurn.learning.spec import ModelSpec
from tests.unit.federation.clients import CONTRACT, federation, table

# Client i minimises a_i (w - m_i)^2 / 2. The sum is least at sum(a m) / sum(a) = 10 / 11.
CURVATURE = {"flat": 1.0, "steep": 10.0}
MINIMUM = {"flat": 0.0, "steep": 1.0}
OPTIMUM = 10 / 11
NUM_STEPS, RATE = 10, 0.05
SIZE = 2  # kernel and bias; the bias has no gradient


def algorithm(kind: type[LocalTraining], **settings: object) -> LocalTraining:
    return kind(
        strategy="scaffold",
        spec=ModelSpec(1),
        encoder_json="{}",
        first_weights=(np.zeros((1, 1), np.float32), np.zeros(1, np.float32)),
        epochs={"epochs": NUM_STEPS, "batch_size": 8, "learning_rate": RATE},
        **settings,  # type: ignore[arg-type]
    )


def answer(request: Request, client: str, num_rows: int = 5) -> Reply:
    """``NUM_STEPS`` gradient steps of one client: one batch an epoch."""
    own = request.for_client(client).arrays
    before = float(np.asarray(own["candidate_0.linear.kernel"])[0, 0])
    correction = float(np.asarray(own.get(CORRECTION, np.zeros(SIZE)))[0])
    weight = before
    for _ in range(NUM_STEPS):
        weight -= RATE * (CURVATURE[client] * (weight - MINIMUM[client]) + correction)
    numbers = {"num_rows": float(num_rows), "loss_sum": 0.0, "num_right": 0.0}
    return Reply(client, {UPDATE: np.array([weight - before, 0.0], np.float32)}, numbers)


def play(one: LocalTraining, state: RoundState, clients: Sequence[str]) -> RoundState:
    request = one.request(state)
    candidates, memory = one.step(state, [answer(request, client) for client in clients])
    return replace(state, round_num=state.round_num + 1, candidates=candidates, memory=memory)


def weight_after(one: LocalTraining, num_rounds: int) -> float:
    state = one.start()
    for _ in range(num_rounds):
        state = play(one, state, ("flat", "steep"))
    return float(state.candidates[0][0][0, 0])


def test_fedavg_drifts_to_where_the_clients_steps_cancel() -> None:
    # 0.95^10 of the way to 0 and 0.5^10 of that to 1 remain: w = 0.999 / (0.401 + 0.999)
    gone = {client: 1 - (1 - RATE * a) ** NUM_STEPS for client, a in CURVATURE.items()}
    drifted = gone["steep"] / (gone["flat"] + gone["steep"])
    assert weight_after(algorithm(LocalTraining), 60) == pytest.approx(drifted, abs=1e-5)
    assert abs(drifted - OPTIMUM) > 0.19


def test_scaffold_ends_at_the_optimum_of_all_clients() -> None:
    assert weight_after(algorithm(Scaffold), 60) == pytest.approx(OPTIMUM, abs=1e-4)


def test_shares_of_the_mean_weigh_the_optimum_too() -> None:
    one, clients = algorithm(Scaffold), {"flat": 30, "steep": 10}
    one = replace(one, epochs={**one.epochs, "batch_size": 30})
    state = one.start()
    for _ in range(120):
        request = one.request(state)
        replies = [answer(request, client, rows) for client, rows in clients.items()]
        candidates, memory = one.step(state, replies)
        state = replace(state, candidates=candidates, memory=memory)
    assert float(state.candidates[0][0][0, 0]) == pytest.approx(10 / (3 * 1 + 10), abs=1e-4)


def test_the_first_control_is_the_clients_mean_gradient() -> None:
    one = algorithm(Scaffold)
    controls = Controls.of(play(one, one.start(), ("steep",)).memory)
    path = [1 - 0.5**step for step in range(NUM_STEPS)]
    assert controls.clients == ("steep",)
    expected = np.mean([10 * (weight - 1) for weight in path])
    np.testing.assert_allclose(controls.each[0], [expected, 0], rtol=1e-5)


def test_a_client_that_is_new_gets_no_correction_and_one_that_rests_keeps_its_own() -> None:
    one = algorithm(Scaffold)
    first = play(one, one.start(), ("steep",))
    assert CORRECTION not in one.request(first).for_client("flat").arrays
    # c is the mean over those that took part: of one client it is its own, and nothing is added.
    np.testing.assert_allclose(one.request(first).own_arrays["steep"][CORRECTION], 0, atol=1e-6)
    second = Controls.of(play(one, first, ("flat",)).memory)
    assert second.clients == ("flat", "steep")
    np.testing.assert_array_equal(second.each[1], Controls.of(first.memory).each[0])
    np.testing.assert_allclose(second.mean(), second.each.mean(axis=0), rtol=1e-6)


def test_bytes_down_count_the_correction() -> None:
    one = algorithm(Scaffold)
    state = play(one, one.start(), ("steep",))
    request = one.request(state)
    assert request.num_bytes_for("steep") - request.num_bytes_for("flat") == 4 * SIZE


def test_a_checkpoint_goes_on_with_equal_bytes() -> None:
    one = algorithm(Scaffold)
    state = play(one, one.start(), ("flat", "steep"))
    for now in (one.start(), state):
        stored = progress_from_bytes(progress_to_bytes(Progress({}, {}, state=now))).state
        assert stored is not None
        assert stored.digest() == now.digest()
        both = [play(one, begun, ("flat", "steep")) for begun in (now, stored)]
        assert both[0].digest() == both[1].digest()


def recipe(**phase: object) -> Recipe:
    base = {"strategy": "scaffold", "num_rounds": 3, "hidden": [], "linear": True}
    sgd = {"optimizer": "sgd", "client_learning_rate": 0.1, "batch_size": 16, "num_epochs": 2}
    encoder = {"basis": "linear", "scaling": "minmax"}
    return Recipe.model_validate(
        {"name": "small", "encoder": encoder, "phases": [{**base, **sgd, **phase}]}
    )


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"optimizer": "adam"}, "sgd"),
        ({"proximal_mu": 0.1}, "proximal"),
        ({"clip_norm": 1.0}, "clip_norm"),
        ({"compression": "top_k"}, "fp16"),
        ({"server_momentum": 0.9}, "server_momentum"),
    ],
    ids=["adam", "proximal", "clip", "top_k", "momentum"],
)
def test_what_scaffold_cannot_work_with_is_refused(setting: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        check_recipe(recipe(**setting))


def test_secure_aggregation_is_refused_with_the_reason() -> None:
    check_recipe(recipe())
    with pytest.raises(SettingsError, match="secure aggregation shows their sum only"):
        check_recipe(recipe(), summed=True)


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ({"strategy": "fedavg", "proximal_mu": 0.1}, "choose fedprox"),
        ({"strategy": "fedprox"}, "is fedavg"),
        ({"strategy": "fedavg", "server_momentum": 0.5}, "server_momentum"),
        ({"strategy": "fedadam", "server_momentum": 0.5}, "server_momentum"),
        ({"strategy": "fedyogi", "trim_fraction": 0.1}, "trim_fraction"),
    ],
    ids=["mu", "no mu", "fedavg momentum", "fedadam momentum", "trim"],
)
def test_settings_of_another_strategy_end_before_any_client_is_asked(
    phase: dict[str, object], words: str
) -> None:
    class Nobody:
        def clients(self) -> tuple[str, ...]:
            raise AssertionError("asked")

        def ask(self, *_: object, **__: object) -> tuple[Reply, ...]:
            raise AssertionError("asked")

    newton = {"strategy": "newton", "num_rounds": 1}
    both = Recipe.model_validate(
        {
            "name": "two",
            "phases": [newton, {"optimizer": "sgd", "hidden": [{"units": 2}], **phase}],
        }
    )
    with pytest.raises(SettingsError, match=words):
        train_federated(Nobody(), CONTRACT, both, RoundPolicy())


def test_it_trains_over_an_exchange_with_clients_drawn_per_round() -> None:
    tables = [table("a", 60, 1), table("b", 90, 2), table("c", 40, 3)]
    clients = federation(tables)
    model = train_federated(
        clients, CONTRACT, recipe(num_rounds=6, clients_per_round=2), RoundPolicy(), seed=1
    )
    losses = [record.validation["log_loss"] for record in model.records]
    assert losses[-1] < losses[0]
    assert all(len(record.participants) == 2 for record in model.records[1:])
    size = sum(array.size for array in model.weights)
    down = [max(record.client_bytes_down.values()) for record in model.records[1:]]
    assert down[0] == 4 * size  # nobody has a correction in round 1
    assert max(down) == 8 * size


def test_fp16_updates_are_allowed() -> None:
    rules = UpdateRules(compression="fp16")
    assert weight_after(algorithm(Scaffold, rules=rules), 60) == pytest.approx(OPTIMUM, abs=1e-3)
    check_recipe(recipe(compression="fp16"))
