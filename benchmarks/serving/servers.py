"""The servers that are compared, each with a home of its own, one worker, on loopback."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.serving.http_client import answered_in_time
from benchmarks.serving.material import Material
from fedchurn.quiet import apply_quiet_environment

PROJECT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 90.0
BENTOML = (sys.executable, "-m", "bentoml", "serve")
UVICORN = (sys.executable, "-m", "uvicorn", "--no-access-log", "--log-level", "warning")


@dataclass(frozen=True)
class Side:
    """One server.

    Attributes:
        name: as the tables call it.
        command: how it is started, but for host and port.
        environ: what it needs beyond the common environment.
        folder: where it is started.
        has_home: finds its release in a FEDCHURN_HOME; else FEDCHURN_RELEASE names it.
    """

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    folder: Path = PROJECT
    has_home: bool = False


FASTAPI_APP = "benchmarks.serving.peer_fastapi:make_app"
OURS = Side("fedchurn", (*BENTOML, "bentos.churn.service:Churn"), has_home=True)
FASTAPI = Side(
    "FastAPI",
    (*UVICORN, "--loop", "uvloop", "--http", "httptools", "--factory", FASTAPI_APP),
)
STOCK = Side("stock BentoML", (*BENTOML, "benchmarks.serving.peer_bento:Stock"))
STOCK_QUIET = Side(
    "stock BentoML, no access log",
    STOCK.command,
    {"BENTOML_CONFIG_OPTIONS": "services.stock.logging.access.enabled=false"},
)
CONSTANT = Side("BentoML, a constant", (*BENTOML, "benchmarks.serving.peer_constant:Constant"))
KERAS = Side("stock BentoML with Keras", (*BENTOML, "benchmarks.serving.peer_keras:Keras"))


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        port: on loopback.
        process: the process that was started; workers are its children.
        cold_start_seconds: from the start of the process to the first 200 on /predict.
    """

    port: int
    process: psutil.Process
    cold_start_seconds: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def workers(self) -> list[psutil.Process]:
        """The processes that answer: those without children that serve, or the only one."""
        found = [p for p in self.process.children() if "worker" in " ".join(p.cmdline())]
        return found or [self.process]

    def cpu_seconds(self) -> float:
        """Processor time that the workers have taken until now."""
        times = [worker.cpu_times() for worker in self.workers]
        return sum(t.user + t.system for t in times)


@contextmanager
def running(side: Side, material: Material, folder: Path) -> Iterator[Running]:
    """Start a server and wait for its first answer; it is stopped afterwards.

    Raises:
        RuntimeError: it did not answer in time.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [*side.command, "--host", "127.0.0.1", "--port", str(port)]
    log = folder / "server.log"
    body = material.bodies.read_bytes().splitlines()[0]
    with log.open("wb") as output:
        begun = time.perf_counter()
        server = subprocess.Popen(
            command,
            cwd=side.folder,
            env=_environ(side, material, folder),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            if not answered_in_time(port, body, begun + DEADLINE_SECONDS, server):
                raise RuntimeError(f"{side.name} does not answer:\n{log.read_text()[-4000:]}")
            seconds = time.perf_counter() - begun
            yield Running(port, psutil.Process(server.pid), seconds)
        finally:
            _stop(server)


def free_port() -> int:
    """A port of loopback on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _environ(side: Side, material: Material, folder: Path) -> dict[str, str]:
    foreign = ("FEDCHURN_", "BENTO", "PROMETHEUS_", "PYTHON")
    environ = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    apply_quiet_environment(environ)
    environ["BENTOML_HOME"] = str(folder / "bentoml")
    if side.has_home:
        environ["FEDCHURN_HOME"] = str(material.home)
    else:
        environ["FEDCHURN_RELEASE"] = str(material.release.folder)
    return environ | side.environ


def _stop(server: subprocess.Popen[bytes]) -> None:
    """End a server and all that it started; each by its own id."""
    family = psutil.Process(server.pid).children(recursive=True) if server.poll() is None else []
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(timeout=15)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    for process in family:
        if process.is_running():
            process.kill()
