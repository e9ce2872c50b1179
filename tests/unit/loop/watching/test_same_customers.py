"""Customers who come again are counted from a few hashes."""

from __future__ import annotations

import pytest

from fedchurn.loop.watching.same_customers import (
    NUM_HASHES,
    customer_hashes,
    merge_hashes,
    shared_fraction,
)


def _ids(start: int, stop: int) -> list[str]:
    return [f"c{number}" for number in range(start, stop)]


def test_few_customers_are_counted_exactly() -> None:
    first, second = customer_hashes(_ids(0, 100)), customer_hashes(_ids(75, 175))
    assert shared_fraction(second, first) == 0.25
    assert shared_fraction(first, first) == 1.0
    assert shared_fraction(first, customer_hashes(_ids(500, 600))) == 0.0


def test_many_customers_are_estimated() -> None:
    window, earlier = customer_hashes(_ids(0, 20_000)), customer_hashes(_ids(10_000, 60_000))
    assert len(window) == len(earlier) == NUM_HASHES
    assert shared_fraction(window, earlier) == pytest.approx(0.5, abs=0.15)
    few = customer_hashes(_ids(0, 5000))
    assert shared_fraction(few, window) == 1.0


def test_unknown_customers_are_met_by_nobody() -> None:
    assert customer_hashes([None, None]) == ()
    assert shared_fraction((), customer_hashes(["a"])) == 0.0
    assert shared_fraction(customer_hashes(["a"]), ()) == 0.0


def test_parts_of_a_window_add_up() -> None:
    whole = customer_hashes(_ids(0, 1000))
    assert merge_hashes(customer_hashes(_ids(0, 400)), customer_hashes(_ids(300, 1000))) == whole
