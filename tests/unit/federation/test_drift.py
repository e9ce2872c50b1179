"""A federation is asked about drift: who is named, who is quiet, who is absent."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fedchurn.drift.clients.client_verdicts import Extent, FederatedDrift
from fedchurn.drift.verdict import DriftRule, Subject, Verdict
from fedchurn.errors import QuorumError
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.drift.question import ask_about_drift
from fedchurn.federation.exchange import Exchange, Reply, Request
from fedchurn.federation.flower.grid import run_in_process
from fedchurn.federation.training.checks import RoundPolicy
from tests.unit.federation.clients import Altered, Broken
from tests.unit.federation.drift_clients import (
    CLIENTS,
    SHIFTS,
    Shift,
    current,
    federation,
    longer_tenure,
    more_churn,
    question,
    sessions,
)

POLICY = RoundPolicy()
RULE = DriftRule(level=0.001, warning_level=0.001)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("num_rows", [200, 1000])
@pytest.mark.parametrize(("shift", "column", "kind"), SHIFTS)
def test_the_one_shifted_client_of_five_is_named(
    shift: Shift, column: str, kind: str, num_rows: int, seed: int
) -> None:
    now = federation(current(seed, "d", shift, num_rows))
    found = ask_about_drift(now, POLICY, question(seed), RULE)
    assert (found.verdict, found.extent, found.named) == (Verdict.DRIFT, Extent.SOME, ("d",))
    assert [one.client for one in found.clients if one.flagged] == ["d"]
    assert kind in found.kind
    drifted = {c.column for one in found.clients for c in one.called_out(Verdict.DRIFT)}
    assert column in drifted


@pytest.mark.parametrize("seed", range(3))
def test_labels_alone_are_told_as_labels(seed: int) -> None:
    found = ask_about_drift(
        federation(current(seed, "b", more_churn)), POLICY, question(seed), RULE
    )
    assert (found.named, found.kind) == (("b",), "label")


@pytest.mark.parametrize("seed", range(3))
def test_all_are_named_when_all_have_shifted(seed: int) -> None:
    now = federation(current(seed, "abcde", longer_tenure))
    found = ask_about_drift(now, POLICY, question(seed), RULE)
    assert (found.extent, found.named) == (Extent.ALL, CLIENTS)


@pytest.mark.parametrize("seed", range(6))
def test_nobody_is_named_while_nothing_has_changed(seed: int) -> None:
    found = ask_about_drift(federation(current(seed)), POLICY, question(seed), RULE)
    assert (found.verdict, found.named) == (Verdict.NONE, ())
    assert {c.subject for one in found.clients for c in one.columns} == {
        Subject.COVARIATE,
        Subject.SCORE,
        Subject.LABEL,
    }


def test_a_changed_column_shows_in_the_score_too() -> None:
    now = federation(current(1, "a", longer_tenure, 1000))
    assert ask_about_drift(now, POLICY, question(1), RULE).kind == "covariate and score"


def test_rows_without_labels_are_judged_without_labels() -> None:
    tables = current(2, "c", longer_tenure)
    unknown = np.full(200, -1, dtype=np.int8)
    tables["c"] = replace(tables["c"], target=unknown)
    half = np.where(np.arange(200) % 2, tables["a"].target, -1).astype(np.int8)
    tables["a"] = replace(tables["a"], target=half)
    found = ask_about_drift(federation(tables), POLICY, question(2), RULE)
    by_name = {one.client: one for one in found.clients}
    assert by_name["c"].left_out == ("churned",)
    assert found.named == ("c",)
    assert "churned" in {column.column for column in by_name["a"].columns}


def test_copies_of_a_customer_count_once() -> None:
    tables = current(3)
    copied = tables["e"].take(np.repeat(np.arange(200), 9))
    found = ask_about_drift(federation({**tables, "e": copied}), POLICY, question(3), RULE)
    assert {one.client: one.num_window_rows for one in found.clients}["e"] == 200
    assert found.named == ()


def test_a_failing_client_is_absent_with_its_reason() -> None:
    handlers = {**sessions(current(4, "a", longer_tenure)), "b": Broken()}
    exchange, policy = DirectExchange(handlers), RoundPolicy(quorum_fraction=0.8)
    found = ask_about_drift(exchange, policy, question(4), RULE)
    assert found.named == ("a",)
    assert found.absent == {"b": "OSError: disk gone during drift"}
    with pytest.raises(QuorumError, match="disk gone"):
        ask_about_drift(exchange, POLICY, question(4), RULE)


def test_a_client_with_fewer_than_k_customers_says_only_that() -> None:
    tables = current(4)
    handlers = sessions({**tables, "b": tables["b"].take(np.arange(4))})
    found = ask_about_drift(
        DirectExchange(handlers), RoundPolicy(quorum_fraction=0.8), question(4), RULE
    )
    assert "holds fewer than 5 customers" in found.absent["b"]


BAD_NUMBERS = {
    "no rows": {"min_cell_rows": 5.0},
    "endless rows": {"num_rows": float("inf"), "min_cell_rows": 5.0},
    "no k": {"num_rows": 200.0, "min_cell_rows": 0.0},
}


@pytest.mark.parametrize("what", ["short", "small count", "too many", "floats", *BAD_NUMBERS])
def test_counts_that_cannot_be_make_a_client_absent(what: str) -> None:
    def change(_request: Request, reply: Reply) -> Reply:
        arrays = {name: np.array(array) for name, array in reply.arrays.items()}
        if what in BAD_NUMBERS:
            return replace(reply, numbers=BAD_NUMBERS[what])
        if what == "floats":
            arrays["drift:plan"] = np.full(7, np.nan)
        elif what == "short":
            arrays["drift:plan"] = arrays["drift:plan"][1:]
        else:
            arrays["drift:plan"][0] = 3 if what == "small count" else 10**6
        return replace(reply, arrays=arrays)

    handlers = sessions(current(5))
    altered = {**handlers, "c": Altered(handlers["c"], change)}
    found = ask_about_drift(
        DirectExchange(altered), RoundPolicy(quorum_fraction=0.8), question(5), RULE
    )
    assert found.absent["c"].startswith("no usable counts: ")
    assert found.verdict is Verdict.NONE


def test_a_stranger_is_told_as_one() -> None:
    tables = current(5)
    tables["x"] = replace(tables.pop("a"), client="x")
    found = ask_about_drift(federation(tables), POLICY, question(5), RULE)
    assert found.absent == {
        "a": "sent nothing",
        "x": "took no part in the training of this release",
    }


def test_with_noise_a_landslide_is_seen_and_quiet_clients_stay_quiet() -> None:
    now = federation(current(6, "d", longer_tenure, 1000))
    found = ask_about_drift(now, POLICY, question(6, epsilon=5.0), RULE)
    assert found.named == ("d",)


def test_noise_that_is_larger_than_a_window_does_not_make_clients_absent() -> None:
    now = federation(current(8, "d", longer_tenure, 60))
    found = ask_about_drift(now, POLICY, question(8, epsilon=0.2), RULE)
    assert found.absent == {}


def test_engines_agree() -> None:
    tables, asked = current(7, "b", longer_tenure), question(7)
    direct = ask_about_drift(federation(tables), POLICY, asked, RULE)
    kept: list[FederatedDrift] = []

    def drive(exchange: Exchange, _context: object) -> None:
        kept.append(ask_about_drift(exchange, POLICY, asked, RULE))

    run_in_process(drive, sessions(tables))
    assert kept == [direct]
