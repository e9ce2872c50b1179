"""Verdicts that come as files: shown by every worker, counted by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fedchurn.journal.chained_file import ChainedFile
from fedchurn.loop.watching.verdicts import WindowLine, journal_window, open_verdicts
from fedchurn.serving.drift_file import watch_folder, write_newest
from fedchurn.serving.drift_watch import DriftSeen, DriftWatch
from tests.unit.serving.homes import settings_of
from tests.unit.serving.test_prometheus_workers import start  # noqa: F401  (a fixture)

RELEASE = "shop-1.2.0-0123456789ab"
TIME = "2026-03-01T12:00:00.000Z"
SECONDS = 1_772_366_400.0


def _window(home: Path, window_id: str, *drifted: str) -> None:
    """A line that the runner adds to its journal."""
    facts: dict[str, Any] = {"time": TIME, "contract": "shop", "release": RELEASE}
    more: dict[str, Any] = {
        "verdict": "drift",
        "evidence": (),
        "summary": "",
        "flagged": (),
        "warned": (),
        "clients": (),
        "client_flags": {},
        "num_customers": 50,
        "report_path": "",
    }
    line = WindowLine(window_id=window_id, drifted=drifted, **facts, **more)
    journal_window(watch_folder(home, "shop"), line)


def _told(home: Path, **changes: Any) -> None:
    told = {
        "release": RELEASE,
        "timestamp": TIME,
        "drift_scores": {"Tenure": 0.5},
        "verdict": {"verdict": "drift"},
        **changes,
    }
    write_newest(settings_of(home).service_folder, told)


def _watch(home: Path, release: str = RELEASE) -> DriftWatch:
    return DriftWatch(settings_of(home), lambda: release)


def test_nothing_is_known_before_somebody_looked(tmp_path: Path) -> None:
    assert _watch(tmp_path).look() == DriftSeen()


def test_the_newest_verdict_is_shown_to_the_release_that_it_is_about(tmp_path: Path) -> None:
    watch, other = _watch(tmp_path), _watch(tmp_path, "shop-1.2.0-ffffffffffff")
    _told(tmp_path)
    assert watch.look() == DriftSeen({"Tenure": 0.5}, 2, SECONDS)
    assert other.look() == DriftSeen({}, 0, SECONDS)
    _told(tmp_path, drift_scores={"Tenure": 0.1}, verdict={"verdict": "none"})
    assert watch.look() == DriftSeen({"Tenure": 0.1}, 0, SECONDS)


@pytest.mark.parametrize(
    ("of_columns", "overall", "level"),
    [("none", "none", 0), ("none", "drift", 1), ("warning", "warning", 1), ("drift", "drift", 2)],
)
def test_what_speaks_beside_columns_is_a_warning(
    tmp_path: Path, of_columns: str, overall: str, level: int
) -> None:
    _told(tmp_path, verdict={"verdict": of_columns}, overall=overall)
    assert _watch(tmp_path).look().level == level


def test_a_look_of_the_runner_without_a_window_is_a_look(tmp_path: Path) -> None:
    path = watch_folder(tmp_path, "shop") / "last_run.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"time": TIME}))
    assert _watch(tmp_path).look().checked_seconds == SECONDS


def test_each_window_is_counted_once_over_workers_and_restarts(tmp_path: Path) -> None:
    one, two = _watch(tmp_path), _watch(tmp_path)
    _window(tmp_path, "aa", "Tenure", "Device")
    _window(tmp_path, "bb")
    assert one.look().drifted == ("Tenure", "Device")
    assert (one.look().drifted, two.look().drifted) == ((), ())
    _window(tmp_path, "cc", "Tenure")
    assert (two.look().drifted, one.look().drifted) == (("Tenure",), ())
    assert _watch(tmp_path).look().drifted == ()


def test_a_line_that_is_not_whole_is_counted_when_it_is(tmp_path: Path) -> None:
    watch = _watch(tmp_path)
    _window(tmp_path, "aa", "Tenure")
    path = open_verdicts(watch_folder(tmp_path, "shop")).path
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert watch.look().drifted == ()
    path.write_bytes(whole)
    assert watch.look().drifted == ("Tenure",)


def test_damaged_files_are_passed_over(tmp_path: Path) -> None:
    folder = watch_folder(tmp_path, "shop")
    journal: ChainedFile[Any] = open_verdicts(folder)
    _window(tmp_path, "aa", "Tenure")
    journal.path.write_bytes(b'[]\n{"entry": 5}\n{\n' + journal.path.read_bytes())
    (folder / "last_run.json").write_text("[]")
    drift = settings_of(tmp_path).service_folder / "drift.json"
    drift.parent.mkdir(parents=True)
    for text in ("[]", "{", '{"timestamp": 7, "release": "x"}'):
        drift.write_text(text)
        watch = _watch(tmp_path)
        assert watch.look().checked_seconds == 0
    for content in ({"drift_scores": [1]}, {"verdict": 3}, {"drift_scores": {"a": "b"}}):
        drift.write_text(json.dumps({"release": RELEASE, "timestamp": TIME, **content}))
        assert _watch(tmp_path).look().level == 0


def test_two_worker_processes_count_a_window_once(tmp_path: Path, start: Any) -> None:  # noqa: F811
    one, two = start(), start()
    for worker in (one, two):
        worker.ask("watch_drift", str(tmp_path), RELEASE)
    assert one.value("fedchurn_drift_detected_total", feature="Tenure") == 0
    _window(tmp_path, "aa", "Tenure")
    _told(tmp_path)
    for worker in (one, two, one):
        worker.ask("refresh")
    assert one.value("fedchurn_drift_detected_total", feature="Tenure") == 1
    assert two.value("data_drift_detected_total", feature="Tenure") == 1
    assert two.value("fedchurn_drift_verdict") == 2
    assert two.value("data_drift_score", feature="Tenure") == 0.5
    assert one.value("fedchurn_drift_last_check_timestamp_seconds") == SECONDS
    three = start()
    three.ask("watch_drift", str(tmp_path), RELEASE)
    assert three.value("fedchurn_drift_detected_total", feature="Tenure") == 1
