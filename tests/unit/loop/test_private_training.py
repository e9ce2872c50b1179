"""Bookings of private trainings: before the rounds, over kills, and what a release then holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fedchurn.contract.load import load_contract
from fedchurn.drift.reference import read_reference
from fedchurn.errors import PrivacyError
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.secure.cost import cost_of
from fedchurn.federation.secure.switch import secured_exchange, secured_handler
from fedchurn.federation.training.checkpoint import NoCheckpoints, Progress
from fedchurn.federation.training.state import RoundRecord, RoundState
from fedchurn.loop.private_release import (
    objective_without_rows,
    privacy_notes,
    published_records,
    reference_without_rows,
)
from fedchurn.loop.private_training import Booking, OnlyClients, book
from fedchurn.privacy.ledger import Ledger, ledger_path
from fedchurn.settings import EvaluationSettings, Settings
from fedchurn.settings_files import load_settings
from fedchurn.settings_secure import SecureSettings
from tests.unit.federation.clients import CONTRACT, table

CLIENTS = ("north", "south", "west")
ROUNDS = 30  # of the private recipe


class Kept(NoCheckpoints):
    """Checkpoints that hold one progress."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def newest(self) -> Progress | None:
        return self._progress


def at_round(number: int) -> Kept:
    return Kept(Progress({}, {}, state=RoundState(number, (), {})))


def settings_at(home: Path, **privacy: object) -> Settings:
    values = {"home": home, "recipe": "private", "privacy": {"mode": "central", **privacy}}
    return load_settings(None, [], values)


def booked(settings: Settings, kept: NoCheckpoints, key: str = "key") -> Booking:
    booking = book(settings, "shop", CLIENTS, key, kept)
    assert booking is not None
    return booking


def rounds_of(settings: Settings, client: str = "north") -> list[int]:
    history = Ledger(ledger_path(settings.home, "shop")).history()
    return [spending.num_rounds for spending in history[client]]


def records(participants: Sequence[str], num_rounds: int = ROUNDS) -> list[RoundRecord]:
    return [RoundRecord(n, "fedavg", tuple(participants)) for n in range(num_rounds + 1)]


def test_without_privacy_nothing_is_booked(tmp_path: Path) -> None:
    settings = load_settings(None, [], {"home": tmp_path})
    assert book(settings, "shop", CLIENTS, "key", NoCheckpoints()) is None
    assert list(tmp_path.iterdir()) == []


