"""What ``fedchurn retrain`` tells."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from fedchurn.cli import retraining_output
from fedchurn.cli.main import app
from fedchurn.retraining.checks import FAILED
from fedchurn.retraining.decision import decide
from fedchurn.retraining.policy import RetrainPolicy
from fedchurn.retraining.situation import PastRetrain
from tests.unit.retraining.events import at, drift, manual, situation

ASKED: list[dict[str, Any]] = []
OUTCOME = {
    "time": at(1),
    "run_key": "retrain-shop-1",
    "outcome": "promoted",
    "release_id": "shop-2",
    "version": "2",
    "summary": "Better.",
}


def story(run_key: str = "") -> dict[str, Any]:
    """A forced wish in the cooldown."""
    decision = decide(
        manual(force=True),
        situation(retrains=(PastRetrain(at(-2), FAILED + "?"),)),
        RetrainPolicy(),
    )
    told = {**decision.to_dict(), "time": at(0), "run_key": run_key, "summary": decision.summary()}
    return {"trigger": {**manual().to_dict(), "arrival": "1"}, "decision": told}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The outcome of a run, without one."""
    data = {"story": "30 rows are added."}
    run = {"time": at(0), "run_key": "retrain-shop-1", "place": "here", "data": data}
    ran = {**story("retrain-shop-1"), "run": run, "outcome": OUTCOME}
    outcome: dict[str, Any] = {
        "outcome": "retrained",
        "exit_code": 0,
        "summary": "1 triggers decided, 1 to retrain.",
        "decisions": [story("retrain-shop-1")],
        "runs": [ran],
        "pending": [drift().to_dict()],
    }
    ASKED.clear()

    def run_flow(_settings: Any, reason: str | None, **asked: Any) -> dict[str, Any]:
        ASKED.append({"reason": reason, **asked})
        return outcome

    monkeypatch.setattr(retraining_output, "run_retrain_flow", run_flow)
    return outcome


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["retrain", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_every_check_and_every_run_is_told_once(told: dict[str, Any]) -> None:
    output = run("--reason", "new campaign", "--set", "seed=3")
    assert ASKED == [
        {"reason": "new campaign", "force": False, "config": None, "assignments": ["seed=3"]}
    ]
    assert output.count("FORCED: The last retrain began 2.0 h ago") == 1
    assert output.count("passed: Nothing is being trained.") == 1
    assert output.count("promoted     shop-2 (version 2): Better.") == 1
    assert "RETRAINED: 1 triggers decided" in output
    assert f"waits: {told['pending'][0]['summary']}" in output


def test_a_program_reads_the_same(told: dict[str, Any]) -> None:
    assert json.loads(run("--json").splitlines()[-1]) == told
    assert ASKED[0]["reason"] is None


def test_to_force_is_to_ask(told: dict[str, Any]) -> None:
    assert told["pending"]
    run("--force")
    assert ASKED[0]["reason"] == "forced"
    assert ASKED[0]["force"] is True


def test_nothing_waits(told: dict[str, Any]) -> None:
    told.update(outcome="nothing", decisions=[], runs=[], pending=[], summary="None.")
    assert "give --reason TEXT to ask" in run()


def test_a_run_that_was_left_open_is_told_with_its_trigger(told: dict[str, Any]) -> None:
    told["decisions"] = []
    assert "anna asks" in run()
