"""Robust combination rules: numbers by hand, and what they tell about single clients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.federation.aggregation.robust import krum_scores
from fedchurn.federation.aggregation.strategies import ClientUpdate, aggregate, remarks

START = np.zeros(2)
NAMES = "abcdefgh"


def updates(*values: float, rows: int = 1) -> list[ClientUpdate]:
    return [
        ClientUpdate(NAMES[number], np.array([value, 0.0]), rows)
        for number, value in enumerate(values)
    ]


def moved(name: str, sent: list[ClientUpdate], **hyper: float) -> float:
    return float(aggregate(name, START, sent, {}, hyper)[0][0])


def test_the_trimmed_mean_leaves_out_both_ends() -> None:
    sent = updates(0.0, 1.0, 2.0, 6.0, 1e9)
    assert moved("trimmed_mean", sent) == pytest.approx(3.0)
    assert remarks("trimmed_mean", sent, {}).notes == {"num_trimmed": 1.0}
    assert moved("trimmed_mean", updates(1.0, 3.0)) == pytest.approx(2.0)
    assert moved("trimmed_mean", updates(1.0, 2.0, 9.0), trim_fraction=0.0) == pytest.approx(4.0)


def test_krum_keeps_all_but_the_farthest_and_names_it() -> None:
    sent = updates(1.0, 1.1, 0.9, 1.2, -70.0)
    assert moved("krum", sent) == pytest.approx(1.05)
    told = remarks("krum", sent, {})
    assert list(told.left_out) == ["e"]
    assert told.left_out["e"].startswith("krum: lies 1")
    assert told.notes == {"num_byzantine": 1.0, "num_chosen": 4.0}


def test_krum_scores_by_hand() -> None:
    rows = np.array([[0.0], [1.0], [3.0]])
    assert krum_scores(rows, 1).tolist() == [1.0, 1.0, 4.0]
    assert krum_scores(rows, 2).tolist() == [10.0, 5.0, 13.0]


def test_too_few_updates_lower_what_krum_can_bear_and_say_so() -> None:
    sent = updates(1.0, 2.0, 3.0, 90.0)
    assert remarks("krum", sent, {"num_byzantine": 1}).notes["num_byzantine"] == 0.0
    assert moved("krum", sent, num_byzantine=1) == pytest.approx(24.0)


def test_norm_clipping_shortens_to_the_median_length_and_names_whom() -> None:
    sent = updates(1.0, -2.0, 80.0)
    assert moved("norm_clipping", sent) == pytest.approx(1 / 3)
    told = remarks("norm_clipping", sent, {})
    assert told.changed == {"c": "norm_clipping: length 80 shortened to 2"}
    assert told.left_out == {}
    assert told.notes == {"clip_norm": 2.0}
    assert moved("norm_clipping", sent, clip_norm=3.0) == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", ["trimmed_mean", "median", "krum", "norm_clipping"])
@given(
    honest=st.lists(st.floats(-1, 1), min_size=4, max_size=7),
    hostile=st.floats(100, 1e12),
    sign=st.sampled_from([-1.0, 1.0]),
    claimed=st.integers(1, 10**12),
)
def test_one_hostile_client_moves_the_model_no_farther_than_honest_ones(
    name: str, honest: list[float], hostile: float, sign: float, claimed: int
) -> None:
    sent = updates(*honest)
    liar = ClientUpdate("z", np.array([sign * hostile, 0.0]), claimed)
    result = moved(name, [*sent, liar])
    assert abs(result) <= 1.0 + 1e-9


@pytest.mark.parametrize("name", ["trimmed_mean", "median", "krum"])
def test_rows_that_a_client_claims_give_it_no_weight(name: str) -> None:
    sent = updates(1.0, 1.1, 0.9, 1.2)
    modest, boastful = (
        [*sent, ClientUpdate("z", np.array([-1.0, 0.0]), rows)] for rows in (1, 10**12)
    )
    assert moved(name, modest) == moved(name, boastful)
