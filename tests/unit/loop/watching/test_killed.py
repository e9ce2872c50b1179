"""The runner is killed (-9) at every step, and started again: nothing twice, nothing lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedchurn.loop.watching import runner, window_folder
from fedchurn.loop.watching.runner import check_drift
from fedchurn.loop.watching.verdicts import open_verdicts
from fedchurn.release.folder import write_folder
from fedchurn.retraining.inbox import TriggerInbox
from fedchurn.retraining.places import inbox_folder
from tests.unit.loop.watching.watched_home import WatchedHome

STEPS = (
    *("look_at_labels", "write_claim", "judge", "kept_window", "journal_window"),
    *("write_newest", "add_trigger", "move_watermark", "drop_claim", "forget_old_windows"),
    "write_last_run",
)


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _killed(home: WatchedHome, patch: Callable[[], None]) -> None:
    """A run in a process of its own, which ``patch`` makes die."""

    def run() -> None:
        patch()
        check_drift(home.settings())

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def _before(name: str) -> None:
    setattr(runner, name, lambda *_args, **_kwargs: _die())


def _while_the_folder_is_written() -> None:
    written: list[Path] = []

    def write(path: Path, content: bytes) -> None:
        path.write_bytes(content[: len(content) // 2])
        written.append(path)
        if len(written) == 2:
            _die()

    vars(window_folder)["write_folder"] = lambda *args: write_folder(*args, write=write)


@pytest.fixture
def home(tmp_path: Path) -> WatchedHome:
    home = WatchedHome(tmp_path)
    home.log_shifted(0, 100)
    return home


@pytest.fixture
def undisturbed(home: WatchedHome) -> dict[str, Any]:
    """What a run finds that nobody kills; its traces are removed."""
    window: dict[str, Any] = check_drift(home.settings())["windows"][0]
    shutil.rmtree(home.folder / "watch")
    shutil.rmtree(home.folder / "retraining")
    (home.folder / "service" / "shop" / "drift.json").unlink()
    return window


def _assert_same(home: WatchedHome, undisturbed: dict[str, Any]) -> None:
    (line,) = open_verdicts(home.watch).lines()
    assert line.entry.window_id == undisturbed["window_id"]
    (trigger,) = TriggerInbox(inbox_folder(home.folder, "shop")).pending()
    assert trigger.key == f"window-{undisturbed['window_id']}"
    (folder,) = (home.watch / "windows").iterdir()
    record = json.loads((folder / "verdict.json").read_text())
    assert record["time"] == line.entry.time
    assert {**record, "time": ""} == {**json.loads(json.dumps(undisturbed)), "time": ""}
    assert (folder / "report.html").is_file()
    assert home.told["window_id"] == undisturbed["window_id"]
    assert not (home.watch / "claim.json").exists()
    ends = {file: ends[1] for file, ends in undisturbed["read"].items()}
    assert json.loads((home.watch / "watermark.json").read_text()) == ends


@pytest.mark.parametrize("step", STEPS)
def test_killed_before_a_step(home: WatchedHome, undisturbed: dict[str, Any], step: str) -> None:
    _killed(home, lambda: _before(step))
    check_drift(home.settings())
    _assert_same(home, undisturbed)
    assert check_drift(home.settings())["windows"] == []


def test_killed_while_the_folder_is_written(home: WatchedHome, undisturbed: dict[str, Any]) -> None:
    _killed(home, _while_the_folder_is_written)
    assert not list((home.watch / "windows").glob("[!.]*"))
    check_drift(home.settings())
    _assert_same(home, undisturbed)


def test_what_comes_after_the_kill_is_another_window(
    home: WatchedHome, undisturbed: dict[str, Any]
) -> None:
    _killed(home, lambda: _before("journal_window"))
    home.log_like_reference(1000, 60)
    first, second = check_drift(home.settings())["windows"]
    assert first["window_id"] == undisturbed["window_id"]
    assert (first["num_customers"], second["num_customers"]) == (100, 60)


def test_killed_again_and_again(home: WatchedHome, undisturbed: dict[str, Any]) -> None:
    for step in STEPS[1:-1]:
        _killed(home, lambda step=step: _before(step))  # type: ignore[misc]
    check_drift(home.settings())
    _assert_same(home, undisturbed)
