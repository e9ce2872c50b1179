"""Decay: bounds that textbooks print, drops that are found, and chance that is not."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.drift.performance.decay import (
    Decay,
    DecayRule,
    DecayVerdict,
    check_decay,
    hanley_mcneil,
    wilson,
)
from fedchurn.drift.performance.held_out import HeldOut, effective_fraction, held_out
from fedchurn.drift.performance.label_sums import LabelSums, label_sums

GOOD = HeldOut(1000, 300, 1.0, 0.9, 0.85, 0.95, 0.08, 0.03)
CARD = {"num_rows": 1000, "num_positive": 300, "accuracy": 0.9, "f1": 0.85, "roc_auc": 0.95}


def live(num_right: int, num_wrong: int) -> LabelSums:
    """Half churners; right rows by a clear probability, wrong ones by an equally clear one."""
    rows = []
    for number in range(num_right + num_wrong):
        label = number % 2
        says = label if number < num_right else 1 - label
        rows.append((label, 0.9 if says else 0.1, says))
    return label_sums(*np.asarray(rows, dtype=float).T)


def verdicts(found: DecayVerdict) -> dict[str, Decay]:
    return {one.metric: one.verdict for one in found.metrics}


def test_wilson_as_published() -> None:
    # Newcombe 1998, table I: 81 of 263, 95 %.
    assert wilson(81 / 263, 263, 1.959964)[1:] == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0.0, 20, 1.959964)[1:] == pytest.approx((0.0, 0.1611), abs=5e-5)


def test_hanley_and_mcneil_as_published() -> None:
    # Their example of 1982, 51 abnormal and 58 normal cases: area 0.893, standard error 3.2 %.
    assert hanley_mcneil(0.893, 51, 58) ** 0.5 == pytest.approx(0.0325, abs=1e-4)
    assert hanley_mcneil(1.0, 10, 10) > 0


def test_the_bound_of_a_drop_by_hand() -> None:
    """Newcombe 1998, method 10, table II: 56/70 against 48/80, 95 %: 0.2, lower 0.0524."""
    reference = HeldOut(70, 35, accuracy=0.8)
    rule = DecayRule(level=0.025 * 3, warning_level=0.5, min_drop=0.0, min_labels=1)
    (accuracy, *_) = check_decay(live(48, 32), reference, rule).metrics
    assert accuracy.drop == pytest.approx(0.2)
    assert accuracy.drop_at_least == pytest.approx(0.0524, abs=5e-5)
    assert accuracy.verdict is Decay.DECAY


def test_a_clear_drop_is_decay_and_none_is_none() -> None:
    found = check_decay(live(180, 120), GOOD)
    assert set(verdicts(found).values()) == {Decay.DECAY}
    assert found.verdict is Decay.DECAY
    assert "accuracy of all clients fell from 0.900 to 0.600" in found.summary()
    assert "brier of all clients rose" in found.summary()
    quiet = check_decay(live(270, 30), GOOD)
    assert set(verdicts(quiet).values()) == {Decay.NONE}
    assert quiet.summary() == "no figure fell, by 300 mature labels"


def test_between_the_levels_is_a_warning() -> None:
    reference = replace(GOOD, roc_auc=None, brier=None)
    found = check_decay(live(90, 20), reference, DecayRule(level=1e-6, warning_level=0.3))
    assert found.verdict is Decay.WARNING
    assert found.metrics[0].drop_at_least < 0.02


def test_a_drop_that_is_not_worth_a_word_is_none_however_sure() -> None:
    reference = HeldOut(10**9, 5 * 10**8, accuracy=0.9)
    found = check_decay(live(8900, 1100), reference, DecayRule(level=0.4))
    assert 0.005 < found.metrics[0].drop_at_least < 0.01
    assert found.verdict is Decay.NONE


def test_few_labels_say_nothing_and_why() -> None:
    found = check_decay(live(50, 49), GOOD)
    assert found.verdict is Decay.TOO_FEW_LABELS
    assert found.metrics[0].reason == "99 customers with a mature label; 100 are needed"
    assert found.metrics[0].drop_at_least is None
    assert found.summary() == "99 mature labels say nothing yet"
    assert check_decay(LabelSums.zero(), GOOD).verdict is Decay.TOO_FEW_LABELS


def test_one_class_says_nothing_about_the_area() -> None:
    loyal = label_sums(np.zeros(120), np.full(120, 0.1), np.zeros(120))
    found = verdicts(check_decay(loyal, GOOD))
    assert found["roc_auc"] is Decay.TOO_FEW_LABELS
    assert found["accuracy"] is Decay.NONE


def test_where_only_churners_are_told_of_nothing_is_said() -> None:
    # A model that finds seven of ten churners, as it always did; nobody sends those who stayed.
    found_ones = np.repeat([1.0, 0.0], [140, 60])
    told = label_sums(np.ones(200), np.where(found_ones == 1, 0.8, 0.2), found_ones)
    found = check_decay(told, GOOD)
    assert set(verdicts(found).values()) == {Decay.TOO_FEW_LABELS}
    assert found.metrics[0].reason == "0 labels of those who stayed; 10 are needed"
    stayed = label_sums(np.zeros(10), np.full(10, 0.1), np.zeros(10))
    assert check_decay(told + stayed, GOOD).verdict is Decay.DECAY


def test_a_card_without_counts_gives_no_verdict() -> None:
    assert held_out({"accuracy": 0.9}) is None
    found = check_decay(live(10, 190), None)
    assert found.verdict is Decay.TOO_FEW_LABELS
    assert found.metrics[0].live == 0.05
    assert "card" in found.metrics[0].reason


def test_one_client_that_decayed_is_named() -> None:
    parts = {"north": live(270, 30), "south": live(150, 150), "east": live(10, 10)}
    known = {"north": GOOD, "south": GOOD, "east": GOOD}
    pooled = parts["north"] + parts["south"] + parts["east"]
    found = check_decay(pooled, GOOD, live_by_client=parts, reference_by_client=known)
    assert found.decayed_clients == ("south",)
    by_client = {client: figures[0].verdict for client, figures in found.clients.items()}
    assert by_client == {
        "north": Decay.NONE,
        "south": Decay.DECAY,
        "east": Decay.TOO_FEW_LABELS,
    }
    assert json.loads(json.dumps(found.to_dict()))["decayed_clients"] == ["south"]


def test_more_clients_make_each_bound_wider() -> None:
    alone = check_decay(live(250, 50), GOOD).metrics[0]
    parts = {f"c{n}": live(250, 50) for n in range(5)}
    found = check_decay(
        live(250, 50), GOOD, live_by_client=parts, reference_by_client=dict.fromkeys(parts, GOOD)
    )
    assert found.clients["c0"][0].drop_at_least < found.metrics[0].drop_at_least
    assert found.metrics[0].drop_at_least < alone.drop_at_least


def test_copies_in_the_held_out_rows_make_the_bound_wider() -> None:
    sure, unsure = (
        check_decay(live(220, 80), replace(GOOD, effective_fraction=share)) for share in (1.0, 0.25)
    )
    for one, other in zip(sure.metrics, unsure.metrics, strict=True):
        assert other.drop_at_least < one.drop_at_least, one.metric
        assert other.drop == one.drop


@given(st.integers(1, 300), st.integers(0, 300))
def test_a_bound_is_below_the_drop_and_falls_with_the_level(right: int, wrong: int) -> None:
    sums = live(right, wrong)
    rule = DecayRule(level=0.01, min_labels=1, min_class_labels=1)
    strict = replace(rule, level=0.0001)
    for one, other in zip(
        check_decay(sums, GOOD, rule).metrics, check_decay(sums, GOOD, strict).metrics, strict=True
    ):
        if one.drop is not None:
            assert other.drop_at_least <= one.drop_at_least <= one.drop + 1e-12


def test_chance_alone_is_seldom_called_decay() -> None:
    """400 checks of a model that is as good as ever, at 5 % and without a smallest drop."""
    generator = np.random.default_rng(11)

    def draw(num_rows: int) -> LabelSums:
        scores = generator.beta(0.3, 1.5, num_rows)
        return label_sums(generator.random(num_rows) < scores, scores, scores >= 0.4)

    rule = DecayRule(level=0.05, min_drop=0.0)
    alarms = 0
    for _ in range(400):
        test = draw(1000)
        reference = HeldOut(
            *(test.num_rows, test.num_positive, 1.0, test.accuracy, test.f1, test.roc_auc),
            *(test.brier, test.squared_error_variance),
        )
        alarms += check_decay(draw(150), reference, rule).verdict is Decay.DECAY
    assert alarms <= 30  # 20 expected at most; 30 is 2.3 standard deviations above


class TestHeldOut:
    def test_figures_are_the_cards(self) -> None:
        found = held_out({**CARD, "brier": 0.07, "threshold": 0.4})
        assert found == HeldOut(1000, 300, 1.0, 0.9, 0.85, 0.95, 0.07, None)

    def test_the_spread_comes_from_the_score_histogram(self) -> None:
        # Cells (0, .5) and (.5, 1): 6 loyal and 2 churners low, 2 churners high. Squared errors by
        # cell centre: 6 x 1/16, 2 x 9/16, 2 x 1/16.
        scores = {"edges": [0, 0.5, 1], "negative_rows": [6, 0], "positive_rows": [2, 2]}
        found = held_out(CARD, {"scores": scores})
        errors = np.array([1 / 16] * 8 + [9 / 16] * 2)
        assert found is not None
        assert found.squared_error_variance == pytest.approx(errors.var())

    def test_how_many_rows_are_independent(self) -> None:
        own = {"own": {"churn_probability": {"num_rows": 100, "num_effective_rows": 25.0}}}
        stored = {
            "pooled": {"num_rows": 10, "num_effective_rows": 5, **own},
            "clients": {"north": {"num_rows": 10, "num_effective_rows": 5, "own": {}}},
        }
        assert effective_fraction(stored) == 0.25
        assert effective_fraction(stored, client="north") == 0.5
        assert effective_fraction(stored, client="south") == 1.0
        assert effective_fraction({}) == 1.0
