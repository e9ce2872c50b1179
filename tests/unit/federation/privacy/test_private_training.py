"""Private trainings over real client sessions: who is asked, what leaves, what is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedchurn.errors import PrivacyError
from fedchurn.federation.algorithms.local_training import LocalTraining
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.exchange import TOGETHER, Arrays, Reply, Request
from fedchurn.federation.privacy.private_training import CLIP_NORM, KEY, PrivateTraining
from fedchurn.federation.privacy.terms import PrivateTerms, agree_terms, private_recipe
from fedchurn.federation.training.checkpoint import Progress, progress_from_bytes, progress_to_bytes
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.train import train_federated
from fedchurn.federation.training.train_half import train_round
from fedchurn.federation.updates import UPDATE
from fedchurn.learning.recipe import Recipe
from fedchurn.learning.spec import ModelSpec
from fedchurn.privacy.policy import PrivacySettings
from fedchurn.privacy.spending import Spending
from tests.unit.federation.clients import CONTRACT, federation, table

CLIENTS = ("a", "b", "c", "d")
SPEC = ModelSpec(2)


def recipe(**changes: object) -> Recipe:
    phase = {
        "strategy": "fedavg",
        "num_rounds": 2,
        "hidden": [],
        "linear": True,
        "optimizer": "sgd",
        "batch_size": 64,
        **changes,
    }
    return Recipe.model_validate({"name": "r", "phases": [phase]})


def terms(**changes: object) -> PrivateTerms:
    base = PrivateTerms(PrivacySettings(mode="central", clip_norm=1.0), CLIENTS, 5, 1.0, 0.5)
    return replace(base, **changes)  # type: ignore[arg-type]


def training(agreed: PrivateTerms, strategy: str = "fedavg") -> PrivateTraining:
    zeros = (np.zeros((2, 1), np.float32), np.zeros(1, np.float32))
    return PrivateTraining(LocalTraining(strategy, SPEC, "{}", zeros, {}), agreed)


def reply(client: str, update: list[float], **numbers: float) -> Reply:
    return Reply(client, {UPDATE: np.array(update)}, numbers)


def test_the_mean_is_over_clients_expected_whoever_came_and_however_many_rows_they_have() -> None:
    algorithm = training(terms(noise_multiplier=1e-12))
    replies = [reply("a", [3.0, 4.0, 0.0], num_rows=1.0), reply("b", [0.0, 0.2, 0.0], num_rows=9e9)]
    (weights,), _ = algorithm.step(algorithm.start(), replies)
    # The first is clipped from length 5 to 1, and the sum is divided by all four clients.
    assert weights[0][:, 0] == pytest.approx([0.6 / 4, (0.8 + 0.2) / 4])


def test_a_masked_sum_gives_what_single_updates_give() -> None:
    algorithm = training(terms())
    state = algorithm.start()
    single = [reply("a", [0.6, 0.0, 0.0]), reply("b", [0.0, 0.5, 0.1])]
    summed = [Reply(TOGETHER, {UPDATE: np.array([0.6, 0.5, 0.1])}, members=("a", "b"))]
    (alone,), _ = algorithm.step(state, single)
    (together,), _ = algorithm.step(state, summed)
    assert alone[0] == pytest.approx(together[0])


def test_noise_is_in_every_weight_even_when_nobody_is_drawn() -> None:
    algorithm = training(terms())
    (weights,), _ = algorithm.step(algorithm.start(), [])
    assert np.all(np.concatenate([w.ravel() for w in weights]) != 0)


def test_a_state_that_was_kept_and_read_again_draws_the_same_noise_and_clients() -> None:
    algorithm = training(terms(sampling_rate=0.5))
    state = algorithm.start()
    kept = progress_from_bytes(progress_to_bytes(Progress({}, {}, state=state))).state
    assert kept is not None
    replies = [reply("a", [0.1, 0.2, 0.3])]
    first, _ = algorithm.step(state, replies)
    again, _ = algorithm.step(kept, replies)
    assert [w.tobytes() for w in first[0]] == [w.tobytes() for w in again[0]]
    assert algorithm.cohort(state, CLIENTS) == algorithm.cohort(kept, CLIENTS)


def test_two_trainings_of_equal_seed_have_other_keys() -> None:
    algorithm = training(terms())
    first, second = algorithm.start(), algorithm.start()
    assert bytes(np.asarray(first.memory[KEY])) != bytes(np.asarray(second.memory[KEY]))


def test_each_client_is_drawn_by_itself_with_the_sampling_rate() -> None:
    names = tuple(f"c{n:03d}" for n in range(400))
    algorithm = training(terms(clients=names, sampling_rate=0.3))
    state = algorithm.start()
    sizes = [len(algorithm.cohort(replace(state, round_num=n), names) or ()) for n in range(20)]
    # 120 expected, standard deviation 9.2 a round, 2.0 over 20 rounds.
    assert np.mean(sizes) == pytest.approx(120, abs=12)
    assert len(set(sizes)) > 1


def test_nobody_is_refused_for_what_others_sent() -> None:
    algorithm = training(terms())
    state = algorithm.start()
    lengths = [algorithm.update_norm(state, reply("a", [size, 0, 0])) for size in (1e-9, 1e9)]
    assert lengths == [1.0, 1.0]


def test_the_clip_norm_moves_with_the_count_and_is_kept() -> None:
    settings = PrivacySettings(mode="central", clip_norm=1.0, adaptive_clipping=True)
    algorithm = training(terms(settings=settings, noise_multiplier=1e-9))
    replies = [reply(c, [0.1, 0.0, 0.0], num_short=1.0) for c in CLIENTS]
    _, memory = algorithm.step(algorithm.start(), replies)
    assert float(memory[CLIP_NORM]) == pytest.approx(np.exp(-0.2 * 0.5))


def test_a_liar_about_its_length_counts_as_one_client() -> None:
    settings = PrivacySettings(mode="central", clip_norm=1.0, adaptive_clipping=True)
    algorithm = training(terms(settings=settings, noise_multiplier=1e-9))
    state = algorithm.start()
    honest = [reply(c, [0.1, 0.0, 0.0], num_short=1.0) for c in CLIENTS]
    lying = [replace(honest[0], numbers={"num_short": 1e9}), *honest[1:]]
    assert algorithm.step(state, lying)[1][CLIP_NORM] == algorithm.step(state, honest)[1][CLIP_NORM]


class Watched:
    """An exchange that remembers what went through it."""

    def __init__(self, inner: DirectExchange) -> None:
        self.inner = inner
        self.asked: list[Request] = []
        self.replies: list[Reply] = []

    def clients(self) -> tuple[str, ...]:
        return self.inner.clients()

    def ask(
        self,
        request: Request,
        clients: tuple[str, ...] | None = None,
        timeout_seconds: float = 600.0,
    ) -> tuple[Reply, ...]:
        self.asked.append(request)
        replies = self.inner.ask(request, clients, timeout_seconds)
        self.replies += replies
        return replies

    def updates(self) -> list[Arrays]:
        return [r.arrays for r in self.replies if UPDATE in r.arrays]


def watched() -> Watched:
    return Watched(federation([table(c, 60, n) for n, c in enumerate(CLIENTS)]))


@pytest.mark.parametrize("mode", ["central", "local"])
def test_a_private_training_asks_for_no_statistics_and_keeps_the_last_round(mode: str) -> None:
    exchange = watched()
    privacy = PrivacySettings.model_validate({"mode": mode, "clip_norm": 0.1})
    agreed = agree_terms(privacy, recipe(), CLIENTS, {}, 1.0)
    planned = private_recipe(privacy, recipe(patience_rounds=1))
    model = train_federated(exchange, CONTRACT, planned, RoundPolicy(), private=agreed)
    assert {request.task for request in exchange.asked} == {"local_epochs", "evaluate"}
    assert model.best_round_num == 2
    assert model.client_statistics == {}
    assert model.records[2].notes["epsilon"] == pytest.approx(8.0, abs=1e-3)
    assert model.records[1].notes["epsilon"] < model.records[2].notes["epsilon"]
    lengths = [float(np.linalg.norm(np.asarray(a[UPDATE]))) for a in exchange.updates()]
    if mode == "central":
        assert max(lengths) <= 0.1 * (1 + 1e-6)
    else:
        assert min(lengths) > 0.1  # noise of twice the clip norm times the multiplier
        trained = [r for r in exchange.replies if UPDATE in r.arrays]
        assert all(dict(r.numbers) == {} for r in trained)


def test_no_request_holds_the_key() -> None:
    algorithm = training(terms())
    state = algorithm.start()
    request = algorithm.request(state)
    assert set(request.arrays) == {"candidate_0.linear.kernel", "candidate_0.linear.bias"}
    key = bytes(np.asarray(state.memory[KEY]))
    assert key.hex() not in repr(request.config)
    assert set(algorithm.notes(state)) == {"clip_norm", "noise_multiplier", "epsilon"}


def test_a_round_that_draws_nobody_is_played() -> None:
    exchange = watched()
    privacy = PrivacySettings(mode="central")
    agreed = replace(agree_terms(privacy, recipe(), CLIENTS, {}, 1.0), sampling_rate=1e-12)
    algorithm = training(agreed)
    state, record = train_round(algorithm.start(), algorithm, exchange, RoundPolicy())
    assert exchange.asked == []
    assert (state.round_num, record.participants) == (1, ())


def test_a_client_without_budget_is_left_out_and_the_noise_is_that_of_the_rest() -> None:
    privacy = PrivacySettings(mode="central", epsilon=4.0, client_budget_epsilon=5.0)
    spent = {"b": [Spending("central", 1, 1.0)]}  # epsilon 4.38
    drawn = recipe(clients_per_round=2)
    agreed = agree_terms(privacy, drawn, CLIENTS, spent, 0.5)
    assert agreed.clients == ("a", "c", "d")
    assert "4.38 of epsilon 5 is spent" in agreed.left_out["b"]
    assert agreed.sampling_rate == pytest.approx(2 / 3)
    assert agreed.expected_clients == pytest.approx(2.0)
    assert agreed.epsilon_after(2) <= 4.0


def test_a_training_without_quorum_is_refused_with_figures() -> None:
    privacy = PrivacySettings(mode="central", epsilon=4.0, client_budget_epsilon=5.0)
    spent = {client: [Spending("central", 1, 1.0)] for client in CLIENTS}
    with pytest.raises(PrivacyError, match="0 of 4 clients have enough") as refused:
        agree_terms(privacy, recipe(), CLIENTS, spent, 0.5)
    assert "4.38 of epsilon 5 is spent" in refused.value.what
    assert "and 1 more" in refused.value.what
    assert "fedchurn privacy" in refused.value.next_step


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"strategy": "median"}, "median has no known sensitivity"),
        ({"strategy": "scaffold"}, "scaffold has no known sensitivity"),
        ({"compression": "top_k"}, "top_k"),
    ],
)
def test_recipes_without_a_private_form_are_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(PrivacyError, match=why) as refused:
        agree_terms(PrivacySettings(mode="central"), recipe(**changes), CLIENTS, {}, 1.0)
    assert "--recipe private" in refused.value.next_step


def test_newton_rounds_are_refused_with_the_recipe_to_take() -> None:
    newton = Recipe.model_validate({"name": "n", "phases": [{"strategy": "newton"}]})
    with pytest.raises(PrivacyError, match="gradients and Hessians") as refused:
        agree_terms(PrivacySettings(mode="central"), newton, CLIENTS, {}, 1.0)
    assert "--recipe private" in refused.value.next_step


def test_local_privacy_counts_no_sampling_and_refuses_adaptive_clipping() -> None:
    privacy = PrivacySettings(mode="local")
    assert agree_terms(privacy, recipe(clients_per_round=2), CLIENTS, {}, 1.0).sampling_rate == 1.0
    adaptive = PrivacySettings(mode="local", adaptive_clipping=True)
    with pytest.raises(PrivacyError, match="how long others' updates are"):
        agree_terms(adaptive, recipe(), CLIENTS, {}, 1.0)


class AllKept:
    """Keeps every checkpoint; goes on from the one that it is given."""

    def __init__(self, first: bytes | None = None) -> None:
        self._first = first
        self.kept: list[bytes] = []

    def keep(self, progress: Progress) -> None:
        self.kept.append(progress_to_bytes(progress))

    def newest(self) -> Progress | None:
        return None if self._first is None else progress_from_bytes(self._first)


def test_killed_after_any_round_it_ends_with_equal_bytes() -> None:
    privacy = PrivacySettings(mode="central", adaptive_clipping=True)
    drawn = recipe(num_rounds=4, clients_per_round=2)
    agreed = agree_terms(privacy, drawn, CLIENTS, {}, 1.0)

    def weights_of(checkpoints: AllKept) -> list[bytes]:
        model = train_federated(
            federation([table(c, 60, n) for n, c in enumerate(CLIENTS)]),
            CONTRACT,
            private_recipe(privacy, drawn),
            RoundPolicy(),
            checkpoints=checkpoints,
            private=agreed,
        )
        return [array.tobytes() for array in model.weights]

    undisturbed = AllKept()
    weights = weights_of(undisturbed)
    with_key = undisturbed.kept[1:]  # before round 0 there is none, and nothing was trained
    assert len(with_key) == 5
    assert [weights_of(AllKept(kept)) for kept in with_key] == [weights] * 5
    assert weights_of(AllKept()) != weights  # another training, another key
