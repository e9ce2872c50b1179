"""What a demo takes for granted, what it never touches, and what people see of it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fedchurn.cli import demo, demo_output
from fedchurn.contract.load import load_contract
from fedchurn.settings_files import load_settings

OLD, NEW = "shop-1.0.0-aaaaaaaaaaaa", "shop-1.0.0-bbbbbbbbbbbb"
Out = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("name", "scenario"),
    [("ecommerce", "missing_15"), ("telco", "missing_15"), ("telecom", "complaints_up")],
)
def test_every_shipped_contract_can_drift(name: str, scenario: str) -> None:
    assert demo.drift_scenario(load_contract(name)) == scenario


def test_what_a_demo_does_otherwise_is_told(capsys: Out) -> None:
    asked = load_settings()
    plain = demo._demo_settings(asked)
    assert plain.feedback.maturity_days == 0
    assert not plain.evaluation.baselines
    assert not plain.packaging.after_promotion
    demo_output.tell_conditions(asked, plain)
    assert capsys.readouterr().out == (
        "Not as elsewhere: labels count at once (elsewhere after 30 days); the retrain leaves out"
        " baselines; the retrain makes no bento; a client may lose 0.1 of ROC-AUC by it (elsewhere"
        " 0.02): the smallest has some 30 test rows.\n"
    )


def test_what_the_person_has_said_stands(capsys: Out) -> None:
    given = ("feedback.maturity_days=7", "evaluation.baselines=true", "seed=5")
    more = ("packaging.after_promotion=true", "promotion.client_margin=0.02")
    asked = load_settings(assignments=[*given, *more])
    assert demo._demo_settings(asked) == asked
    demo_output.tell_conditions(asked, asked)
    assert capsys.readouterr().out == ""


def test_a_model_of_real_rows_gets_no_made_up_customers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Out
) -> None:
    """It is asked about one golden row, in a folder of its own, as every packaged bento is."""
    real = SimpleNamespace(card=SimpleNamespace(is_sample=False))
    monkeypatch.setattr(demo, "load_release", lambda _: real)
    monkeypatch.setattr(demo, "try_alone", lambda packaged: {"tag": packaged["tag"]})
    monkeypatch.setattr(demo, "bento_served", None)  # would write to the home's log
    settings = load_settings(assignments=[f"home={tmp_path}"])
    packaged = {"tag": "churn:1", "store": str(tmp_path)}
    told = demo._serve(settings, packaged, demo.Phases())
    left_out = {"watched": None, "retrain": None, "followed": None}
    assert told == {"served": {"tag": "churn:1"}, **left_out}
    assert "the demo leaves it alone" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def followed(**changes: Any) -> dict[str, Any]:
    known = {
        "release_before": OLD,
        "release": NEW,
        "in_production": NEW,
        "failure": None,
        "probability_before": 0.75,
        "probability": 0.5,
    }
    return known | changes


@pytest.mark.parametrize(
    ("changes", "word", "told"),
    [
        ({}, "FOLLOWED", "0.7500 before, 0.5000 now"),
        ({"release": OLD, "in_production": OLD}, "UNCHANGED", "nothing replaced it"),
        ({"release": OLD, "failure": "golden row 3"}, "NOT FOLLOWED", f"not by {NEW}: golden row"),
    ],
)
def test_what_the_service_did_is_told(
    changes: dict[str, Any], word: str, told: str, capsys: Out
) -> None:
    demo_output.tell_followed(followed(**changes))
    out = capsys.readouterr().out
    assert out.startswith(f"{word}: ")
    assert told in out


def check(name: str, *, passed: bool = True) -> dict[str, Any]:
    return {"name": name, "passed": passed, "sentence": f"The {name} check."}


def test_a_decision_to_retrain_is_told_with_what_people_ask_first(capsys: Out) -> None:
    checks = [check(name) for name in ("enabled", "cooldown", "budget", "new_rows", "labels")]
    decision = {"outcome": "retrain", "checks": checks}
    run = {"data": {"story": "3 rows that came back are added."}}
    end = {"outcome": "refused", "release_id": NEW, "version": "2", "summary": "It is worse."}
    ran = {"decision": decision, "run": run, "outcome": end}
    demo_output.tell_retrain({"decisions": [{"decision": decision}], "runs": [ran]})
    assert capsys.readouterr().out.splitlines() == [
        "DECIDED: RETRAIN (5 of 5 checks passed)",
        "  passed: The cooldown check.",
        "  passed: The new_rows check.",
        "  passed: The labels check.",
        "  trained: 3 rows that came back are added.",
        f"REFUSED: release {NEW}, version 2",
        "  It is worse.",
    ]


def test_a_skip_is_told_with_what_failed(capsys: Out) -> None:
    decision = {"outcome": "skip", "checks": [check("labels"), check("budget", passed=False)]}
    demo_output.tell_retrain({"decisions": [{"decision": decision}], "runs": []})
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["DECIDED: SKIP (1 of 2 checks passed)", "  FAILED: The budget check."]


def test_without_a_trigger_nothing_is_decided(capsys: Out) -> None:
    demo_output.tell_retrain({"decisions": [], "runs": []})
    assert capsys.readouterr().out == "RETRAIN: no trigger is waiting.\n"
