"""``python -m infra.drill``: the loop and the disasters, once; its table, and what it left."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from fedchurn.retraining.journal import RetrainJournal
from fedchurn.retraining.places import journal_path
from infra.monitoring import programs
from tests.conftest import PROJECT
from tests.e2e.fedchurn_command import clean_environment

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
DEADLINE_SECONDS = 800

LOOP = (
    "servers answer",
    "first model",
    "monitoring up",
    "service up",
    "normal traffic",
    "normal traffic is quiet",
    "drifted traffic",
    "drift seen",
    "metric at Prometheus",
    "alert fired",
    "webhook",
    "decision",
    "training begun",
    "promotion",
    "reload in all workers",
    "answers from the new release",
    "training over",
    "rollback",
)
BESIDE = (
    "platform up",
    "poisoned client: rows",
    "poisoned client: NaN",
    "poisoned client: huge update",
    "poisoned client: gradient turned round",
    "poisoned client: labels turned round",
    "dropped client, quorum 60 %",
    "dropped client, quorum 100 %",
    "corrupt release: asked for",
    "corrupt release: promoted",
    "forged release: golden rows",
    "100 triggers at once",
    "100 explained skips",
    "the journal links them",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drill")


@pytest.fixture(scope="module")
def table(folder: Path) -> dict[str, Any]:
    """The table of one drill."""
    if not programs.are_installed():
        pytest.skip(
            "NO DRILL: `prometheus` or `prometheus-alertmanager` is not on PATH"
            " (Debian: apt install --no-install-recommends prometheus prometheus-alertmanager)"
        )
    written = folder / "table.json"
    options = ["--home", str(folder / "home"), "--json", str(written)]
    done = subprocess.run(
        [sys.executable, "-m", "infra.drill", *options],
        cwd=PROJECT,
        env=clean_environment(HOME=str(folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )
    assert done.returncode == 0, done.stdout
    found: dict[str, Any] = json.loads(written.read_text())
    return found


def _step(table: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [step for step in table["steps"] if step["step"] == name]
    return dict(found)


def test_every_step_held(table: dict[str, Any]) -> None:
    assert table["exit_code"] == 0
    assert {step["state"] for step in table["steps"]} == {"held"}
    assert {step["step"] for step in table["steps"]} >= {*LOOP, *BESIDE}


def test_the_loop_went_round_in_order(table: dict[str, Any]) -> None:
    times = [_step(table, name)["ended_seconds"] for name in LOOP]
    assert times == sorted(times)


def test_one_story_leads_from_the_drift_window_to_the_release(
    table: dict[str, Any], folder: Path
) -> None:
    window_id = _step(table, "drift seen")["facts"]["window_id"]
    release_id = _step(table, "promotion")["facts"]["release_id"]
    journal = RetrainJournal(journal_path(folder / "home", "ecommerce"))
    (story,) = journal.history().retrains
    assert story.trigger.facts["evidence"]["window_id"] == window_id
    assert story.run_key == _step(table, "decision")["facts"]["run_key"]
    assert story.started is not None
    assert (
        story.started.facts["flow_run_id"] == _step(table, "training begun")["facts"]["flow_run_id"]
    )
    assert story.outcome is not None
    assert (story.outcome.facts["outcome"], story.outcome.facts["release_id"]) == (
        "promoted",
        release_id,
    )
    assert [found.key for found in journal.chain_of(release_id)] == [story.key]


def test_every_other_trigger_was_skipped_with_reasons(table: dict[str, Any], folder: Path) -> None:
    stories = RetrainJournal(journal_path(folder / "home", "ecommerce")).history().stories
    skipped = [story for story in stories if not story.run_key]
    assert len(skipped) >= 100
    for story in skipped:
        assert story.decision is not None
        assert story.decision.facts["outcome"] == "skip"
        assert [check for check in story.decision.facts["checks"] if not check["passed"]]


def test_nothing_of_it_runs_any_more(table: dict[str, Any], folder: Path) -> None:
    home = str(folder / "home")
    assert [p for p in psutil.process_iter() if _has(p, home)] == []


def _has(process: psutil.Process, home: str) -> bool:
    try:
        return process.environ().get("FEDCHURN_HOME") == home
    except (psutil.Error, OSError):
        return False
