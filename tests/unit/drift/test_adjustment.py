"""Benjamini-Hochberg by hand, and as scipy does it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fedchurn.drift.comparing.adjustment import benjamini_hochberg


def test_by_hand() -> None:
    # ranks: .01 * 4/1, .03 * 4/2, .04 * 4/3, .5 * 4/4; none above a later one
    expected = [0.16 / 3, 0.04, 0.5, 0.16 / 3]
    assert benjamini_hochberg([0.04, 0.01, 0.5, 0.03]) == pytest.approx(expected)


def test_nothing_is_nothing() -> None:
    assert benjamini_hochberg([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_as_scipy(p_values: list[float]) -> None:
    expected = stats.false_discovery_control(p_values).tolist()
    assert benjamini_hochberg(p_values) == pytest.approx(expected)
