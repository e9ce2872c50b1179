"""Workers know of each other by files, and only of those that live."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from fedchurn.serving.reload.worker_states import (
    WorkerState,
    process_start,
    remove_state,
    state_path,
    worker_states,
    workers_report,
    write_state,
)


def _state(pid: int, release: str = "shop-1", **changes: object) -> WorkerState:
    start = process_start(pid) or 0
    state = WorkerState(socket.gethostname(), pid, start, 1.0, release, "7", "/releases", 2.0)
    return replace(state, **changes)  # type: ignore[arg-type]


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = _state(os.getpid(), challenger="shop-2", last_reload={"status": "failed"})
    write_state(tmp_path, state)
    assert worker_states(tmp_path) == (state,)
    remove_state(tmp_path, os.getpid())
    assert worker_states(tmp_path) == ()


def test_an_ended_process_is_forgotten_and_its_file_removed(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    write_state(tmp_path, _state(os.getpid()))
    write_state(tmp_path, _state(other.pid))
    assert {state.pid for state in worker_states(tmp_path)} == {os.getpid(), other.pid}
    other.kill()
    assert _gone(other.pid)  # a dead child that nobody has waited for is dead, too
    assert [state.pid for state in worker_states(tmp_path)] == [os.getpid()]
    other.communicate()
    assert len(list(tmp_path.iterdir())) == 1


def _gone(pid: int) -> bool:
    return any(process_start(pid) is None for _ in range(100_000))


def test_another_process_with_the_same_id_is_not_taken_for_it(tmp_path: Path) -> None:
    write_state(tmp_path, _state(os.getpid(), process_start=1))
    assert worker_states(tmp_path) == ()
    assert list(tmp_path.iterdir()) == []


def test_workers_of_another_machine_are_left_alone_for_a_day(tmp_path: Path) -> None:
    write_state(tmp_path, _state(os.getpid(), host="elsewhere"))
    path = state_path(tmp_path, "elsewhere", os.getpid())
    assert worker_states(tmp_path) == ()
    assert path.exists()
    os.utime(path, (0, 0))
    assert worker_states(tmp_path) == ()
    assert not path.exists()


def test_files_that_are_no_states_do_no_harm(tmp_path: Path) -> None:
    for number, text in enumerate(["", "[]", "{}", '{"pid": "x"}', "\0"]):
        (tmp_path / f"{number}.worker.json").write_text(text)
    (tmp_path / "reload-request.json").write_text("{}")
    write_state(tmp_path, _state(os.getpid()))
    known = json.loads(state_path(tmp_path, socket.gethostname(), os.getpid()).read_text())
    known["from_a_newer_worker"] = 1
    state_path(tmp_path, socket.gethostname(), os.getpid()).write_text(json.dumps(known))
    assert [state.pid for state in worker_states(tmp_path)] == [os.getpid()]
    assert worker_states(tmp_path / "nowhere") == ()


def test_the_report_counts_who_serves_what() -> None:
    states = [_state(1), _state(2, "shop-2", reload_fault="disk full")]
    report = workers_report(states, "shop-1")
    assert report["message"] == "1 of 2 workers serve shop-1"
    assert (report["num_workers"], report["num_serving"]) == (2, 1)
    assert report["workers"][1]["reload_fault"] == "disk full"
    json.dumps(report, allow_nan=False)
