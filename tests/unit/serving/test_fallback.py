"""Every step of the chain and every reason to take it."""

from __future__ import annotations

import math
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.contract.conditions import Value
from fedchurn.contract.schema import Contract
from fedchurn.release.golden import choose_golden_rows
from fedchurn.serving.fallback.chain import FallbackChain, Outcome
from fedchurn.serving.fallback.scores import MAX_ATTEMPTS, Model
from fedchurn.serving.predictor import Predictor
from fedchurn.serving.records import FALLBACK_REASONS, MODELS_USED
from tests.unit.release.releases import CONTRACT, scorer
from tests.unit.serving.models import (
    WAIT_SECONDS,
    Row,
    ScriptedModel,
    StuckModel,
    always,
    broken,
)

RULES = Contract.model_validate(
    {
        "contract": "rules",
        "version": "1.0.0",
        "target": {"column": "Churn", "positive": 1, "negative": 0, "rate": 0.4},
        "columns": {"Tenure": {"kind": "integer"}},
        "fallback": {
            "base_rate": 0.25,
            "rules": [
                {"when": [{"column": "Tenure", "below": 6}], "add": 0.25, "reason": "New"},
            ],
        },
    }
)
NO_RULES = RULES.model_copy(update={"fallback": None})
NEW: Row = {"Tenure": 1.0}
OLD: Row = {"Tenure": 30.0}


def chain(
    model: Model,
    fallback: Model | None = None,
    *,
    contract: Contract = RULES,
    role: str = "champion",
    timeout_seconds: float = WAIT_SECONDS,
) -> FallbackChain:
    return FallbackChain(contract, role, model, fallback, timeout_seconds=timeout_seconds)


def test_the_model_answers_when_it_can() -> None:
    assert chain(always(0.7), always(0.1)).answer([NEW]) == [Outcome(0.7, "champion", None)]
    assert (
        chain(always(0.7), role="challenger").answer([NEW, OLD])
        == [Outcome(0.7, "challenger", None)] * 2
    )


@pytest.mark.parametrize("probability", [0.0, 1e-300, 0.01, 0.29, 0.3, 1.0])
def test_a_safe_customer_is_no_reason_for_a_fallback(probability: float) -> None:
    found = chain(always(probability), always(0.9)).answer([OLD, NEW])
    assert found == [Outcome(probability, "champion", None)] * 2


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf, -0.01, 1.01])
def test_what_is_no_probability_is_not_passed_on(wrong: float) -> None:
    assert chain(always(wrong), always(0.4)).answer([NEW]) == [
        Outcome(0.4, "fallback_model", "not_finite")
    ]


def test_every_step_after_an_error() -> None:
    reason = "error"
    assert chain(broken(), always(0.4)).answer([NEW]) == [Outcome(0.4, "fallback_model", reason)]
    assert chain(broken(), broken()).answer([NEW, OLD]) == [
        Outcome(0.5, "rules", reason),
        Outcome(0.25, "rules", reason),
    ]
    assert chain(broken()).answer([NEW]) == [Outcome(0.5, "rules", reason)]
    assert chain(broken(), broken(), contract=NO_RULES).answer([NEW]) == [
        Outcome(0.4, "base_rate", reason)
    ]


def test_rules_that_break_leave_the_base_rate() -> None:
    unreadable: dict[str, Value] = {"Tenure": [1.0]}  # type: ignore[dict-item]
    assert chain(broken()).answer([unreadable]) == [Outcome(0.25, "base_rate", "error")]


def test_the_reason_is_that_of_the_model_and_not_of_later_steps() -> None:
    assert chain(always(math.nan), broken()).answer([OLD]) == [Outcome(0.25, "rules", "not_finite")]


def test_a_model_at_fault_is_not_asked() -> None:
    model = always(0.7)
    found = chain(model, always(0.4)).answer([NEW, OLD], "golden_rows")
    assert found == [Outcome(0.4, "fallback_model", "golden_rows")] * 2
    assert model.num_calls == 0


def test_only_the_rows_without_a_number_fall_back_in_their_places() -> None:
    model = ScriptedModel(lambda row: math.nan if row["Tenure"] == 2.0 else 0.7)
    fallback = ScriptedModel(lambda row: 0.4)
    rows: list[Row] = [{"Tenure": t} for t in (1.0, 2.0, 3.0, 2.0)]
    good, bad = Outcome(0.7, "champion", None), Outcome(0.4, "fallback_model", "not_finite")
    assert chain(model, fallback).answer(rows) == [good, bad, good, bad]


def test_a_row_that_breaks_the_model_does_not_take_the_others_with_it() -> None:
    def script(row: Row) -> float:
        if row["Tenure"] == 613.0:
            raise ValueError("a value that nobody thought of")
        return 0.7

    rows: list[Row] = [{"Tenure": float(t)} for t in range(1000)]
    found = chain(ScriptedModel(script), always(0.4)).answer(rows)
    assert found[613] == Outcome(0.4, "fallback_model", "error")
    assert found[:613] + found[614:] == [Outcome(0.7, "champion", None)] * 999


