"""Which clients drift, and in what."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fedchurn.contract.schema import Contract
from fedchurn.drift.clients.client_verdicts import (
    ClientWindow,
    Extent,
    FederatedDrift,
    adjusted_by_client,
    client_references,
    judge_clients,
    label_column,
)
from fedchurn.drift.histogram import Histogram
from fedchurn.drift.reference import DriftReference, ReferenceColumn
from fedchurn.drift.verdict import (
    LABEL_COLUMN,
    SCORE_COLUMN,
    ColumnTest,
    DriftRule,
    Subject,
    Verdict,
)
from tests.unit.drift.references import CONTRACT, stored

CLIENTS = ("a", "b", "c", "d", "e")
EDGES = np.arange(0.0, 20.0)
SCORE_EDGES = np.linspace(0.1, 0.9, 9)
RULE = DriftRule(level=0.01, warning_level=0.02)
Values = NDArray[np.float64]
Shift = Callable[[dict[str, Values]], None]


def rows(client: str, num_rows: int, seed: int) -> dict[str, Values]:
    """Every client has customers of its own kind."""
    generator = np.random.default_rng([seed, ord(client)])
    tenure = generator.gamma(2.0 + CLIENTS.index(client), 2.0, num_rows)
    return {
        "tenure": np.where(generator.random(num_rows) < 0.1, np.nan, tenure),
        "plan": generator.choice(3, num_rows, p=[0.5, 0.3, 0.2]).astype(np.float64),
        SCORE_COLUMN: generator.beta(2, 5, num_rows),
        LABEL_COLUMN: (generator.random(num_rows) < 0.2).astype(np.float64),
    }


def columns() -> list[ReferenceColumn]:
    empty = Histogram(np.zeros(len(EDGES) + 1), 0.0)
    plan, score = Histogram(np.zeros(4), 0.0), Histogram(np.zeros(len(SCORE_EDGES) + 1), 0.0)
    return [
        ReferenceColumn("tenure", Subject.COVARIATE, ColumnTest.KS, EDGES, empty),
        ReferenceColumn("plan", Subject.COVARIATE, ColumnTest.CHI_SQUARED, None, plan),
        ReferenceColumn(SCORE_COLUMN, Subject.SCORE, ColumnTest.KS, SCORE_EDGES, score),
        label_column(0, 0),
    ]


def histograms(values: dict[str, Values]) -> dict[str, Histogram]:
    found = {}
    for column in columns():
        one = values[column.name]
        found[column.name] = column.histogram_of(
            one if column.edges is not None else one.astype(np.int32)
        )
    return found


def references(seed: int, num_rows: int = 1000) -> dict[str, DriftReference]:
    found = {}
    for client in CLIENTS:
        counted = histograms(rows(client, num_rows, seed))
        filled = [
            ReferenceColumn(c.name, c.subject, c.test, c.edges, counted[c.name]) for c in columns()
        ]
        found[client] = DriftReference(num_rows, tuple(filled))
    return found


def windows(
    seed: int, shifted: str = "", shift: Shift | None = None, num_rows: int = 200
) -> dict[str, ClientWindow]:
    found = {}
    for client in CLIENTS:
        values = rows(client, num_rows, 10_000 + seed)
        if shift is not None and client in shifted:
            shift(values)
        found[client] = ClientWindow(num_rows, histograms(values))
    return found


def longer_tenure(values: dict[str, Values]) -> None:
    values["tenure"] = values["tenure"] * 1.4 + 1


def other_plans(values: dict[str, Values]) -> None:
    values["plan"] = np.where(np.arange(len(values["plan"])) % 3 == 0, 2.0, values["plan"])


def more_missing(values: dict[str, Values]) -> None:
    values["tenure"][::4] = np.nan


def higher_scores(values: dict[str, Values]) -> None:
    values[SCORE_COLUMN] = np.sqrt(values[SCORE_COLUMN])


def more_churn(values: dict[str, Values]) -> None:
    values[LABEL_COLUMN][::3] = 1.0


SHIFTS = {
    longer_tenure: ("covariate", "tenure"),
    other_plans: ("covariate", "plan"),
    more_missing: ("covariate", "tenure"),
    higher_scores: ("score", SCORE_COLUMN),
    more_churn: ("label", LABEL_COLUMN),
}


@pytest.mark.parametrize("shift", SHIFTS)
@pytest.mark.parametrize("num_rows", [200, 1000])
@pytest.mark.parametrize("seed", range(4))
def test_one_client_of_five_is_named_and_the_others_are_quiet(
    shift: Shift, num_rows: int, seed: int
) -> None:
    found = judge_clients(references(seed), windows(seed, "c", shift, num_rows), RULE)
    kind, column = SHIFTS[shift]
    assert (found.verdict, found.extent, found.named) == (Verdict.DRIFT, Extent.SOME, ("c",))
    assert found.kind == kind
    assert [one.client for one in found.clients if one.flagged] == ["c"]
    called = {one.client: one for one in found.clients}["c"].called_out(Verdict.DRIFT)
    assert [one.column for one in called] == [column]


@pytest.mark.parametrize("seed", range(4))
def test_where_all_are_shifted_all_are_named(seed: int) -> None:
    found = judge_clients(references(seed), windows(seed, "abcde", longer_tenure), RULE)
    assert (found.extent, found.named, found.kind) == (Extent.ALL, CLIENTS, "covariate")
    assert found.summary.startswith("Covariate drift at all 5 clients: a (tenure); ")


@pytest.mark.parametrize("seed", range(10))
def test_without_drift_nobody_is_named(seed: int) -> None:
    found = judge_clients(references(seed), windows(seed), RULE)
    assert (found.verdict, found.extent, found.named) == (Verdict.NONE, Extent.NONE, ())
    assert found.summary == "No drift at any of 5 clients."


def test_kinds_are_told_together() -> None:
    def both(values: dict[str, Values]) -> None:
        longer_tenure(values)
        more_churn(values)

    found = judge_clients(references(0), windows(0, "b", both), RULE)
    assert found.kind == "covariate and label"
    assert "Covariate and label drift at 1 of 5 clients: b (" in found.summary


def test_clients_that_say_nothing_are_absent_with_a_reason() -> None:
    seen = windows(1)
    stranger = {"z": seen.pop("a"), **seen}
    del stranger["b"]
    found = judge_clients(references(1), stranger, RULE, absent={"b": "no answer within 60 s"})
    assert found.absent == {
        "a": "sent nothing",
        "b": "no answer within 60 s",
        "z": "took no part in the training of this release",
    }
    assert found.summary == "No drift at any of 3 clients; absent: a, b, z."


def test_too_few_rows_are_a_verdict_of_their_own() -> None:
    seen = windows(2, "cd", longer_tenure) | {"d": ClientWindow(9, {})}
    found = judge_clients(references(2), seen, RULE)
    verdicts = {one.client: one.verdict for one in found.clients}
    assert verdicts["d"] is Verdict.TOO_FEW_ROWS
    assert (found.named, found.extent) == (("c",), Extent.SOME)
    assert "too few rows: d" in found.summary
    nobody = judge_clients(references(2), {"d": ClientWindow(9, {})}, RULE)
    assert nobody.verdict is Verdict.TOO_FEW_ROWS
    assert nobody.summary.startswith("No client has enough rows to be judged")


def test_flags_of_earlier_windows_make_a_warning_drift() -> None:
    strict = DriftRule(level=1e-300, warning_level=0.02)
    seen = windows(3, "e", longer_tenure)
    assert judge_clients(references(3), seen, strict).verdict is Verdict.WARNING
    again = judge_clients(references(3), seen, strict, earlier={"e": [("tenure",)]})
    assert (again.verdict, again.named) == (Verdict.DRIFT, ("e",))
    long_ago = {"e": [("tenure",), (), ()]}
    later = judge_clients(references(3), seen, strict, earlier=long_ago)
    assert later.verdict is Verdict.WARNING


def test_columns_without_counts_are_left_out() -> None:
    seen = windows(4)
    kept = {n: h for n, h in seen["a"].histograms.items() if n != LABEL_COLUMN}
    found = judge_clients(references(4), {**seen, "a": ClientWindow(200, kept)}, RULE)
    assert {one.client: one.left_out for one in found.clients}["a"] == (LABEL_COLUMN,)


def test_the_record_is_json() -> None:
    found: FederatedDrift = judge_clients(references(5), windows(5, "a", other_plans), RULE)
    told = json.loads(json.dumps(found.to_dict()))
    assert told["named"] == ["a"]
    assert (told["extent"], told["kind"]) == ("some", "covariate")
    first = told["clients"][0]
    assert (first["client"], first["verdict"], first["flagged"]) == ("a", "drift", ["plan"])
    assert first["columns"][1]["subject"] == "covariate"


def test_many_findings_at_one_client_do_not_help_to_name_its_neighbour() -> None:
    landslide, quiet = [1e-9] * 20, [0.003] + [0.5] * 19
    adjusted = adjusted_by_client({"a": landslide, "b": quiet})
    assert max(adjusted["a"]) < 1e-8
    assert min(adjusted["b"]) == pytest.approx(20 * 0.003)


@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.floats(1e-9, 1), max_size=6)))
def test_adjusting_never_lowers_a_p_value(p_values: dict[str, list[float]]) -> None:
    adjusted = adjusted_by_client(p_values)
    for client, found in p_values.items():
        assert len(adjusted[client]) == len(found)
        assert all(
            p <= a * (1 + 1e-9) <= 1 + 1e-9 for p, a in zip(found, adjusted[client], strict=True)
        )


def test_a_column_of_the_contract_called_churned_is_the_contracts() -> None:
    content = stored({0: 250.0, 1: 250.0}, [300.0, 200.0, 0.0])
    content["pooled"]["num_positive"] = 100.0
    content["edges"][LABEL_COLUMN] = content["edges"]["Tenure"]
    for part in (content["pooled"], *content["clients"].values()):
        part["numbers"][LABEL_COLUMN] = part["numbers"]["Tenure"]
    plain = CONTRACT.model_dump()
    plain["columns"][LABEL_COLUMN] = plain["columns"]["Tenure"]
    found = client_references(content, Contract.model_validate(plain))["a"]
    assert [c.name for c in found.columns].count(LABEL_COLUMN) == 1
    (column,) = (c for c in found.columns if c.name == LABEL_COLUMN)
    assert column.subject is Subject.COVARIATE
