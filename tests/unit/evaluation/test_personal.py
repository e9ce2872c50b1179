"""Gains are told beside their noise, and called gains only beyond it."""

from __future__ import annotations

import json
import math

import pytest

from fedchurn.evaluation.personal import Gain, PersonalFigures, Personalisation
from fedchurn.evaluation.personal_page import personal_section


def figures(
    loss: tuple[float, float], auc: tuple[float, float] = (0.0, 1.0), **changes: object
) -> PersonalFigures:
    values = {
        "strength": 30.0,
        "threshold": 0.25,
        "num_rows": 100,
        "of_all": {"roc_auc": 0.8, "log_loss": 0.4, "f1": 0.5},
        "own": {"roc_auc": 0.81, "log_loss": 0.39, "f1": 0.6},
        "auc": Gain(*auc),
        "log_loss": Gain(*loss),
    }
    return PersonalFigures(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("one", "verdict"),
    [
        (figures((0.020, 0.01)), "better"),
        (figures((0.019, 0.01)), "within noise"),
        (figures((-0.02, 0.01)), "worse"),
        (figures((0.0, 0.01), auc=(0.03, 0.01)), "better"),
        (figures((0.05, 0.01), auc=(-0.05, 0.01)), "within noise"),
        (figures((0.05, math.inf)), "too few rows"),
        (figures((math.nan, math.nan), num_rows=0), "too few rows"),
        (figures((0.05, 0.01), strength=None), "model of all"),
    ],
    ids=["better", "noise", "worse", "auc", "contradiction", "one customer", "few", "stays"],
)
def test_verdict_of_one_client(one: PersonalFigures, verdict: str) -> None:
    assert Personalisation({"a": one}, {}).verdict("a") == verdict


def test_many_clients_share_the_level() -> None:
    """Of 100 clients 5 would seem better or worse at two standard errors without being so."""
    clients = {f"c{n}": figures((0.025, 0.01)) for n in range(100)}
    many = Personalisation(clients, {})
    assert many.limit() == pytest.approx(3.48, abs=0.01)
    assert many.verdict("c0") == "within noise"
    staying = {n: figures((0.0, 0.0), strength=None) for n in list(clients)[1:]}
    assert Personalisation({**clients, **staying}, {}).verdict("c0") == "better"


def test_the_record_survives_json() -> None:
    one = Personalisation({"a": figures((0.02, math.inf))}, {"b": "no answer"}, "a note")
    again = Personalisation.from_dict(json.loads(json.dumps(one.to_dict(), allow_nan=False)))
    assert again.to_dict() == one.to_dict()
    assert again.verdict("a") == "too few rows"


def test_the_section_shows_noise_absences_and_notes() -> None:
    one = Personalisation(
        {"<b>": figures((0.02, 0.01)), "c": figures((0.1, 0.01), strength=None)},
        {"away": "no answer"},
    )
    page = " ".join(personal_section(one).split())
    for words in ("&lt;b&gt;", "+0.020 ± 0.010", "<td>all</td>", "away told nothing: no answer"):
        assert words in page
    assert "<b>" not in page
    assert personal_section(None) == ""
    assert "because" in personal_section(Personalisation({}, {}, "because"))
