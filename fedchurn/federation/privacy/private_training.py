"""Federated training by local epochs with differential privacy for clients.

``central``: clients clip, the server adds noise to the sum (``mechanism``). ``local``: clients clip
and add noise themselves, and the server takes the mean. Either way updates count alike, nobody is
refused for what others sent, and what is kept is the last round's model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fedchurn.federation.aggregation.strategies import ClientUpdate
from fedchurn.federation.algorithms.algorithm import Memory
from fedchurn.federation.algorithms.local_training import LocalTraining
from fedchurn.federation.client.update import UpdateRules
from fedchurn.federation.exchange import TOGETHER, Reply, Request
from fedchurn.federation.privacy.keyed_noise import new_key, uniforms
from fedchurn.federation.privacy.mechanism import (
    clipped_sum,
    count_noise_std,
    next_clip_norm,
    noisy_mean,
    update_noise_multiplier,
)
from fedchurn.federation.privacy.terms import PrivateTerms
from fedchurn.federation.training.state import RoundState
from fedchurn.federation.updates import num_weights, update_of
from fedchurn.learning.spec import ModelSpec, Weights

KEY, CLIP_NORM = "privacy.key", "privacy.clip_norm"
NUM_SHORT = "num_short"  # updates that were no longer than the clip norm, in a reply


@dataclass(frozen=True)
class PrivateTraining:
    """See the module docstring.

    Attributes:
        inner: the training without privacy: model, epochs, strategy.
        terms: who takes part and with how much noise.
    """

    inner: LocalTraining
    terms: PrivateTerms

    @property
    def strategy(self) -> str:
        return f"{self.inner.strategy}, {self.terms.settings.mode} privacy"

    @property
    def spec(self) -> ModelSpec:
        return self.inner.spec

    @property
    def encoder_json(self) -> str:
        return self.inner.encoder_json

    def start(self) -> RoundState:
        clip_norm = np.array(self.terms.settings.clip_norm)
        return replace(self.inner.start(), memory={KEY: new_key(), CLIP_NORM: clip_norm})

    def cohort(self, state: RoundState, clients: Sequence[str]) -> tuple[str, ...] | None:
        """Each client by itself with the sampling rate, from the secret key (Poisson sampling)."""
        takers = tuple(sorted(set(clients) & set(self.terms.clients)))
        rate = self.terms.sampling_rate
        if rate >= 1:
            return takers
        label = f"round {state.round_num + 1} draws "
        key = state.memory[KEY]
        return tuple(c for c in takers if uniforms(key, label + c, 1)[0] < rate)

    def panel(self, clients: Sequence[str]) -> tuple[str, ...] | None:
        return self.inner.panel(clients)

    def request(self, state: RoundState) -> Request:
        request = self.inner.request(state)
        return replace(request, config={**request.config, "update": self._rules(state).to_json()})

    def _rules(self, state: RoundState) -> UpdateRules:
        clip_norm = float(state.memory[CLIP_NORM])
        std = 2 * clip_norm * self.terms.noise_multiplier if self.terms.is_local else 0.0
        rules = self.inner.rules
        return replace(rules, clip_norm=clip_norm, noise_std=std, weighting="clients")

    def problem(self, state: RoundState, reply: Reply) -> str:  # noqa: ARG002
        return self.inner.update_problem(reply)

    def update_norm(self, state: RoundState, reply: Reply) -> float:  # noqa: ARG002
        """All alike: to refuse one client for what others sent would break the sensitivity."""
        return 1.0

    def step(
        self, state: RoundState, replies: Sequence[Reply]
    ) -> tuple[tuple[Weights, ...], Memory]:
        update = ClientUpdate(TOGETHER, self._mean(state, replies), 1.0)
        plain = {n: a for n, a in state.memory.items() if n not in (KEY, CLIP_NORM)}
        candidates, memory = self.inner.moved(state, [update], plain)
        clip_norm = np.array(self._next_clip_norm(state, replies))
        return candidates, {**memory, KEY: state.memory[KEY], CLIP_NORM: clip_norm}

    def _mean(self, state: RoundState, replies: Sequence[Reply]) -> NDArray[np.float64]:
        size = num_weights(self.spec)
        ordered = sorted(replies, key=lambda reply: reply.client)
        own = [_wide(reply, size) for reply in ordered if not reply.members]
        summed = [_wide(reply, size) for reply in ordered if reply.members]
        if self.terms.is_local:
            # The noise of the clients is in there: clipped again, it would be biased for nothing.
            return np.sum([*own, *summed, np.zeros(size)], axis=0) / self.terms.expected_clients
        clip_norm = float(state.memory[CLIP_NORM])
        return noisy_mean(
            clipped_sum(own, summed, clip_norm, size),
            clip_norm,
            self._update_noise(),
            self.terms.expected_clients,
            state.memory[KEY],
            state.round_num + 1,
        )

    def _update_noise(self) -> float:
        settings = self.terms.settings
        if not settings.adaptive_clipping:
            return self.terms.noise_multiplier
        return update_noise_multiplier(self.terms.noise_multiplier, settings.count_share)

    def _next_clip_norm(self, state: RoundState, replies: Sequence[Reply]) -> float:
        settings, clip_norm = self.terms.settings, float(state.memory[CLIP_NORM])
        if not settings.adaptive_clipping:
            return clip_norm
        return next_clip_norm(
            clip_norm,
            sum(_num_short(reply) for reply in replies),
            sum(len(reply.clients) for reply in replies),
            expected_clients=self.terms.expected_clients,
            noise_std=count_noise_std(self.terms.noise_multiplier, settings.count_share),
            target_quantile=settings.target_quantile,
            learning_rate=settings.clip_learning_rate,
            key=state.memory[KEY],
            round_num=state.round_num + 1,
        )

    def client_numbers(self, state: RoundState, reply: Reply) -> dict[str, float]:
        if "loss_sum" not in reply.numbers:
            return {"num_rows": 0.0}
        return self.inner.client_numbers(state, reply)

    def notes(self, state: RoundState) -> Mapping[str, float]:
        """Of the round that ``state`` came before: what was clipped, added and spent."""
        return {
            "clip_norm": float(state.memory[CLIP_NORM]),
            "noise_multiplier": self.terms.noise_multiplier,
            "epsilon": self.terms.epsilon_after(state.round_num + 1),
        }


def _num_short(reply: Reply) -> float:
    """One client counts as 1 at most, whatever it says."""
    return min(max(float(reply.numbers.get(NUM_SHORT, 0.0)), 0.0), float(len(reply.clients)))


def _wide(reply: Reply, size: int) -> NDArray[np.float64]:
    return np.asarray(update_of(reply, size), dtype=np.float64)
