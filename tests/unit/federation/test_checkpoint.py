"""A training that is killed at any instant ends with the weights of one that was not."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import numpy as np
import pytest

from fedchurn.federation.training import checkpoint_folder
from fedchurn.federation.training.checkpoint import Progress, progress_from_bytes, progress_to_bytes
from fedchurn.federation.training.checkpoint_folder import CheckpointFolder
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.state import RoundRecord
from fedchurn.federation.training.train import NO_CHECKPOINTS, TrainedModel, train_federated
from fedchurn.learning.recipe import Recipe
from tests.unit.federation.clients import CONTRACT, federation, table

TABLES = [table("a", 300, 1), table("b", 200, 2), table("c", 120, 3)]
PHASE = {"strategy": "newton", "num_rounds": 3, "ridges": [3.0, 0.3], "refit_rounds": 2}
NEWTON = Recipe.model_validate({"name": "n", "encoder": {"num_knots": 3}, "phases": [PHASE]})
LOCAL = {"strategy": "fedadam", "num_rounds": 3, "hidden": [{"units": 3}], "clients_per_round": 2}
LOCAL_AFTER_NEWTON = Recipe.model_validate(
    {
        "name": "both",
        "encoder": {"num_knots": 3},
        "phases": [{**PHASE, "refit_rounds": 0}, {**LOCAL, "linear": True, "frozen_linear": True}],
    }
)
SCAFFOLD = Recipe.model_validate(
    {
        "name": "scaffold",
        "encoder": {"num_knots": 3},
        "phases": [{**LOCAL, "strategy": "scaffold", "optimizer": "sgd", "num_rounds": 4}],
    }
)


class Killed(Exception):
    """Stands for kill -9 between two rounds."""


class KilledAfter:
    """Keeps so many checkpoints, then the training dies."""

    def __init__(self, num_kept: int) -> None:
        self._num_left = num_kept
        self.kept: bytes | None = None

    def keep(self, progress: Progress) -> None:
        self.kept = progress_to_bytes(progress)
        self._num_left -= 1
        if self._num_left == 0:
            raise Killed

    def newest(self) -> Progress | None:
        return None if self.kept is None else progress_from_bytes(self.kept)


def trained(recipe: Recipe, checkpoints: object = NO_CHECKPOINTS) -> TrainedModel:
    return train_federated(
        federation(TABLES),
        CONTRACT,
        recipe,
        RoundPolicy(),
        seed=4,
        min_cell_rows=1,
        checkpoints=checkpoints,  # type: ignore[arg-type]
    )


def outcome(model: TrainedModel) -> tuple[object, ...]:
    """All that a training gives, but for the seconds that it took."""
    records = [{**record.to_dict(), "seconds": None} for record in model.records]
    weights = [array.tobytes() for array in (*model.weights, *model.selection_weights)]
    return weights, model.best_round_num, records, model.encoder


@pytest.mark.parametrize(
    "recipe", [NEWTON, LOCAL_AFTER_NEWTON, SCAFFOLD], ids=lambda recipe: recipe.name
)
def test_killed_after_any_checkpoint_it_ends_as_if_nothing_had_happened(recipe: Recipe) -> None:
    undisturbed = outcome(trained(recipe))
    num_killed = 0
    while True:
        checkpoints = KilledAfter(num_killed + 1)
        try:
            trained(recipe, checkpoints)
            break
        except Killed:
            num_killed += 1
        assert outcome(trained(recipe, checkpoints)) == undisturbed
    assert num_killed >= 6  # statistics, round 0, and every round


def test_rounds_of_the_interrupted_training_are_told_again() -> None:
    checkpoints = KilledAfter(3)
    with pytest.raises(Killed):
        trained(NEWTON, checkpoints)
    told: list[int] = []
    train_federated(
        federation(TABLES),
        CONTRACT,
        NEWTON,
        RoundPolicy(),
        seed=4,
        min_cell_rows=1,
        on_progress=lambda record, _total: told.append(record.round_num),
        checkpoints=checkpoints,
    )
    assert told == sorted(set(told))
    assert told[0] == 0


def _train_until_killed(folder: Path, num_writes: int) -> None:
    """In a process of its own: dies before its n-th call that changes the disk."""
    left = num_writes

    def counted(call: object) -> object:
        def wrapper(*args: object, **options: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **options)  # type: ignore[operator]

        return wrapper

    for name in ("open", "fsync", "replace", "rename", "unlink", "mkdir"):
        setattr(os, name, counted(getattr(os, name)))
    trained(NEWTON, CheckpointFolder(folder))


def test_kill_9_before_every_write_to_the_disk(tmp_path: Path) -> None:
    undisturbed = outcome(trained(NEWTON))
    num_writes, ended = 0, False
    while not ended:
        num_writes += 1
        folder = tmp_path / str(num_writes)
        child = os.fork()
        if child == 0:
            try:
                _train_until_killed(folder, num_writes)
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        ended = not os.WIFSIGNALED(status)
        assert outcome(trained(NEWTON, CheckpointFolder(folder))) == undisturbed
    assert num_writes > 20


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = CheckpointFolder(tmp_path)
    for round_num in (1, 2, 3):
        folder.keep(Progress({}, {}, records=(RoundRecord(round_num, "newton", ()),)))
    newest = max(tmp_path.iterdir())
    newest.write_bytes(newest.read_bytes()[:-10])
    found = folder.newest()
    assert found is not None
    assert found.records[0].round_num == 2
    assert "is damaged" in caplog.text


def test_old_checkpoints_are_removed_and_only_the_owner_reads_them(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "kept")
    for _ in range(5):
        folder.keep(Progress({}, {}))
    files = list((tmp_path / "kept").iterdir())
    assert len(files) == checkpoint_folder.NUM_KEPT
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_checkpoint_before_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    kept = CheckpointFolder(tmp_path)
    kept.keep(Progress({}, {"a": "first"}))

    def full(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), full)
        with pytest.raises(OSError, match="No space left"):
            kept.keep(Progress({}, {"a": "second"}))
    assert [path.suffix for path in tmp_path.iterdir()] == [".npz"]
    newest = kept.newest()
    assert newest is not None
    assert newest.absences == {"a": "first"}


def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path) -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    left = tmp_path / f"00000001-abc.npz.{child}.tmp"
    written = tmp_path / f"00000001-abc.npz.{os.getppid()}.tmp"
    for path in (left, written):
        path.write_bytes(b"half")
    CheckpointFolder(tmp_path).keep(Progress({}, {}))
    assert not left.exists()
    assert written.exists()


def test_a_checkpoint_of_another_format_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fedchurn.federation.training.checkpoint.FORMAT", 999)
    CheckpointFolder(tmp_path).keep(Progress({}, {}))
    monkeypatch.undo()
    assert CheckpointFolder(tmp_path).newest() is None


def test_memory_of_any_shape_and_kind_comes_back() -> None:
    from fedchurn.federation.training.state import RoundState

    memory = {"a/b": np.zeros((0, 2)), "n": np.asarray(7, dtype=np.uint64), "x": np.ones(3)}
    state = RoundState(5, ((np.ones((2, 1), np.float32),),), memory)
    found = progress_from_bytes(progress_to_bytes(Progress({}, {}, state=state))).state
    assert found is not None
    assert found.digest() == state.digest()
    assert {n: (a.shape, a.dtype) for n, a in found.memory.items()} == {
        n: (a.shape, a.dtype) for n, a in memory.items()
    }
