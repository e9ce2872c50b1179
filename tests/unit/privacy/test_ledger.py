"""The ledger keeps what was spent, whoever is killed when."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from fedchurn.errors import PrivacyError
from fedchurn.privacy.account import client_accounts, over_budget
from fedchurn.privacy.ledger import Ledger, LedgerEntry, ledger_path
from fedchurn.privacy.spending import Spending

TIME = "2026-03-01T12:00:00+00:00"
ENTRY = LedgerEntry(
    action="reserve",
    number=0,
    training="key",
    time=TIME,
    mechanism="central",
    noise_multiplier=5.0,
    sampling_rate=1.0,
    epsilon=4.5,
    delta=1e-5,
    num_rounds={"north": 25, "south": 25},
)
ONCE = Spending("central", 25, 5.0)  # epsilon 4.377


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(ledger_path(tmp_path, "shop"))


def test_a_reservation_counts_in_full_until_it_is_settled(ledger: Ledger) -> None:
    booked = ledger.reserve(ENTRY)
    assert ledger.history() == {"north": (ONCE,), "south": (ONCE,)}
    ledger.settle(booked, {"north": 25, "south": 4}, TIME)
    assert ledger.history()["south"] == (replace(ONCE, num_rounds=4),)
    assert [e.action for e in ledger.entries()] == ["reserve", "settle"]
    assert [b.action for b in ledger.bookings()] == ["settle"]


def test_who_was_in_no_round_spent_nothing(ledger: Ledger) -> None:
    ledger.settle(ledger.reserve(ENTRY), {"north": 25}, TIME)
    north, south = client_accounts(ledger.bookings(), 1e-5, 10.0)
    assert (north.num_trainings, south.num_trainings) == (1, 0)
    assert (south.epsilon, south.left_epsilon) == (0.0, 10.0)


def test_of_two_processes_with_one_training_the_larger_number_stands(ledger: Ledger) -> None:
    booked = ledger.reserve(ENTRY)
    ledger.settle(booked, {"north": 25, "south": 4}, TIME)
    ledger.settle(booked, {"north": 3, "south": 9}, TIME)
    assert [s.num_rounds for s in ledger.history()["north"]] == [25]
    assert [s.num_rounds for s in ledger.history()["south"]] == [9]


def test_no_training_settles_more_than_it_reserved(ledger: Ledger) -> None:
    booked = ledger.reserve(ENTRY)
    with pytest.raises(PrivacyError, match="north was in 26 rounds, and 25 were reserved"):
        ledger.settle(booked, {"north": 26}, TIME)
    assert ledger.history()["north"] == (ONCE,)


def test_a_trainer_killed_after_its_reservation_has_spent_it(ledger: Ledger) -> None:
    child = os.fork()
    if child == 0:
        try:
            Ledger(ledger.path).reserve(ENTRY)  # a lock is not inherited
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    (account, _) = client_accounts(ledger.bookings(), 1e-5, None)
    assert (account.num_open, account.num_rounds) == (1, 25)
    assert account.epsilon == pytest.approx(4.3772, abs=1e-4)
    assert ledger.reserve(ENTRY).number == 2


def test_a_line_torn_by_a_kill_is_set_aside_and_the_rest_counts(ledger: Ledger) -> None:
    ledger.reserve(ENTRY)
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole + whole[: len(whole) // 2])
    assert len(ledger.history()["north"]) == 1
    assert ledger.reserve(ENTRY).number == 2
    assert len(ledger.history()["north"]) == 2


def test_an_altered_ledger_is_refused(ledger: Ledger) -> None:
    ledger.reserve(ENTRY)
    text = ledger.path.read_text(encoding="utf-8")
    ledger.path.write_text(text.replace('"north":25', '"north":1'), encoding="utf-8")
    with pytest.raises(PrivacyError, match="line 1 of the journal is altered"):
        ledger.history()


def test_accounts_compose_trainings(ledger: Ledger) -> None:
    for _ in range(4):
        ledger.settle(ledger.reserve(ENTRY), ENTRY.num_rounds, TIME)
    account = client_accounts(ledger.bookings(), 1e-5, 12.0)[0]
    # Four times noise multiplier 1 is once 1/2.
    assert account.epsilon == pytest.approx(9.9973, abs=1e-3)
    assert account.left_epsilon == pytest.approx(12.0 - account.epsilon)
    assert account.to_dict()["left_epsilon"] == account.left_epsilon


def test_a_training_above_the_budget_is_told_with_its_figures() -> None:
    reasons = over_budget({"north": [ONCE]}, ["north", "south"], ONCE, 1e-5, 5.0)
    assert set(reasons) == {"north"}
    assert "4.38 of epsilon 5 is spent, this training would make it 6." in reasons["north"]
    assert over_budget({"north": [ONCE] * 9}, ["north"], ONCE, 1e-5, None) == {}
