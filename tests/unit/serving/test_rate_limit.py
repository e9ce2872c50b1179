"""Token buckets, by a clock that the tests turn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.serving.access.rate_limit import RateLimiter, address_caller, make_limiter


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    limiter = RateLimiter(2.0, 3, clock=clock)
    assert [limiter.wait_seconds("shop") for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limiter.wait_seconds("shop") == 0.5
    clock.now += 0.25
    assert limiter.wait_seconds("shop") == 0.25
    clock.now += 0.25
    assert limiter.wait_seconds("shop") == 0.0
    assert limiter.wait_seconds("shop") == 0.5


def test_an_idle_caller_saves_no_more_than_the_burst() -> None:
    clock = Clock()
    limiter = RateLimiter(2.0, 3, clock=clock)
    limiter.wait_seconds("shop")
    clock.now += 3600
    allowed = [limiter.wait_seconds("shop") == 0.0 for _ in range(5)]
    assert allowed == [True, True, True, False, False]


def test_callers_do_not_share() -> None:
    limiter = RateLimiter(1.0, 1, clock=Clock())
    assert limiter.wait_seconds("shop") == 0.0
    assert limiter.wait_seconds("office") == 0.0
    assert limiter.wait_seconds("shop") == 1.0


def test_only_the_last_callers_are_remembered() -> None:
    limiter = RateLimiter(1.0, 1, max_callers=2, clock=Clock())
    for caller in ("first", "second", "third"):
        limiter.wait_seconds(caller)
    assert len(limiter) == 2
    assert limiter.wait_seconds("second") == 1.0  # remembered, and now the newest
    assert limiter.wait_seconds("first") == 0.0  # forgotten: a full bucket again
    assert limiter.wait_seconds("third") == 0.0  # pushed out by it


@given(st.lists(st.floats(0, 2), max_size=60), st.integers(1, 5), st.floats(0.1, 10))
def test_never_more_than_burst_plus_rate_times_time(
    pauses: list[float], burst: int, rate: float
) -> None:
    clock = Clock()
    limiter = RateLimiter(rate, burst, clock=clock)
    num_allowed = 0
    for pause in pauses:
        clock.now += pause
        num_allowed += limiter.wait_seconds("shop") == 0.0
    assert num_allowed <= burst + rate * sum(pauses) + 1e-6


def test_workers_share_the_limit() -> None:
    one_of_two = make_limiter(10.0, 4, num_workers=2)
    assert one_of_two is not None
    assert [one_of_two.wait_seconds("shop") > 0 for _ in range(3)] == [False, False, True]


def test_a_rate_of_zero_is_no_limit() -> None:
    assert make_limiter(0.0, 20) is None


@pytest.mark.parametrize(
    ("address", "caller"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("not:an:address", "not:an:address"),
    ],
)
def test_an_address_stands_for_one_caller(address: str, caller: str) -> None:
    assert address_caller(address) == caller
