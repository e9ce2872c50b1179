"""Revenue at risk, lost and saved: by hand, and the same however customers are dealt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.serving.feedback.revenue import RevenueSums, add_revenue, at_risk, outcome

MONEY = st.one_of(st.none(), st.integers(0, 4000).map(lambda n: n / 4))
SOMEBODY = st.builds(
    lambda value, eighths, called, churned, is_open: (
        at_risk(value, eighths / 8)
        if is_open
        else outcome(value, eighths / 8, called=called, churned=churned)
    ),
    *(MONEY, st.integers(0, 8), st.booleans(), st.booleans(), st.booleans()),
)


def test_by_hand() -> None:
    found = add_revenue(
        [
            at_risk(100.0, 0.25),
            at_risk(40.0, 0.5),
            outcome(80.0, 0.75, called=True, churned=True),
            outcome(8.0, 0.25, called=False, churned=True),
            outcome(60.0, 0.75, called=True, churned=False),
            outcome(1000.0, 0.25, called=False, churned=False),
        ]
    )
    assert found.figures() == {
        "revenue_at_risk": 45.0,
        "revenue_lost": 88.0,
        "revenue_saved": 45.0,
        "num_at_risk": 2,
        "num_lost": 2,
        "num_saved": 1,
        "num_without_value": 0,
    }


def test_what_is_not_known_is_none_and_not_nothing() -> None:
    masked = at_risk(None, 0.5) + outcome(None, 0.5, called=True, churned=True)
    assert masked.figures()["revenue_at_risk"] is masked.figures()["revenue_lost"] is None
    assert masked.figures()["num_without_value"] == 2
    some = masked + at_risk(10.0, 0.5)
    assert (some.figures()["revenue_at_risk"], some.num_without_value) == (5.0, 2)
    assert at_risk(10.0, 0.5).figures(has_values=False)["revenue_at_risk"] is None
    assert RevenueSums().figures()["revenue_lost"] == 0.0


@given(st.lists(SOMEBODY), st.integers(0, 20))
def test_clients_add_up_to_all(customers: list[RevenueSums], cut: int) -> None:
    both = add_revenue(customers[cut:]) + add_revenue(customers[:cut])
    assert both == add_revenue(customers)


@pytest.mark.parametrize("churned", [True, False])
def test_who_was_called_and_stayed_saves_what_was_to_be_expected(churned: bool) -> None:
    one = outcome(200.0, 0.4, called=True, churned=churned).figures()
    expected = (200.0, 0.0) if churned else (0.0, 80.0)
    assert (one["revenue_lost"], one["revenue_saved"]) == pytest.approx(expected, abs=1e-5)
