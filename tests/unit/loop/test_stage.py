"""A stage is complete or absent."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from fedchurn.errors import FedchurnError, ReleaseError, ValidationFailed
from fedchurn.loop.stage import finished_stage, run_stage, stage_folder, stage_key
from tests.conftest import PROJECT


class Work:
    """Writes one file; counts how often it was asked to."""

    def __init__(self, num_bytes: int = 10) -> None:
        self.num_bytes = num_bytes
        self.num_runs = 0

    def __call__(self, folder: Path) -> dict[str, Any]:
        self.num_runs += 1
        (folder / "rows.bin").write_bytes(b"x" * self.num_bytes)
        return {"rows": 3}


def not_again(folder: Path) -> NoReturn:
    raise AssertionError("the stage is complete")


def names(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "stages").iterdir())


def test_a_stage_is_made_once_and_read_back(tmp_path: Path) -> None:
    work = Work()
    made = run_stage(tmp_path, "validate", "k1", work)
    folder = tmp_path / "stages" / "validate-k1"
    facts = {"rows": 3, "files": ["rows.bin"], "folder": str(folder), "key": "k1"}
    assert made == {**facts, "reused": False}
    assert (folder / "rows.bin").read_bytes() == b"x" * 10
    assert run_stage(tmp_path, "validate", "k1", not_again) == {**facts, "reused": True}
    assert work.num_runs == 1


def test_another_key_or_name_is_another_stage(tmp_path: Path) -> None:
    for name, key in (("validate", "k1"), ("validate", "k2"), ("federate", "k1")):
        assert not run_stage(tmp_path, name, key, Work())["reused"]
    assert names(tmp_path) == ["federate-k1", "validate-k1", "validate-k2"]


@pytest.mark.parametrize("error", [ValidationFailed("bad rows"), RuntimeError("a defect")])
def test_work_that_fails_leaves_nothing(tmp_path: Path, error: Exception) -> None:
    def failing(folder: Path) -> dict[str, Any]:
        (folder / "half.bin").write_bytes(b"x")
        raise error

    with pytest.raises(type(error)) as caught:
        run_stage(tmp_path, "validate", "k1", failing)
    assert caught.value is error
    assert names(tmp_path) == []
    assert finished_stage(tmp_path, "validate", "k1") is None
    assert run_stage(tmp_path, "validate", "k1", Work())["reused"] is False


KILLED = """
import os, signal, sys
from pathlib import Path
from fedchurn.loop.stage import run_stage

def work(folder):
    (folder / "half.bin").write_bytes(b"x")
    os.kill(os.getpid(), signal.SIGKILL)

run_stage(Path(sys.argv[1]), "validate", "k1", work)
"""


def test_a_killed_stage_is_absent_and_its_leftovers_go(tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path], cwd=PROJECT, check=False)
    assert killed.returncode == -signal.SIGKILL
    (left,) = names(tmp_path)
    assert left.startswith(".validate-k1.")
    assert finished_stage(tmp_path, "validate", "k1") is None
    running = tmp_path / "stages" / f".validate-k1.{os.getppid()}"
    running.mkdir()
    assert run_stage(tmp_path, "validate", "k1", Work())["reused"] is False
    assert names(tmp_path) == [running.name, "validate-k1"], "a living process keeps its folder"


def test_a_folder_without_its_result_is_made_anew(tmp_path: Path) -> None:
    folder = stage_folder(tmp_path, "validate", "k1")
    folder.mkdir(parents=True)
    (folder / "stale.bin").write_bytes(b"x")
    (folder / "stage.json").write_text('{"rows": ')
    assert run_stage(tmp_path, "validate", "k1", Work())["reused"] is False
    assert sorted(path.name for path in folder.iterdir()) == ["rows.bin", "stage.json"]


def test_a_stage_whose_files_were_removed_is_made_anew(tmp_path: Path) -> None:
    run_stage(tmp_path, "validate", "k1", Work())
    (stage_folder(tmp_path, "validate", "k1") / "rows.bin").unlink()
    assert run_stage(tmp_path, "validate", "k1", Work())["reused"] is False


FASTER = """
import sys
from pathlib import Path
from fedchurn.loop.stage import run_stage

def work(folder):
    (folder / "rows.bin").write_bytes(b"fast")
    return {"rows": 3}

run_stage(Path(sys.argv[1]), "validate", "k1", work)
"""


def test_the_process_that_ends_first_is_believed(tmp_path: Path) -> None:
    """It may be reading the folder already, so that is not written again."""

    def slow(folder: Path) -> dict[str, Any]:
        subprocess.run([sys.executable, "-c", FASTER, tmp_path], cwd=PROJECT, check=True)
        (folder / "rows.bin").write_bytes(b"slow")
        return {"rows": 0}

    result = run_stage(tmp_path, "validate", "k1", slow)
    assert (result["rows"], result["reused"]) == (3, True)
    assert (Path(result["folder"]) / "rows.bin").read_bytes() == b"fast"
    assert names(tmp_path) == ["validate-k1"]


def test_a_home_may_be_moved(tmp_path: Path) -> None:
    run_stage(tmp_path / "old", "validate", "k1", Work())
    (tmp_path / "old").rename(tmp_path / "new")
    found = run_stage(tmp_path / "new", "validate", "k1", not_again)
    assert found["folder"] == str(tmp_path / "new" / "stages" / "validate-k1")


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    """A full disk that needs no root; pytest cannot write its output meanwhile either."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores SIGXFSZ, so a write beyond the limit fails with EFBIG.
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_on_the_disk(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError) as caught, files_of_at_most(4096):
        run_stage(tmp_path, "federate", "k1", Work(4097))
    assert caught.value.where == str(tmp_path / "stages" / "federate-k1")
    assert caught.value.what == "cannot be written: File too large"
    assert "make room" in caught.value.next_step
    assert names(tmp_path) == []
    assert run_stage(tmp_path, "federate", "k1", Work())["rows"] == 3


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(ReleaseError) as caught:
        run_stage(tmp_path / "taken" / "home", "validate", "k1", Work())
    assert caught.value.what == "cannot be written: Not a directory"
    assert caught.value.where == f"{tmp_path}/taken/home/stages/validate-k1"


@pytest.mark.skipif(os.geteuid() == 0, reason="ROOT WRITES ANYWHERE: rights cannot be tried")
def test_a_home_that_may_not_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ReleaseError, match="Permission denied") as caught:
            run_stage(tmp_path, "validate", "k1", Work())
    finally:
        tmp_path.chmod(0o700)
    assert isinstance(caught.value, FedchurnError)


class TestKey:
    def test_equal_parts_give_equal_keys(self) -> None:
        assert stage_key({"a": 1, "b": [2]}, "x") == stage_key({"b": [2], "a": 1}, "x")
        assert len(stage_key(1)) == 16

    @pytest.mark.parametrize("other", [({"a": 2}, "x"), ({"a": 1}, "y"), ({"a": 1},), ("x",)])
    def test_other_parts_give_other_keys(self, other: tuple[Any, ...]) -> None:
        assert stage_key({"a": 1}, "x") != stage_key(*other)

    def test_a_path_counts_as_its_text(self) -> None:
        assert stage_key(Path("a/b")) == stage_key("a/b")
