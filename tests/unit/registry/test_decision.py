"""A challenger is judged by every check, and every check speaks in numbers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from fedchurn.errors import PromotionRefused
from fedchurn.registry.comparison import PairedComparison
from fedchurn.registry.decision import Decision, decide
from fedchurn.registry.policy import ModelEvidence, PromotionPolicy

CHALLENGER = ModelEvidence("shop-1.0.0-new", "8", 0.89, 0.83, 0.90, "rows-2", "weights-2")
CHAMPION = ModelEvidence("shop-1.0.0-old", "7", 0.88, 0.83, 0.89, "rows-1", "weights-1")
POLICY = PromotionPolicy()


def compared(
    difference: float, *, error: float = 0.01, clients: dict[str, float | None] | None = None
) -> PairedComparison:
    z = difference / error
    return PairedComparison(
        auc_challenger=0.89 + difference,
        auc_champion=0.89,
        difference=difference,
        standard_error=error,
        z=z,
        p_better=float(norm.sf(z)),
        p_worse=float(norm.cdf(z)),
        client_differences=clients if clients is not None else {"north": difference},
        num_customers=294,
    )


def failed(decision: Decision) -> list[str]:
    return [r.check for r in decision.failures]


def test_a_first_model_above_the_floors_is_promoted() -> None:
    decision = decide(CHALLENGER, None, None, POLICY)
    assert decision.promoted
    assert decision.is_first
    assert "Nothing is in production yet." in decision.summary()


def test_a_first_model_below_the_floor_says_what_to_do() -> None:
    decision = decide(replace(CHALLENGER, accuracy=0.79, roc_auc=0.65), None, None, POLICY)
    assert failed(decision) == ["accuracy", "majority", "roc_auc"]
    error = decision.refusal()
    assert isinstance(error, PromotionRefused)
    assert error.exit_code == 20
    assert "Accuracy 0.7900 is below the floor 0.8000." in str(error)
    assert "ROC-AUC 0.6500 is below the floor 0.7000." in str(error)
    assert "nothing is in production" in str(error)
    assert "data and quality report" in error.next_step


def test_accuracy_of_the_majority_answer_is_not_enough() -> None:
    decision = decide(replace(CHALLENGER, accuracy=0.83), None, None, POLICY)
    assert failed(decision) == ["majority"]
    assert decide(
        replace(CHALLENGER, accuracy=0.83), None, None, PromotionPolicy(above_majority=False)
    ).promoted


@pytest.mark.parametrize("field", ["accuracy", "roc_auc", "majority_accuracy"])
def test_a_figure_that_is_not_a_number_never_passes(field: str) -> None:
    decision = decide(replace(CHALLENGER, **{field: float("nan")}), None, None, POLICY)
    assert not decision.promoted
    assert json.dumps(decision.to_dict(), allow_nan=False)


def test_floors_are_reached_by_equality() -> None:
    assert decide(
        replace(CHALLENGER, accuracy=0.8, majority_accuracy=0.7, roc_auc=0.7), None, None, POLICY
    ).promoted


def test_better_beyond_noise_is_promoted_even_on_the_same_rows() -> None:
    same_rows = replace(CHALLENGER, data_digest="rows-1")
    decision = decide(same_rows, CHAMPION, compared(0.03), POLICY)
    assert decision.promoted
    assert "294 customers" in decision.summary()
    assert "+0.0300" in decision.summary()
    assert decision.champion_release_id == "shop-1.0.0-old"


def test_equal_within_noise_refreshes_on_new_rows_only() -> None:
    noise = compared(0.001)
    assert decide(CHALLENGER, CHAMPION, noise, POLICY).promoted
    assert failed(decide(replace(CHALLENGER, data_digest="rows-1"), CHAMPION, noise, POLICY)) == [
        "better"
    ]
    strict = PromotionPolicy(refresh_on_new_data=False)
    assert failed(decide(CHALLENGER, CHAMPION, noise, strict)) == ["better"]


def test_worse_is_refused_beyond_noise_and_by_margin_within_noise() -> None:
    beyond = decide(CHALLENGER, CHAMPION, compared(-0.009, error=0.001), POLICY)
    assert failed(beyond) == ["refresh"]
    assert "worse beyond noise" in beyond.summary()
    noisy = decide(CHALLENGER, CHAMPION, compared(-0.015, error=0.05), POLICY)
    assert failed(noisy) == ["refresh"]
    assert "more than 0.01 lower" in noisy.summary()


def test_not_worse_mode_is_a_non_inferiority_test() -> None:
    policy = PromotionPolicy(mode="not_worse", not_worse_margin=0.02)
    assert decide(CHALLENGER, CHAMPION, compared(0.0, error=0.01), policy).promoted
    unsure = decide(CHALLENGER, CHAMPION, compared(0.0, error=0.02), policy)
    assert failed(unsure) == ["not_worse"]
    assert "at least -0.0329" in unsure.summary()


def test_one_client_may_not_pay_for_the_others() -> None:
    comparison = compared(0.03, clients={"north": 0.06, "south": -0.021, "east": None})
    decision = decide(CHALLENGER, CHAMPION, comparison, POLICY)
    assert failed(decision) == ["clients"]
    assert "south loses 0.0210" in decision.summary()
    assert "Too few customers to tell: east" in decision.summary()
    assert "client_margin" in decision.next_step


def test_the_same_model_is_recognised() -> None:
    twin = replace(CHALLENGER, data_digest="rows-1", weights_digest="weights-1")
    decision = decide(twin, CHAMPION, compared(0.0), POLICY)
    assert "same_model" in failed(decision)
    assert decision.next_step == "nothing is needed: this model is in production already"


def test_a_champion_is_never_replaced_without_comparison() -> None:
    assert failed(decide(CHALLENGER, CHAMPION, None, POLICY)) == ["comparison"]


def test_all_checks_are_told_at_once() -> None:
    bad = replace(CHALLENGER, accuracy=0.5, roc_auc=0.5)
    decision = decide(bad, CHAMPION, compared(-0.4), POLICY)
    assert failed(decision) == ["accuracy", "majority", "roc_auc", "refresh", "clients"]


@given(
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(-1, 1),
    st.booleans(),
    st.sampled_from(["better", "not_worse"]),
)
def test_promoted_means_that_nothing_failed_and_records_survive_json(
    accuracy: float, auc: float, difference: float, new_data: bool, mode: str
) -> None:
    challenger = replace(CHALLENGER, accuracy=accuracy, roc_auc=auc)
    if not new_data:
        challenger = replace(challenger, data_digest=CHAMPION.data_digest)
    policy = PromotionPolicy.model_validate({"mode": mode})
    decision = decide(challenger, CHAMPION, compared(difference), policy)
    assert decision.promoted == (not decision.failures)
    assert bool(decision.next_step) == (not decision.promoted)
    assert Decision.from_dict(json.loads(json.dumps(decision.to_dict()))) == decision
    if decision.promoted:
        assert difference > -policy.not_worse_margin - 1e-12
        assert accuracy >= policy.min_accuracy
