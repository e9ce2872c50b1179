"""Numbers survive the way into words and back, alone and added."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.errors import FederationError
from fedchurn.federation.secure.fixed_point import Layout, from_words, to_words
from fedchurn.federation.secure.ring import Words, add_words, negative_words, sum_words

WORD = st.integers(0, 2**64 - 1)


def as_integers(words: Words, num_single: int) -> list[int]:
    """The numbers behind words, by Python's own integers."""
    num_wide = (len(words) - num_single) // 2
    single = [int(word) for word in words[:num_single]]
    low, high = words[num_single : num_single + num_wide], words[num_single + num_wide :]
    return single + [int(a) + (int(b) << 64) for a, b in zip(low, high, strict=True)]


@given(st.lists(st.tuples(WORD, WORD), min_size=4, max_size=4))
def test_adding_wraps_around_where_each_number_ends(pairs: list[tuple[int, int]]) -> None:
    left, right = (np.array(side, dtype=np.uint64) for side in zip(*pairs, strict=True))
    moduli = [2**64, 2**64, 2**128]
    expected = [
        (a + b) % m
        for a, b, m in zip(as_integers(left, 2), as_integers(right, 2), moduli, strict=True)
    ]
    assert as_integers(add_words(left, right, 2), 2) == expected
    assert not add_words(left, negative_words(left, 2), 2).any()


def test_one_and_a_half_by_hand() -> None:
    layout, words = to_words({"x": np.array([1.5, -1.5])}, {"n": -2.0}, 3)
    assert layout == Layout((("x", (2,), "float"),), ("n",))
    assert words.tolist() == [
        3 * 2**23,
        2**64 - 3 * 2**23,
        (2**128 - 2**41) % 2**64,
        2**64 - 1,
    ]


@given(
    st.lists(st.lists(st.floats(-1e8, 1e8), min_size=3, max_size=3), min_size=1, max_size=5),
    st.booleans(),
)
def test_sums_of_numbers_are_right_to_half_a_step_each(rows: list[list[float]], wide: bool) -> None:
    vectors = [np.array(row) for row in rows]
    both = [to_words({"x": v}, {"n": v[0]}, len(rows), wide=wide) for v in vectors]
    layout = both[0][0]
    total = sum_words((words for _, words in both), layout.num_words, layout.num_single)
    arrays, numbers = from_words(layout, total)
    step = 2.0**-40 if wide else 2.0**-24
    rounding = 1e-15 * np.abs(vectors).sum(axis=0) * len(rows)  # of the sum to compare with
    assert (np.abs(arrays["x"] - sum(vectors)) <= len(rows) * step / 2 + rounding).all()
    assert numbers["n"] == pytest.approx(sum(v[0] for v in vectors), abs=1e-7)


@given(st.lists(st.integers(-(2**61), 2**61), min_size=1, max_size=3))
def test_whole_numbers_are_exact(values: list[int]) -> None:
    _, words = to_words({"n": np.array(values)}, {}, 3)
    layout, _ = to_words({"n": np.array(values)}, {}, 3)
    total = sum_words([words, words, words], layout.num_words, layout.num_single)
    assert from_words(layout, total)[0]["n"].tolist() == [3 * value for value in values]


@pytest.mark.parametrize(
    ("values", "wide", "is_refused"),
    [
        ([2.0**38 / 3], False, False),
        ([2.0**38], False, True),
        ([-(2.0**38)], False, True),
        ([2.0**80], True, False),
        ([2.0**86], True, True),
        ([np.nan], True, True),
        ([-np.inf], False, True),
        ([2**62], False, True),
    ],
)
def test_what_could_overflow_in_a_sum_of_three_is_refused(
    values: list[float], wide: bool, is_refused: bool
) -> None:
    arrays = {"x": np.array(values)}
    if is_refused:
        with pytest.raises(FederationError, match="x"):
            to_words(arrays, {}, 3, wide=wide)
    else:
        layout, words = to_words(arrays, {}, 3, wide=wide)
        total = sum_words([words] * 3, layout.num_words, layout.num_single)
        assert from_words(layout, total)[0]["x"].tolist() == pytest.approx([3 * values[0]])


def test_text_cannot_be_added() -> None:
    with pytest.raises(FederationError, match="cannot be added"):
        to_words({"x": np.array(["a"])}, {}, 3)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "not a layout"),
        ('{"entries": 3}', "not a layout"),
        ('{"entries": [["x", [-1], "float"]], "numbers": []}', "of shape"),
        ('{"entries": [["x", [Infinity], "float"]], "numbers": []}', "not a layout"),
        ("[" * 100_000, "not a layout"),
        ("no", "Expecting value"),
    ],
)
def test_what_is_no_layout_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Layout.from_json(text)
