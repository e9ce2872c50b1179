"""Which triggers lead to a retrain, and what is said about those that do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fedchurn.retraining.checks import FAILED, all_checks
from fedchurn.retraining.decision import RetrainDecision, decide
from fedchurn.retraining.policy import RetrainPolicy
from fedchurn.retraining.situation import NewRows, PastDecision, PastRetrain, Situation
from fedchurn.retraining.trigger import Source, Trigger
from tests.unit.retraining.events import ENOUGH, LIVE, at, drift, manual, situation

POLICY = RetrainPolicy()
CHECKS = (
    *("enabled", "duplicate", "running", "current", "cooldown", "budget"),
    *("new_rows", "labels", "new_data", "learnable", "comparable"),
)


def past(*hours: float, outcome: str = "refused") -> tuple[PastRetrain, ...]:
    return tuple(PastRetrain(at(hour), outcome) for hour in hours)


def test_a_trigger_that_nothing_speaks_against_leads_to_a_retrain() -> None:
    decision = decide(drift(), situation(), POLICY)
    assert decision.retrains
    assert tuple(check.name for check in decision.checks) == CHECKS
    assert decision.summary() == "All checks passed."
    assert decision.release_id == LIVE


SKIPS: list[tuple[str, dict[str, Any], str]] = [
    ("duplicate", {"same_event": PastDecision(at(-50), "retrain")}, "led to a retrain"),
    ("duplicate", {"same_event": PastDecision(at(-3), "skip")}, "was skipped 3.0 h ago"),
    ("running", {"running": "A retrain is going on"}, "A retrain is going on, so no other"),
    ("current", {"champion_release_id": "shop-2"}, f"It is about {LIVE}, but shop-2 is"),
    ("cooldown", {"retrains": past(-23.9)}, "began 23.9 h ago; 24 h must lie between"),
    ("cooldown", {"retrains": past(1)}, "the clock was set back"),
    ("cooldown", {"retrains": past(-0.5, outcome=FAILED)}, "failed; it began 0.5 h ago; 1 h must"),
    ("budget", {"retrains": past(-167, -30)}, "2 of 2 retrains of the last 7 days are used up"),
    ("new_rows", {"new_rows": NewRows(199, 50)}, "199 labels came back"),
    ("labels", {"new_rows": NewRows(300, 9)}, "9 churned, 291 stayed"),
    ("labels", {"new_rows": NewRows(300, 295)}, "295 churned, 5 stayed"),
    ("new_data", {"same_data_as": "the retrain of yesterday"}, "exactly those of the retrain of"),
    ("comparable", {"objection": "Other splits."}, "Other splits."),
]


@pytest.mark.parametrize(("name", "facts", "words"), SKIPS)
def test_one_fact_is_enough_to_skip_and_the_others_are_told_too(
    name: str, facts: dict[str, Any], words: str
) -> None:
    decision = decide(drift(), situation(**facts), POLICY)
    assert decision.outcome == "skip"
    assert [check.name for check in decision.failures] == [name]
    assert words in decision.summary()
    assert tuple(check.name for check in decision.checks) == CHECKS


NEAR: list[dict[str, Any]] = [
    {"same_event": PastDecision(at(-24), "skip")},
    {"retrains": past(-24.0)},
    {"retrains": past(-1.0, outcome=FAILED)},
    {"retrains": past(-168.0, -30)},
    {"new_rows": NewRows(200, 10)},
    {"new_rows": NewRows(200, 190)},
    {"new_rows": NewRows(0, 0, num_source=200)},
    {"new_rows": NewRows(0, 0, num_source=None)},
]


@pytest.mark.parametrize("facts", NEAR)
def test_at_the_limit_nothing_speaks_against_it(facts: dict[str, Any]) -> None:
    assert decide(drift(), situation(**facts), POLICY).retrains


def test_nothing_in_production_asks_for_no_rows() -> None:
    first = situation(champion_release_id="", new_rows=NewRows())
    assert decide(manual(), first, POLICY).retrains


def test_from_inputs_alone_nothing_can_be_learned() -> None:
    policy = RetrainPolicy(min_new_rows=0, require_labels=False)
    nothing = situation(new_rows=NewRows())
    subjects = {"covariate": False, "relation": False, "score": True, "label": True}
    for subject, passes in subjects.items():
        told = drift(evidence={"subjects": [subject]})
        assert decide(told, nothing, policy).retrains is passes, subject
    clients_too = drift(evidence={"subjects": ["relation", "covariate", "client"]})
    assert not decide(clients_too, nothing, policy).retrains
    assert decide(replace(drift(), source=Source.ALERT), nothing, policy).retrains
    one = situation(new_rows=NewRows(1, 0))
    assert decide(drift(), one, policy).retrains


def test_labels_that_do_not_count_are_told() -> None:
    rows = NewRows(20, 5, 0, 7, 3, "City: categories 3", maturity_days=21)
    told = decide(drift(), situation(new_rows=rows), POLICY).summary()
    assert "7 are younger than 21 days, 3 cannot be trained on (City: categories 3)" in told


def test_switched_off() -> None:
    off = decide(manual(force=True), situation(), RetrainPolicy(enabled=False))
    assert [check.name for check in off.failures] == ["enabled"]


NEVER = {"enabled", "duplicate", "running"}
ALL_BAD = Situation(
    time=at(0),
    champion_release_id="shop-2",
    running="A retrain is going on",
    same_event=PastDecision(at(-1), "retrain"),
    retrains=past(-3, -2),
    same_data_as="something",
    objection="Never.",
)


def test_a_person_may_force_what_the_policy_lets_him_and_no_more() -> None:
    forced = decide(manual(force=True), ALL_BAD, POLICY)
    assert {check.name for check in forced.failures} == {"duplicate", "running"}
    overridden = {check.name for check in forced.checks if check.overridden}
    assert overridden == {"cooldown", "budget", "new_rows", "labels", "new_data", "comparable"}
    free = replace(ALL_BAD, running="", same_event=None)
    assert decide(manual(force=True), free, POLICY).retrains
    assert not decide(manual(), free, POLICY).retrains
    less = RetrainPolicy(force_overrides=("cooldown",))
    assert not decide(manual(force=True), free, less).retrains


def test_only_a_person_can_force() -> None:
    told = drift(evidence={"force": True})
    assert not decide(told, situation(retrains=past(-1)), POLICY).retrains


def test_what_may_be_forced_is_a_check() -> None:
    names = {check.name for check in all_checks(manual(), ALL_BAD, POLICY)}
    assert set(POLICY.force_overrides) == names - NEVER


@pytest.mark.parametrize("about", [drift(), manual(force=True)])
def test_it_can_be_written_down(about: Trigger) -> None:
    decision = decide(about, situation(retrains=past(-1)), POLICY)
    assert RetrainDecision.from_dict(decision.to_dict()) == decision
    assert ENOUGH.total == 300