def test_a_broken_model_is_not_asked_for_ever() -> None:
    model = broken()
    found = chain(model, always(0.4)).answer([NEW] * 1000)
    assert found == [Outcome(0.4, "fallback_model", "error")] * 1000
    assert model.num_calls == MAX_ATTEMPTS


def test_too_few_answers_are_an_error() -> None:
    class Short(ScriptedModel):
        def many(self, rows: object) -> np.ndarray:
            return np.array([0.7])

    # Asked row by row it answers, and only then is it known which answer is whose.
    assert chain(Short(lambda row: 0.6)).answer([NEW, OLD]) == [Outcome(0.6, "champion", None)] * 2


def test_a_model_that_is_stuck_is_left_and_comes_back_by_itself() -> None:
    model = StuckModel()
    asked = chain(model, always(0.4), timeout_seconds=0.5)
    late = Outcome(0.4, "fallback_model", "timeout")
    assert asked.answer([NEW, OLD]) == [late, late]
    num_calls = model.num_calls
    assert asked.answer([NEW]) == [late]
    assert model.num_calls == num_calls
    model.release.set()
    until = time.monotonic() + WAIT_SECONDS
    while asked.answer([NEW]) == [late]:
        assert time.monotonic() < until
        time.sleep(0.001)
    assert asked.answer([NEW]) == [Outcome(0.25, "champion", None)]


def test_both_models_stuck_leave_the_rules_and_no_crowd_of_threads() -> None:
    models = StuckModel(), StuckModel()
    asked = chain(*models, timeout_seconds=0.02)
    before = threading.active_count()
    found = [asked.answer([NEW]) for _ in range(30)]
    assert found == [[Outcome(0.5, "rules", "timeout")]] * 30
    assert threading.active_count() <= before + 2
    for model in models:
        model.release.set()


def test_no_row_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    chain(broken(), broken()).answer([{"Tenure": 271828.0}])
    assert "champion gave no answer (error) about 1 rows" in caplog.text
    assert "fallback_model gave no answer (error) about 1 rows" in caplog.text
    assert "RuntimeError in refuse" in caplog.text
    assert "271828" not in caplog.text


def test_a_broken_model_complains_once(caplog: pytest.LogCaptureFixture) -> None:
    asked = chain(broken(), always(0.4))
    for _ in range(20):
        asked.answer([NEW])
    assert len(caplog.records) == 1


def test_it_says_what_the_predictor_says() -> None:
    model = Predictor(scorer())
    rows = choose_golden_rows(CONTRACT, seed=3, num_rows=12)
    asked = chain(model, contract=CONTRACT)
    assert [o.probability for o in asked.answer(rows)] == model.many(rows).tolist()
    assert asked.answer(rows[:1])[0].probability == model.one(rows[0])


def test_weights_that_are_no_numbers_are_noticed_for_one_row_and_for_many() -> None:
    spoilt = scorer()
    for weights in spoilt.weights:
        weights[:] = np.nan
    rows = choose_golden_rows(CONTRACT, seed=3, num_rows=4)
    asked = chain(Predictor(spoilt), Predictor(scorer(seed=8)), contract=CONTRACT)
    for taken in (rows, rows[:1]):
        assert [(o.model_used, o.reason) for o in asked.answer(taken)] == [
            ("fallback_model", "not_finite")
        ] * len(taken)


ANYTHING = st.one_of(st.floats(0, 1), st.floats(), st.just("error"))


@given(st.lists(st.tuples(ANYTHING, ANYTHING), min_size=1, max_size=20), st.booleans())
def test_whatever_the_models_do_each_row_gets_a_probability_from_the_first_step_that_can(
    scripts: list[tuple[float | str, float | str]], has_rules: bool
) -> None:
    def model(part: int) -> ScriptedModel:
        def script(row: Row) -> float:
            number = int(row["Tenure"] or 0)  # type: ignore[arg-type]
            value = scripts[number][part]
            if isinstance(value, str):
                raise RuntimeError(value)
            return value

        return ScriptedModel(script)

    asked = chain(model(0), model(1), contract=RULES if has_rules else NO_RULES)
    found = asked.answer([{"Tenure": float(i)} for i in range(len(scripts))])
    assert len(found) == len(scripts)
    for (first, second), outcome in zip(scripts, found, strict=True):
        assert 0 <= outcome.probability <= 1
        assert outcome.model_used in MODELS_USED
        if _fine(first):
            assert outcome == Outcome(float(first), "champion", None)
        else:
            assert outcome.reason in FALLBACK_REASONS
            last = "rules" if has_rules else "base_rate"
            assert outcome.model_used == ("fallback_model" if _fine(second) else last)


def _fine(value: float | str) -> bool:
    return not isinstance(value, str) and 0 <= value <= 1
