"""One setting switches both sides on; each side looks at its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from fedchurn.data.client_table import save_client_table
from fedchurn.errors import QuorumError, SettingsError
from fedchurn.federation.algorithms.of_phase import check_recipe
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.engines import run_on_engine
from fedchurn.federation.exchange import TOGETHER, Exchange, Reply, Request
from fedchurn.federation.secure.client import SecureHandler
from fedchurn.federation.secure.switch import secured_handler
from fedchurn.learning.recipe import Recipe
from fedchurn.loop.federate import round_policy
from fedchurn.loop.reach import on_clients
from fedchurn.settings import Settings
from fedchurn.settings_files import load_settings
from fedchurn.settings_secure import SecureSettings
from tests.unit.federation.clients import CONTRACT, table

STATISTICS = Request("statistics", 0, config={"min_cell_rows": 1})


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / f"{name}.npz" for name in "abc"}
    for number, (name, path) in enumerate(found.items()):
        save_client_table(table(name, 100, number), path)
    return found


def settings_of(home: Path, *more: str) -> Settings:
    return load_settings(None, [f"home={home}", *more])


@pytest.mark.parametrize("engine", ["inprocess", "simulation"])
def test_an_engine_gives_sums_only_when_switched_on(
    engine: str, files: dict[str, Path], tmp_path: Path
) -> None:
    def replies(*more: str) -> tuple[Reply, ...]:
        found = settings_of(tmp_path, f"federation.engine={engine}", *more)
        return on_clients(found, CONTRACT, files, None, lambda exchange: exchange.ask(STATISTICS))

    (total,) = replies("federation.secure.on=true")
    assert (total.client, total.members) == (TOGETHER, ("a", "b", "c"))
    each = replies()
    assert [reply.client for reply in each] == ["a", "b", "c"]
    assert total.numbers["num_rows"] == sum(reply.numbers["num_rows"] for reply in each)


def test_facts_of_joining_clients_are_not_summed(files: dict[str, Path], tmp_path: Path) -> None:
    secure = settings_of(tmp_path, "federation.engine=inprocess", "federation.secure.on=true")
    asked = Request("join", 0, config={"min_cell_rows": 1})

    def ask(exchange: Exchange) -> tuple[Reply, ...]:
        return exchange.ask(asked)

    replies = on_clients(secure, CONTRACT, files, None, ask, summed=False)
    assert [(r.client, r.error) for r in replies] == [("a", ""), ("b", ""), ("c", "")]


def test_a_driver_that_is_switched_off_gets_nothing_from_secure_clients(
    files: dict[str, Path], tmp_path: Path
) -> None:
    secure = settings_of(tmp_path, "federation.engine=inprocess", "federation.secure.on=true")
    replies = run_on_engine(secure, files, CONTRACT, lambda exchange: exchange.ask(STATISTICS))
    assert all("asked in the clear" in reply.error for reply in replies)


def test_a_driver_that_is_switched_on_needs_clients_that_are(
    files: dict[str, Path], tmp_path: Path
) -> None:
    from fedchurn.federation.direct_exchange import DirectExchange
    from fedchurn.federation.secure.switch import secured_exchange

    plain = DirectExchange({c: ClientSession(table(c, 100, 1), CONTRACT) for c in files})
    with pytest.raises(QuorumError, match="unknown task 'secure_keys'"):
        secured_exchange(plain, SecureSettings(on=True)).ask(STATISTICS)


def test_the_policy_and_the_recipe_know(tmp_path: Path) -> None:
    secure = settings_of(tmp_path, "federation.secure.on=true")
    assert round_policy(secure.federation).summed
    assert not round_policy(settings_of(tmp_path).federation).summed
    for strategy in ("median", "trimmed_mean", "krum", "scaffold"):
        phase = {"strategy": strategy, "optimizer": "sgd"}
        recipe = Recipe.model_validate({"name": "r", "phases": [phase]})
        with pytest.raises(SettingsError, match="secure aggregation shows their sum only"):
            check_recipe(recipe, summed=True)


def test_a_client_is_wrapped_by_its_own_settings() -> None:
    session = ClientSession(table("a", 20, 1), CONTRACT)
    assert secured_handler("a", session, SecureSettings()) is session
    assert isinstance(secured_handler("a", session, SecureSettings(on=True)), SecureHandler)


@pytest.mark.parametrize(
    ("asked", "fraction", "least", "threshold"),
    [(3, 2 / 3, 3, 3), (3, 2 / 3, 2, 2), (5, 2 / 3, 3, 4), (10, 0.51, 3, 6), (9, 2 / 3, 3, 6)],
)
def test_the_threshold_by_hand(asked: int, fraction: float, least: int, threshold: int) -> None:
    settings = SecureSettings(threshold_fraction=fraction, min_clients=least)
    assert settings.threshold(asked) == threshold


@pytest.mark.parametrize("wrong", [{"threshold_fraction": 0.5}, {"min_clients": 1}])
def test_settings_that_would_hide_nobody_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        SecureSettings.model_validate(wrong)
