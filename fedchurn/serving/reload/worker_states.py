"""What each worker process serves, for the other workers: one small file per process.

Files of processes that are gone are removed by whoever looks. A process is known by its id and its
start time, because ids are used again. Other machines and containers may share the folder: their
processes cannot be seen from here, so theirs are neither listed nor removed until a day after
their last sign of life.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from fedchurn.serving.reload.files import read_record, write_record

_FORGET_SECONDS = 86_400.0
SUFFIX = ".worker.json"


@dataclass(frozen=True)
class WorkerState:
    """One worker.

    Attributes:
        host: machine or container.
        pid: process id there.
        process_start: when the process began, in clock ticks since the machine's; 0 if not known.
        started_seconds: Unix time at which the worker was ready.
        release: id of the release that answers.
        version: its version in the registry, where known.
        release_folder: where it was loaded from.
        swapped_seconds: Unix time at which it began to answer.
        chosen_by: who says that it should: ``setting``, ``call``, ``promotion`` or ``bento``.
        champion_fault: why the model may not be asked now, or None.
        reload_fault: why the wanted release does not answer, in words, or None.
        challenger: id of the challenger, or None.
        challenger_fault: why the wished-for challenger is not there, or None.
        last_reload: the last reload that changed something or failed, or None.
        experiment: sums of the experiments in this worker (``experiment.py``).
    """

    host: str
    pid: int
    process_start: int
    started_seconds: float
    release: str
    version: str | None
    release_folder: str
    swapped_seconds: float
    chosen_by: str | None = None
    champion_fault: str | None = None
    reload_fault: str | None = None
    challenger: str | None = None
    challenger_fault: str | None = None
    last_reload: Mapping[str, Any] | None = None
    experiment: Mapping[str, Any] = field(default_factory=dict)


def state_path(folder: Path, host: str, pid: int) -> Path:
    """Where a worker keeps its state."""
    return folder / f"{host}-{pid}{SUFFIX}"


def write_state(folder: Path, state: WorkerState) -> None:
    """Leave a worker's state for the others.

    Raises:
        ReleaseError: the folder cannot be written.
    """
    write_record(state_path(folder, state.host, state.pid), asdict(state))


def remove_state(folder: Path, pid: int) -> None:
    """Forget a worker of this machine that has ended."""
    with suppress(OSError):
        state_path(folder, socket.gethostname(), pid).unlink()


def worker_states(folder: Path) -> tuple[WorkerState, ...]:
    """The workers of this machine that live, by process id; files of dead ones are removed."""
    host = socket.gethostname()
    found = []
    for path in _files(folder):
        state = _read(path)
        if state is not None and state.host == host and _lives(state):
            found.append(state)
        elif (state is not None and state.host == host) or _is_old(path):
            with suppress(OSError):
                path.unlink()
    return tuple(sorted(found, key=lambda state: state.pid))


def workers_report(states: Sequence[WorkerState], release: str) -> dict[str, Any]:
    """How many workers answer with ``release``, in figures and in words, and what each does."""
    num_serving = sum(state.release == release for state in states)
    return {
        "num_workers": len(states),
        "num_serving": num_serving,
        "message": f"{num_serving} of {len(states)} workers serve {release}",
        "workers": [
            {key: value for key, value in asdict(state).items() if key not in _INNER}
            for state in states
        ],
    }


_INNER = ("experiment", "process_start", "release_folder", "host")


def process_start(pid: int) -> int | None:
    """When a process began, in clock ticks since the machine's start; None when there is none.

    0 where the system does not say (no ``/proc``), and the process exists.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except FileNotFoundError:
        return None if Path("/proc/self/stat").exists() or not _exists(pid) else 0
    except OSError:
        return None
    state, *rest = text.rpartition(")")[2].split()  # the name before it may hold anything
    return None if state in "ZX" else int(rest[18])


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _lives(state: WorkerState) -> bool:
    return process_start(state.pid) == state.process_start


def _read(path: Path) -> WorkerState | None:
    try:
        stored = read_record(path) or {}
        known = {f.name for f in fields(WorkerState)}
        state = WorkerState(**{key: value for key, value in stored.items() if key in known})
        return state if isinstance(state.pid, int) else None
    except (ValueError, TypeError):
        return None


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(folder.glob(f"*{SUFFIX}"))
    except OSError:
        return []


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _FORGET_SECONDS
    except OSError:
        return False
