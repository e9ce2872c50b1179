"""A client with a floor of its own answers no server that asks for less noise."""

from __future__ import annotations

import numpy as np
import pytest

from fedchurn.errors import PrivacyError
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.client.update import UpdateRules
from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.joining.facts import FACTS, JoinFacts, Membership
from fedchurn.federation.privacy.noise_floor import NoiseFloor, with_noise_floor
from fedchurn.privacy.policy import PrivacySettings
from tests.unit.federation.clients import CONTRACT, table


class Client:
    """Says that it was asked."""

    def handle(self, request: Request) -> Reply:
        return Reply("north", {"asked": np.array([request.round_num])})


def epochs(clip_norm: float | None, noise_std: float) -> Request:
    rules = UpdateRules(clip_norm=clip_norm, noise_std=noise_std)
    return Request("local_epochs", 3, config={"update": rules.to_json()})


GUARDED = NoiseFloor("north", Client(), 2.0)


def test_enough_noise_is_answered() -> None:
    assert GUARDED.handle(epochs(0.5, 2.0)).arrays["asked"] == [3]
    assert GUARDED.handle(Request("evaluate", 3)).client == "north"


@pytest.mark.parametrize(("clip_norm", "noise_std"), [(0.5, 1.9), (0.5, 0.0), (0.6, 2.0)])
def test_less_noise_is_refused_with_both_figures(clip_norm: float, noise_std: float) -> None:
    with pytest.raises(PrivacyError, match="gives 2 at least"):
        GUARDED.handle(epochs(clip_norm, noise_std))


def test_an_update_of_any_length_is_refused() -> None:
    with pytest.raises(PrivacyError, match="any length"):
        GUARDED.handle(epochs(None, 100.0))


@pytest.mark.parametrize("task", ["statistics", "newton", "dependence", "held_out", "drift"])
def test_sums_without_noise_are_refused(task: str) -> None:
    with pytest.raises(PrivacyError, match=f"asked for {task}"):
        GUARDED.handle(Request(task, 0))


def test_churners_are_not_told_at_joining_nor_figures_in_warnings() -> None:
    """Sums over labels without noise."""
    rows = table("north", 200, 1)
    plain = Membership(rows, CONTRACT).facts(1).validation
    warned = plain.model_copy(
        update={"warnings": ("churn churn_rate: churn rate 0.310 is outside",)}
    )
    session = ClientSession(rows, CONTRACT, validation=warned)
    guarded, asked = NoiseFloor("north", session, 2.0), Request("join", 0, {}, {"min_cell_rows": 1})
    told, kept = (
        JoinFacts.model_validate_json(bytes(one.handle(asked).arrays[FACTS]))
        for one in (session, guarded)
    )
    assert told.num_churned
    hidden = warned.model_copy(update={"warnings": ("churn churn_rate",)})
    assert kept == told.model_copy(update={"num_churned": None, "validation": hidden})


def test_without_a_floor_the_client_is_left_alone() -> None:
    client = Client()
    assert with_noise_floor("north", client, PrivacySettings()) is client
    floored = PrivacySettings(min_noise_multiplier=0.5)
    assert isinstance(with_noise_floor("north", client, floored), NoiseFloor)