def test_rounds_are_reserved_before_they_run_and_settled_after(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    booking = booked(settings, NoCheckpoints())
    assert rounds_of(settings) == [ROUNDS]
    booking.settle(records(["north", "south"]))
    assert (rounds_of(settings), rounds_of(settings, "west")) == ([ROUNDS], [0])


def test_rounds_of_clients_drawn_by_chance_are_spent_by_everybody(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    booking = booked(settings, NoCheckpoints())
    drawn = replace(booking, terms=replace(booking.terms, sampling_rate=0.5))
    drawn.settle(records(["north"]))
    assert rounds_of(settings, "west") == [ROUNDS]


def test_a_central_training_that_goes_on_is_not_booked_again(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    first = booked(settings, NoCheckpoints())
    again = booked(settings, at_round(7))
    assert again.entry.number == first.entry.number
    assert again.terms == first.terms
    assert rounds_of(settings) == [ROUNDS]


@pytest.mark.parametrize("mode", ["central", "local"])
@pytest.mark.parametrize("is_settled", [True, False])
def test_one_that_was_killed_after_its_last_round_is_not_booked_again(
    tmp_path: Path, mode: str, *, is_settled: bool
) -> None:
    settings = settings_at(tmp_path, mode=mode)
    first = booked(settings, NoCheckpoints())
    if is_settled:
        first.settle(records(CLIENTS))
    again = booked(settings, at_round(ROUNDS))  # what the newest checkpoint holds then
    again.settle(records(CLIENTS))
    assert rounds_of(settings) == [ROUNDS]
    assert again.terms.num_rounds == ROUNDS


def test_training_the_same_once_more_spends_again(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    booked(settings, NoCheckpoints()).settle(records(CLIENTS))
    booked(settings, NoCheckpoints())
    assert rounds_of(settings) == [ROUNDS, ROUNDS]


def test_another_training_does_not_take_over_a_reservation(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    booked(settings, NoCheckpoints(), "one")
    booked(settings, NoCheckpoints(), "two")
    assert rounds_of(settings) == [ROUNDS, ROUNDS]


def test_a_local_training_that_goes_on_pays_for_the_rounds_around_the_kill_twice(
    tmp_path: Path,
) -> None:
    settings = settings_at(tmp_path, mode="local")
    booked(settings, NoCheckpoints())
    booked(settings, at_round(10))
    assert rounds_of(settings) == [12, ROUNDS - 10]
    booked(settings, at_round(25))
    assert rounds_of(settings) == [12, 17, ROUNDS - 25]


def test_a_local_training_that_went_on_settles_the_rounds_of_its_own_booking(
    tmp_path: Path,
) -> None:
    settings = settings_at(tmp_path, mode="local")
    booked(settings, NoCheckpoints())
    again = booked(settings, at_round(10))
    again.settle(records(CLIENTS))  # the records of all rounds, those before the kill too
    assert rounds_of(settings) == [12, ROUNDS - 10]
    card = booked(settings, at_round(ROUNDS)).to_card()
    assert card["num_rounds"] == ROUNDS
    assert card["epsilon"] == again.to_card()["epsilon"]


def test_a_local_training_without_checkpoints_stays_booked_in_full(tmp_path: Path) -> None:
    settings = settings_at(tmp_path, mode="local")
    booked(settings, NoCheckpoints())
    booked(settings, NoCheckpoints())
    assert rounds_of(settings) == [ROUNDS, ROUNDS]


def test_the_third_training_is_refused_with_the_arithmetic(tmp_path: Path) -> None:
    settings = settings_at(tmp_path, epsilon=4.0, client_budget_epsilon=6.0)
    for key in ("first", "second"):
        booked(settings, NoCheckpoints(), key).settle(records(CLIENTS))
    with pytest.raises(PrivacyError, match=r"5\.\d\d of epsilon 6 is spent") as refused:
        book(settings, "shop", CLIENTS, "third", NoCheckpoints())
    assert "0 of 3 clients have enough privacy budget left, 3 are needed" in refused.value.what
    assert len(rounds_of(settings)) == 2


def test_who_has_no_budget_is_absent_in_every_round(tmp_path: Path) -> None:
    settings = settings_at(tmp_path, epsilon=4.0, client_budget_epsilon=5.0)
    booked(settings, NoCheckpoints(), "first").settle(records(["north"]))
    lenient = settings.model_copy(
        update={"federation": settings.federation.model_copy(update={"quorum_fraction": 0.5})}
    )
    booking = booked(lenient, NoCheckpoints(), "second")
    assert booking.terms.clients == ("south", "west")
    told = booking.told_in(records(["south", "west"], 2))
    assert all("4.00 of epsilon 5 is spent" in r.absences["north"] for r in told)
    assert booking.to_card()["left_out"].keys() == {"north"}


class Silent:
    """A client that must not be asked."""

    def handle(self, request: Request) -> Reply:
        raise AssertionError(f"asked for {request.task}")


class Polite:
    """A client that answers."""

    def handle(self, request: Request) -> Reply:
        return Reply("south")


def test_clients_without_budget_are_asked_nothing() -> None:
    exchange = OnlyClients(DirectExchange({"north": Silent(), "south": Polite()}), ["south"])
    assert exchange.clients() == ("south",)
    assert [r.client for r in exchange.ask(Request("evaluate", 1))] == ["south"]
    assert exchange.ask(Request("evaluate", 1), ["north"]) == ()


def test_messages_of_secure_aggregation_are_counted_in_a_private_training_too() -> None:
    settings = SecureSettings(on=True)
    names = ("east", "north", "south", "west")
    handlers = {
        name: secured_handler(name, ClientSession(table(name, 60, 1), CONTRACT), settings)
        for name in names
    }
    everybody = secured_exchange(DirectExchange(handlers), settings)
    exchange = OnlyClients(everybody, names[:3])
    exchange.ask(Request("statistics", 0, config={"min_cell_rows": 1}))
    cost = cost_of(exchange)
    assert cost is not None
    assert sorted(cost.bytes_up) == list(names[:3])


def test_the_card_tells_the_promise_and_what_is_outside(tmp_path: Path) -> None:
    booking = booked(settings_at(tmp_path), NoCheckpoints())
    notes = " ".join(privacy_notes(booking.to_card()))
    for words in ("epsilon 8.00 at delta 1e-05", "dp-accounting", "no amplification", "Outside"):
        assert words in notes


def test_who_was_drawn_is_not_published(tmp_path: Path) -> None:
    card = booked(settings_at(tmp_path), NoCheckpoints()).to_card()
    told = {"train": {"num_rows": 7.0, "loss": 0.5, "accuracy": 0.8, "roc_auc": 0.9}}
    each = {"north": {"loss": 0.5}, "south": {"validation_f1": 0.4, "num_rows": 3.0}}
    made = [
        replace(r, cohort=("north",), bytes_up=5, seconds={"train": 1.0}, per_client=each, **told)
        for r in records(["north"], 2)
    ]
    assert published_records(made, card) == tuple(made)
    hidden = published_records(made, {**card, "sampling_rate": 0.5})
    assert {r.participants for r in hidden} == {CLIENTS}
    assert {(r.cohort, r.bytes_up, *r.seconds) for r in hidden} == {((), 0)}
    # The rows of those who were drawn add up: with every client's rows known, that names them.
    assert [r.train for r in hidden] == [{"roc_auc": 0.9}] * 3
    assert [r.per_client for r in hidden] == [{"south": {"validation_f1": 0.4}}] * 3


@pytest.mark.parametrize(
    ("objective", "threshold", "noted"),
    [("cost", 1 / 6, True), ("f1", 1 / 6, True), ("accuracy", 0.5, False), ("fixed", 0.3, False)],
)
def test_no_row_has_a_say_in_the_threshold(
    objective: str, threshold: float, *, noted: bool
) -> None:
    given = EvaluationSettings.model_validate({"objective": objective, "threshold": 0.3})
    found, note = objective_without_rows(given)
    assert (found.name, found.threshold) == ("fixed", pytest.approx(threshold))
    assert bool(note) is noted


def test_an_empty_drift_reference_judges_nothing() -> None:
    contract = load_contract("ecommerce")
    stored = reference_without_rows(contract, 5)
    assert not any(np.any(part["cells"]) for part in stored["pooled"]["categories"].values())
    assert read_reference(stored, contract).columns == ()
