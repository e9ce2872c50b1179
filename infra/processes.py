"""Background processes: started in a session of their own, recognised again later, stopped whole.

A process is recognised by its pid together with the second it was born, and everything it starts
by an environment variable that children inherit. So a pid that the system has given to somebody
else is never signalled, and a grandchild in a session of its own is still found.
"""

from __future__ import annotations

import http.client
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "FEDCHURN_STARTED_AS"
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Started:
    """A process that was started.

    Attributes:
        name: what people call it.
        pid: its process id.
        born_seconds: when it was born, seconds since the epoch.
        mark: value of the environment variable ``MARK`` that it and its children carry.
        log: file that holds its output.
    """

    name: str
    pid: int
    born_seconds: float
    mark: str
    log: str


def start(
    name: str,
    command: Sequence[str],
    *,
    mark: str,
    log: Path,
    cwd: Path,
    environ: Mapping[str, str],
) -> Started:
    """Start a command in a session of its own; output goes to ``log``, the last log is kept."""
    if log.exists():
        log.replace(log.with_suffix(".log.old"))
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env={**environ, MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    process.returncode = 0  # it outlives us on purpose: Popen shall neither wait for it nor warn
    return Started(name, process.pid, psutil.Process(process.pid).create_time(), mark, str(log))


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return bool(process.environ().get(MARK) == mark)
    except (psutil.Error, OSError):
        return False


def _leader(started: Started) -> psutil.Process | None:
    try:
        process = psutil.Process(started.pid)
        same = abs(process.create_time() - started.born_seconds) < 1.0
    except psutil.NoSuchProcess:
        return None
    # The second test is for a system clock that was set in between.
    return process if _runs(process) and (same or _carries(process, started.mark)) else None


def is_alive(started: Started) -> bool:
    """Whether the very process that was started still runs."""
    return _leader(started) is not None


def stop(started: Started, *, grace_seconds: float) -> None:
    """SIGTERM to the process, then to whatever it left behind, then SIGKILL to what stays.

    Args:
        started: the process.
        grace_seconds: how long each of the two gentle steps may take.
    """
    leader = _leader(started)
    if leader is not None:
        _end([leader], grace_seconds)
    _end([p for p in psutil.process_iter() if _carries(p, started.mark)], grace_seconds)


def _end(processes: Iterable[psutil.Process], grace_seconds: float) -> None:
    living = [p for p in processes if _runs(p)]
    for process in living:
        _signal(process.terminate)
    wait_until(lambda: not any(map(_runs, living)), deadline_seconds=grace_seconds)
    for process in filter(_runs, living):
        _signal(process.kill)
    wait_until(lambda: not any(map(_runs, living)), deadline_seconds=grace_seconds)


def _signal(send: Callable[[], None]) -> None:
    try:
        send()
    except psutil.NoSuchProcess:
        return


def wait_until(condition: Callable[[], bool], *, deadline_seconds: float) -> bool:
    """Poll until the condition holds; False when the deadline passes first."""
    end = time.monotonic() + deadline_seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(POLL_SECONDS)
    return True


# A proxy of the environment must not stand between this machine and itself.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def read_url(url: str, *, body: bytes | None = None, timeout_seconds: float = 5.0) -> bytes | None:
    """Answer of a local server (POST when there is a body); None when there is no good answer."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    try:
        with _DIRECT.open(request, timeout=timeout_seconds) as answer:
            content: bytes = answer.read()
            return content
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        return None


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    return free_ports(1)[0]


def free_ports(num_ports: int) -> list[int]:
    """That many different ones."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(num_ports)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def last_lines(path: Path, num_lines: int) -> str:
    """The end of a text file; empty when there is no such file."""
    if not path.is_file():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-num_lines:])
