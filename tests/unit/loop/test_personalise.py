"""When clients are asked for models of their own, and when not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedchurn.errors import QuorumError
from fedchurn.evaluation.personal import Personalisation
from fedchurn.evaluation.thresholds import Objective, ThresholdChoice
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.loop import personalise as module
from fedchurn.loop.personalise import PRIVATE, SECURE, personalise
from fedchurn.loop.trained_run import TrainedRun
from fedchurn.settings import Settings
from fedchurn.settings_files import load_settings
from tests.unit.federation.clients import CONTRACT, table
from tests.unit.release.releases import scorer

CHOICE = ThresholdChoice(0.5, Objective(), 0.6)
RUN = TrainedRun(scorer(), scorer(), 1, (), {}, {}, {}, {})
VALIDATED: dict[str, Any] = {"clients": {}, "folder": "."}


def settings(*assignments: str) -> Settings:
    return load_settings(None, ["personalisation.on=true", *assignments])


def asked(chosen: Settings, run: TrainedRun = RUN) -> Personalisation | None:
    return personalise(chosen, CONTRACT, VALIDATED, run, CHOICE)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("clients were asked")

    monkeypatch.setattr(module, "on_clients", refuse)


@pytest.mark.usefixtures("nobody")
def test_nobody_is_asked_by_default_under_masks_or_in_a_private_training() -> None:
    assert asked(load_settings()) is None
    assert asked(settings("federation.secure.on=true")) == Personalisation({}, {}, SECURE)
    private = replace(RUN, privacy={"epsilon": 3.0})
    assert asked(settings(), private) == Personalisation({}, {}, PRIVATE)


def test_too_few_answers_are_told_and_lose_no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_few(*_: object, **__: object) -> None:
        raise QuorumError("1 of 3 clients gave a usable answer")

    monkeypatch.setattr(module, "on_clients", too_few)
    found = asked(settings())
    assert found is not None
    assert found.clients == {}
    assert "1 of 3 clients" in found.note


def test_clients_that_cannot_keep_a_model_say_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sessions = {"a": ClientSession(table("a", 40, 1), CONTRACT)}
    monkeypatch.setattr(
        module, "on_clients", lambda *given, **_: given[4](DirectExchange(sessions))
    )
    found = asked(settings(f"home={tmp_path}"))
    assert found is not None
    assert "no folder" in found.note
