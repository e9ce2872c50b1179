"""A judgement counts only on rows that are fair to both models."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fedchurn.loop.promote import _objections

DIGESTS = {"a": "1", "b": "2"}
SETTINGS = {"split": {"seed": 1}, "data": {"scheme": "silo"}}


def release(**card: Any) -> Any:
    facts = {"is_sample": False, "data_digests": DIGESTS, "settings": SETTINGS, **card}
    return SimpleNamespace(card=SimpleNamespace(**facts))


def checks(validated: dict[str, Any], challenger: Any, champion: Any) -> list[str]:
    return [objection.check for objection in _objections(validated, challenger, champion)]


REAL = {"is_sample": False, "data_digests": DIGESTS}
SAMPLE = {"is_sample": True, "data_digests": DIGESTS}


def test_the_challengers_own_real_rows_are_fair() -> None:
    assert checks(REAL, release(), release(data_digests={"a": "older"})) == []


def test_a_first_model_is_judged_on_its_own_rows_too() -> None:
    assert checks(REAL, release(), None) == []
    assert checks({**REAL, "data_digests": {"a": "9"}}, release(), None) == ["own_rows"]


def test_the_sample_judges_models_of_the_sample_only() -> None:
    of_sample = release(is_sample=True)
    assert checks(SAMPLE, of_sample, of_sample) == []
    assert checks(SAMPLE, release(), release()) == ["real_rows"]
    assert checks(SAMPLE, of_sample, release()) == ["real_rows", "real_model"]


@pytest.mark.parametrize("changed", ["split", "data"])
def test_a_champion_of_another_split_may_know_the_test_rows(changed: str) -> None:
    other = release(settings={**SETTINGS, changed: {"seed": 2}})
    assert checks(REAL, release(), other) == ["split"]


def test_every_objection_says_what_to_do() -> None:
    found = list(_objections(SAMPLE, release(data_digests={}), release(settings={})))
    assert all(objection.next_step and objection.sentence.endswith(".") for objection in found)
    assert len(found) == 3
