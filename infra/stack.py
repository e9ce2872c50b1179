"""The processes of the local platform: how each is started, known to be healthy, and stopped.

Prefect server, MLflow server and worker always; Prometheus and Alertmanager where they are wanted.
Everything lives under one home folder: databases, logs/, and platform.json, which says what was
started, written before the next process starts, so that nothing is ever lost from sight.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from fedchurn.errors import FedchurnError, SettingsError
from fedchurn.quiet import apply_quiet_environment
from infra import processes
from infra.monitoring import programs
from infra.monitoring.programs import Monitoring
from infra.processes import Started
from infra.settings import Settings
from infra.stranded import report_stranded

START_DEADLINE_SECONDS = 180.0
GRACE_SECONDS = 15.0
NUM_LOG_LINES = 20
POOL = "local"
WORKER = "fedchurn-local"
CORE = ("prefect", "mlflow", "worker")
# Seconds until the worker, or a run that waits for its turn, looks again; Prefect's are for crowds.
PROMPT = MappingProxyType(
    {
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
    }
)


@dataclass(frozen=True)
class Platform:
    """What one ``up`` started; platform.json holds it."""

    prefect_port: int
    mlflow_port: int
    started: tuple[Started, ...] = ()
    prometheus_port: int = 0
    alertmanager_port: int = 0

    def find(self, name: str) -> Started | None:
        return next((s for s in self.started if s.name == name), None)


def _record_path(home: Path) -> Path:
    return home / "platform.json"


def read_platform(home: Path) -> Platform | None:
    """The platform that runs, or ran, under this home."""
    path = _record_path(home)
    if not path.exists():
        return None
    record = json.loads(path.read_text())
    started = tuple(Started(**item) for item in record["started"])
    return Platform(**{**record, "started": started})


def _write_platform(home: Path, platform: Platform) -> None:
    path = _record_path(home)
    fresh = path.with_suffix(".json.new")
    fresh.write_text(json.dumps(asdict(platform), indent=2))
    fresh.replace(path)


def child_environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """Environment of every process of the platform, flow runs included."""
    child = dict(environ)
    apply_quiet_environment(child)
    for name, value in PROMPT.items():
        child.setdefault(name, value)
    child |= {
        "FEDCHURN_HOME": str(settings.home),
        "FEDCHURN_PROJECT": str(settings.project),
        "PREFECT_HOME": str(settings.home / "prefect"),
        "PREFECT_API_URL": settings.prefect_api_url,
        "PREFECT_SERVER_API_HOST": "127.0.0.1",
        "PREFECT_SERVER_API_PORT": str(settings.prefect_port),
        "PREFECT_SERVER_UI_API_URL": settings.prefect_api_url,
        "MLFLOW_TRACKING_URI": settings.mlflow_url,
        "PWD": str(settings.project),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
    }
    return child


def _mlflow_command(settings: Settings) -> list[str]:
    # Database and artifact folder of the embedded store, so that either side sees the other's runs;
    # served artifacts (mlflow-artifacts:) could not be read without the server.
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--workers", "1"),
        *("--port", str(settings.mlflow_port)),
        *("--backend-store-uri", f"sqlite:///{settings.home / 'mlflow.db'}"),
        *(
            "--default-artifact-root",
            (settings.home / "mlartifacts").as_uri(),
            "--no-serve-artifacts",
        ),
    ]


def _prefect_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "prefect", *arguments]


def _server_is_healthy(name: str, settings: Settings) -> bool:
    url = (
        f"{settings.prefect_api_url}/health"
        if name == "prefect"
        else f"{settings.mlflow_url}/health"
    )
    return processes.read_url(url) is not None


def _worker_is_online(worker: Started, settings: Settings) -> bool:
    """Whether the worker has called the server since its birth (older ones had the same name)."""
    url = f"{settings.prefect_api_url}/work_pools/{POOL}/workers/filter"
    answer = processes.read_url(url, body=b"{}")
    born = datetime.fromtimestamp(worker.born_seconds, UTC)
    return any(
        row["name"] == WORKER and datetime.fromisoformat(row["last_heartbeat_time"]) >= born
        for row in json.loads(answer or b"[]")
    )


def is_healthy(started: Started, settings: Settings) -> bool:
    """Whether a process of the platform runs and does its work."""
    if not processes.is_alive(started):
        return False
    if started.name == "worker":
        return _worker_is_online(started, settings)
    if started.name in programs.NAMES:
        return settings.monitoring is not None and programs.is_ready(
            started.name, settings.monitoring
        )
    return _server_is_healthy(started.name, settings)


class _Starter:
    """Starts one process after another, each one on record before the next."""

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], before: Platform | None = None
    ) -> None:
        self.settings = settings
        self.environ = child_environment(settings, environ)
        self.platform = before or Platform(settings.prefect_port, settings.mlflow_port)
        if settings.monitoring is not None:
            self.platform = replace(
                self.platform,
                prometheus_port=settings.monitoring.prometheus_port,
                alertmanager_port=settings.monitoring.alertmanager_port,
            )
        self._run = uuid.uuid4().hex

    def start(self, name: str, command: Sequence[str]) -> None:
        settings = self.settings
        started = processes.start(
            name,
            command,
            mark=f"{self._run}:{name}",
            log=settings.home / "logs" / f"{name}.log",
            cwd=settings.project,
            environ=self.environ,
        )
        self.platform = replace(self.platform, started=(*self.platform.started, started))
        _write_platform(settings.home, self.platform)

    def await_health(self, name: str) -> None:
        started = self.platform.find(name)
        assert started is not None

        def settled() -> bool:
            return not processes.is_alive(started) or is_healthy(started, self.settings)

        in_time = processes.wait_until(settled, deadline_seconds=START_DEADLINE_SECONDS)
        if not in_time or not processes.is_alive(started):
            fate = "ended at once" if in_time else f"not healthy in {START_DEADLINE_SECONDS:g} s"
            raise _failure(f"{name} did not start: {fate}", Path(started.log))

    def run(self, name: str, command: Sequence[str]) -> None:
        """Run a command to its end."""
        log = self.settings.home / "logs" / f"{name}.log"
        with log.open("wb") as output:
            code = subprocess.run(
                list(command),
                cwd=self.settings.project,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=START_DEADLINE_SECONDS,
                check=False,
            ).returncode
        if code != 0:
            raise _failure(f"{' '.join(command[2:])} ended with exit code {code}", log)


def _failure(what: str, log: Path) -> FedchurnError:
    tail = processes.last_lines(log, NUM_LOG_LINES)
    return FedchurnError(
        f"{what}\n{tail}",
        where="platform",
        next_step=f"mend the cause shown above; whole log: {log}",
    )


def _check_ports(ports: Mapping[str, int]) -> None:
    for name, port in ports.items():
        if not processes.port_is_free(port):
            raise SettingsError(
                f"port {port} is in use",
                where=name,
                next_step=f"stop what listens there, or take another: {name}={port + 1} make up",
            )


def _core_ports(settings: Settings) -> dict[str, int]:
    return {
        "FEDCHURN_PREFECT_PORT": settings.prefect_port,
        "FEDCHURN_MLFLOW_PORT": settings.mlflow_port,
    }


def _monitoring_ports(settings: Settings) -> dict[str, int]:
    if settings.monitoring is None:
        return {}
    return {
        "FEDCHURN_PROMETHEUS_PORT": settings.monitoring.prometheus_port,
        "FEDCHURN_ALERTMANAGER_PORT": settings.monitoring.alertmanager_port,
    }


def _start_monitoring(starter: _Starter) -> None:
    monitoring = starter.settings.monitoring
    if monitoring is None:
        return
    programs.write_configuration(monitoring)
    for name in programs.NAMES:
        starter.start(name, programs.command(name, monitoring))
    for name in programs.NAMES:
        starter.await_health(name)


def _start_core(starter: _Starter) -> None:
    settings = starter.settings
    starter.start("prefect", _prefect_command("server", "start"))
    starter.start("mlflow", _mlflow_command(settings))
    starter.await_health("prefect")
    if processes.read_url(f"{settings.prefect_api_url}/work_pools/{POOL}") is None:
        starter.run("work-pool", _prefect_command("work-pool", "create", POOL, "--type", "process"))
    starter.run("deploy", _prefect_command("--no-prompt", "deploy", "--all"))
    report_stranded(settings.prefect_api_url, POOL)  # no worker of this home is alive
    starter.start("worker", _prefect_command("worker", "start", "--pool", POOL, "--name", WORKER))
    starter.await_health("worker")
    starter.await_health("mlflow")


def up(
    settings: Settings, environ: Mapping[str, str], *, free_ports: bool = False
) -> tuple[Platform, bool]:
    """Start the platform, or find it healthy.

    Returns:
        The platform, and whether it was there already.

    Raises:
        SettingsError: a port is in use.
        FedchurnError: a process did not start; everything that was started is stopped again.
    """
    if settings.monitoring is not None:
        for name in programs.NAMES:  # before anything starts
            programs.command(name, settings.monitoring)
    if free_ports:
        settings = _with_free_ports(settings)
    before = read_platform(settings.home)
    if before is not None:
        found = health(before, settings)
        wanted = programs.NAMES if settings.monitoring is not None else ()
        if all(found.values()) and found.keys() >= set(wanted):
            return before, True
        if all(found[name] for name in CORE):
            return _renew_monitoring(settings, environ, before), False
        _stop_all(settings.home, before)
    _check_ports(_core_ports(settings) | _monitoring_ports(settings))
    if not (settings.project / "prefect.yaml").is_file():
        raise SettingsError(
            "there is no prefect.yaml", where=str(settings.project), next_step="give --project DIR"
        )
    for folder in ("logs", "prefect"):
        (settings.home / folder).mkdir(parents=True, exist_ok=True)
    starter = _Starter(settings, environ)
    try:
        _start_core(starter)
        _start_monitoring(starter)
    except BaseException:  # also Ctrl-C: the processes have sessions of their own
        _stop_all(settings.home, starter.platform)
        raise
    return starter.platform, False


def _with_free_ports(settings: Settings) -> Settings:
    prefect, mlflow, *watching = processes.free_ports(4)
    monitoring = settings.monitoring
    if monitoring is not None:
        prometheus, alertmanager = watching
        monitoring = replace(monitoring, prometheus_port=prometheus, alertmanager_port=alertmanager)
    return replace(settings, prefect_port=prefect, mlflow_port=mlflow, monitoring=monitoring)


def _renew_monitoring(settings: Settings, environ: Mapping[str, str], before: Platform) -> Platform:
    """Start what watches beside the healthy rest, whose runs go on; the old ones are stopped."""
    watching = [started for started in before.started if started.name in programs.NAMES]
    programs.stop(watching)
    rest = tuple(started for started in before.started if started not in watching)
    core = replace(before, started=rest, prometheus_port=0, alertmanager_port=0)
    _write_platform(settings.home, core)
    starter = _Starter(located(settings, core), environ, core)
    _check_ports(_monitoring_ports(settings))
    try:
        _start_monitoring(starter)
    except BaseException:
        programs.stop([s for s in starter.platform.started if s.name in programs.NAMES])
        _write_platform(settings.home, core)
        raise
    return starter.platform


def located(settings: Settings, platform: Platform | None) -> Settings:
    """The settings with the ports that the platform really took."""
    if platform is None:
        return settings
    monitoring = settings.monitoring
    if platform.prometheus_port:
        monitoring = replace(
            monitoring or Monitoring(settings.home / "monitoring", (), 0, 0),
            prometheus_port=platform.prometheus_port,
            alertmanager_port=platform.alertmanager_port,
        )
    return replace(
        settings,
        prefect_port=platform.prefect_port,
        mlflow_port=platform.mlflow_port,
        monitoring=monitoring,
    )


def health(platform: Platform, settings: Settings) -> dict[str, bool]:
    """Whether each process does its work; those of monitoring only if they were started."""
    watching = [name for name in programs.NAMES if platform.find(name) is not None]
    found = {name: platform.find(name) for name in (*CORE, *watching)}
    return {
        name: started is not None and is_healthy(started, located(settings, platform))
        for name, started in found.items()
    }


def _stop_all(home: Path, platform: Platform) -> None:
    """The worker first, so that its flow runs can still report to the servers."""
    for started in reversed(platform.started):
        processes.stop(started, grace_seconds=GRACE_SECONDS)
    _record_path(home).unlink(missing_ok=True)


def down(settings: Settings) -> tuple[str, ...]:
    """Stop what ``up`` started; the names of what was on record."""
    platform = read_platform(settings.home)
    if platform is None:
        return ()
    _stop_all(settings.home, platform)
    return tuple(started.name for started in platform.started)
