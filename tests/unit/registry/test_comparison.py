"""Paired comparison of two models: by hand, against brute force, and as properties."""

from __future__ import annotations

import json
import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import norm

from fedchurn.errors import FederationError
from fedchurn.registry.comparison import (
    ClientComparison,
    client_comparison,
    combine_comparisons,
)

Rows = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


def brute_force(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Obuchowski (1997) written down pair by pair, exactly as in the paper."""
    target, *scores, groups = rows
    positive, negative = np.flatnonzero(target == 1), np.flatnonzero(target == 0)
    m, n = len(positive), len(negative)
    wins = [
        {(i, j): float(s[i] > s[j]) + 0.5 * (s[i] == s[j]) for i, j in product(positive, negative)}
        for s in scores
    ]
    auc = np.array([sum(w.values()) / (m * n) for w in wins])
    v10 = [{i: sum(w[i, j] for j in negative) / n for i in positive} for w in wins]
    v01 = [{j: sum(w[i, j] for i in positive) / m for j in negative} for w in wins]
    customers = np.unique(groups)

    def deviation(model: int, customer: int, side: dict[int, float]) -> float:
        return sum(v - auc[model] for row, v in side.items() if groups[row] == customer)

    def spread(a: int, b: int) -> float:
        k10, k01, k = len(set(groups[positive])), len(set(groups[negative])), len(customers)
        d10 = [[deviation(x, c, v10[x]) for c in customers] for x in (a, b)]
        d01 = [[deviation(x, c, v01[x]) for c in customers] for x in (a, b)]
        s10 = k10 / ((k10 - 1) * m) * np.dot(d10[0], d10[1])
        s01 = k01 / ((k01 - 1) * n) * np.dot(d01[0], d01[1])
        s11 = k / (k - 1) * (np.dot(d10[0], d01[1]) + np.dot(d01[0], d10[1]))
        return float(s10 / m + s01 / n + s11 / (m * n))

    return auc, np.array([[spread(a, b) for b in (0, 1)] for a in (0, 1)])


@st.composite
def tables(draw: st.DrawFn) -> Rows:
    """Few rows with ties, at least two customers per class, some customers with several rows."""
    num_rows = draw(st.integers(6, 24))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    groups = np.concatenate([np.arange(4), generator.integers(0, num_rows, num_rows - 4)])
    target = np.concatenate([[1, 1, 0, 0], generator.integers(0, 2, num_rows - 4)])
    levels = draw(st.sampled_from([2, 5, 1000]))
    return target, *generator.integers(0, levels, (2, num_rows)) / levels, groups


def compare(rows: Rows, client: str = "") -> ClientComparison:
    return client_comparison(*rows, client=client)


def test_two_against_two_by_hand() -> None:
    # pairs won: 3>2, 3>0, 1>0; lost: 1<2. Components of positives 1, .5, of negatives .5, 1:
    # variance .125 each, so .125/2 + .125/2.
    found = client_comparison([1, 1, 0, 0], [3, 1, 2, 0], [3, 1, 2, 0], [0, 1, 2, 3])
    assert found.auc_challenger == 0.75
    assert found.variance_challenger == pytest.approx(0.125)
    assert found.covariance == pytest.approx(0.125)
    assert found.difference == 0.0


@given(tables())
@settings(deadline=None)
def test_equals_the_pair_by_pair_formula(rows: Rows) -> None:
    auc, covariance = brute_force(rows)
    found = compare(rows)
    assert (found.auc_challenger, found.auc_champion) == pytest.approx(tuple(auc))
    assert found.variance_challenger == pytest.approx(covariance[0, 0], abs=1e-12)
    assert found.variance_champion == pytest.approx(covariance[1, 1], abs=1e-12)
    assert found.covariance == pytest.approx(covariance[0, 1], abs=1e-12)


@given(tables())
def test_swapping_the_models_swaps_the_answer(rows: Rows) -> None:
    target, challenger, champion, groups = rows
    one = combine_comparisons([compare(rows)])
    two = combine_comparisons([compare((target, champion, challenger, groups))])
    assert two.difference == pytest.approx(-one.difference)
    assert two.standard_error == pytest.approx(one.standard_error)
    assert two.p_worse == pytest.approx(one.p_better, abs=1e-9)


@given(tables())
def test_identical_scores_never_differ(rows: Rows) -> None:
    target, challenger, _, groups = rows
    found = combine_comparisons([compare((target, challenger, challenger, groups))])
    assert (found.difference, found.z, found.p_better, found.p_worse) == (0.0, 0.0, 0.5, 0.5)


@given(tables())
def test_only_the_order_of_scores_counts(rows: Rows) -> None:
    target, challenger, champion, groups = rows
    found = compare((target, np.exp(3 * challenger), champion, groups))
    assert found == compare(rows)


@given(tables(), st.integers(2, 4))
def test_copies_of_a_customer_add_no_certainty(rows: Rows, copies: int) -> None:
    tripled = tuple(np.repeat(values, copies) for values in rows)
    one, many = compare(rows), compare(tripled)  # type: ignore[arg-type]
    assert many.difference == pytest.approx(one.difference)
    assert many.variance_of_difference == pytest.approx(one.variance_of_difference, abs=1e-12)


def test_copies_taken_for_customers_would_cry_wolf() -> None:
    """Challenger and champion are equally good; the test may be fooled in about 5 % of tries."""
    generator = np.random.default_rng(11)
    alarms = {"customers": 0, "rows": 0}
    for _ in range(400):
        target = (np.arange(120) % 3 == 0).astype(int)
        signal = target + generator.normal(size=120)
        scores = signal + 0.5 * generator.normal(size=(2, 120))
        rows = [np.repeat(v, 4) for v in (target, *scores, np.arange(120))]
        clustered = combine_comparisons([client_comparison(*rows)])
        naive = combine_comparisons([client_comparison(*rows[:3], np.arange(480))])
        alarms["customers"] += clustered.p_better < 0.05
        alarms["rows"] += naive.p_better < 0.05
    assert 0.02 < alarms["customers"] / 400 < 0.08
    assert alarms["rows"] / 400 > 0.15


def test_z_and_p_are_those_of_the_normal_distribution() -> None:
    one = ClientComparison("a", 10, 20, 30, 0.80, 0.76, 0.0004, 0.0004, 0.0002)
    found = combine_comparisons([one])
    assert found.standard_error == pytest.approx(0.02)
    assert found.z == pytest.approx(2.0)
    assert found.p_better == pytest.approx(norm.sf(2.0))
    assert found.p_worse == pytest.approx(norm.cdf(2.0))


def test_clients_weigh_by_their_pairs() -> None:
    one = ClientComparison("a", 10, 30, 40, 0.80, 0.70, 0.001, 0.001, 0.0005)
    two = ClientComparison("b", 10, 10, 20, 0.60, 0.70, 0.004, 0.004, 0.002)
    found = combine_comparisons([one, two])
    assert found.difference == pytest.approx(0.75 * 0.10 - 0.25 * 0.10)
    assert found.standard_error**2 == pytest.approx(0.75**2 * 0.001 + 0.25**2 * 0.004)
    assert found.client_differences == {"a": pytest.approx(0.1), "b": pytest.approx(-0.1)}
    assert found.num_customers == 60


def test_a_client_that_cannot_tell_is_named_and_has_no_weight() -> None:
    lively = compare(
        (np.array([1, 1, 0, 0]), np.array([3.0, 1, 2, 0]), np.array([1.0, 3, 0, 2]), np.arange(4)),
        "lively",
    )
    loyal = client_comparison([0, 0, 0], [1, 2, 3], [1, 2, 3], [1, 2, 3], client="loyal")
    single = client_comparison([1, 1, 0, 0], [2, 2, 1, 0], [0, 0, 1, 2], [7, 7, 8, 9], client="one")
    empty = client_comparison([], [], [], [], client="empty")
    assert not any(c.is_measured for c in (loyal, single, empty))
    found = combine_comparisons([lively, loyal, single, empty])
    assert found.difference == combine_comparisons([lively]).difference
    assert found.client_differences == {"lively": 0.0, "loyal": None, "one": None, "empty": None}
    with pytest.raises(FederationError, match="none of 2 clients"):
        combine_comparisons([loyal, empty])


def test_certain_difference_without_spread() -> None:
    perfect, useless = [2.0, 2, 1, 1], [1.0, 1, 1, 1]
    found = combine_comparisons([client_comparison([1, 1, 0, 0], perfect, useless, range(4))])
    assert (found.difference, found.z, found.p_better) == (0.5, math.inf, 0.0)
    assert json.dumps(found.to_dict(), allow_nan=False)


def test_numbers_travel() -> None:
    one = client_comparison([1, 1, 0, 0], [3, 1, 2, 0], [1, 3, 2, 0], range(4), client="north")
    assert ClientComparison.from_numbers("north", one.to_numbers()) == one


def test_a_score_that_is_not_finite_is_refused() -> None:
    with pytest.raises(FederationError, match="not finite"):
        client_comparison([1, 0], [1, np.nan], [1, 0], [1, 2])
