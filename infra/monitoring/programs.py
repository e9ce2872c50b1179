"""Prometheus and Alertmanager as plain processes: configured for some services, started, awaited.

The files beside this module are what is shipped; ``write_configuration`` changes in them what
depends on the place (addresses, ports, keys) and on the pace, nothing else.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fedchurn.errors import FedchurnError, SettingsError
from infra import processes
from infra.processes import Started

SHIPPED = Path(__file__).parent
PROMETHEUS = "prometheus"
ALERTMANAGER = "alertmanager"
NAMES = (ALERTMANAGER, PROMETHEUS)  # in the order in which they start
_PROGRAMS = {
    PROMETHEUS: ("prometheus",),
    ALERTMANAGER: ("prometheus-alertmanager", "alertmanager"),  # Debian's name, and everyone's
}
_START_DEADLINE_SECONDS = 60.0
_GRACE_SECONDS = 15.0
_NUM_LOG_LINES = 20


@dataclass(frozen=True)
class Service:
    """A churn service that is watched.

    Attributes:
        contract: its name; alerts carry it as label ``contract``.
        address: ``HOST:PORT``.
    """

    contract: str
    address: str


@dataclass(frozen=True)
class Pace:
    """How often things happen; the defaults are those of the shipped files."""

    scrape_seconds: float = 15.0
    group_wait_seconds: float = 10.0
    group_interval_seconds: float = 10.0


QUICK = Pace(scrape_seconds=1.0, group_wait_seconds=0.0, group_interval_seconds=1.0)
"""For tests and the drill: an alert is told about a second after its cause was scraped."""


@dataclass(frozen=True)
class Monitoring:
    """What is to be started.

    Attributes:
        folder: configuration, data and logs.
        services: at least one; alerts without label ``contract`` are told to the first.
        prometheus_port, alertmanager_port: on the loopback address.
        pace: how often things happen.
        key_file: file with an API key of scope admin that both programs show; None: they show none.
    """

    folder: Path
    services: tuple[Service, ...]
    prometheus_port: int
    alertmanager_port: int
    pace: Pace = Pace()
    key_file: Path | None = None

    @property
    def prometheus_url(self) -> str:
        return f"http://127.0.0.1:{self.prometheus_port}"

    @property
    def alertmanager_url(self) -> str:
        return f"http://127.0.0.1:{self.alertmanager_port}"


def find_program(name: str) -> str | None:
    """The path of one of ``NAMES``; None when it is not installed."""
    return next(filter(None, map(shutil.which, _PROGRAMS[name])), None)


def are_installed() -> bool:
    """Whether both programs are."""
    return all(find_program(name) for name in NAMES)


def write_configuration(monitoring: Monitoring) -> None:
    """Write prometheus.yml, alertmanager.yml and the rules below ``monitoring.folder``."""
    folder = monitoring.folder
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(SHIPPED / "rules", folder / "rules", dirs_exist_ok=True)
    for name, settings in (
        ("prometheus.yml", _prometheus_settings(monitoring)),
        ("alertmanager.yml", _alertmanager_settings(monitoring)),
    ):
        (folder / name).write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def _shipped(name: str) -> Any:
    return yaml.safe_load((SHIPPED / name).read_text(encoding="utf-8"))


def _prometheus_settings(monitoring: Monitoring) -> dict[str, Any]:
    settings: dict[str, Any] = _shipped("prometheus.yml")
    every = f"{round(monitoring.pace.scrape_seconds * 1000)}ms"
    settings["global"] |= {"scrape_interval": every, "evaluation_interval": every}
    (server,) = settings["alerting"]["alertmanagers"]
    server["static_configs"] = [{"targets": [f"127.0.0.1:{monitoring.alertmanager_port}"]}]
    (job,) = settings["scrape_configs"]
    job["static_configs"] = [
        {"targets": [service.address], "labels": {"contract": service.contract}}
        for service in monitoring.services
    ]
    if monitoring.key_file is not None:
        job["authorization"] = {"credentials_file": str(monitoring.key_file.absolute())}
    return settings


def _alertmanager_settings(monitoring: Monitoring) -> dict[str, Any]:
    """One pair of receivers per service: its triggers, and what it only keeps."""
    settings: dict[str, Any] = _shipped("alertmanager.yml")
    route, (asking,) = settings["route"], settings["route"]["routes"]
    route["group_wait"] = f"{round(monitoring.pace.group_wait_seconds * 1000)}ms"
    route["group_interval"] = f"{round(monitoring.pace.group_interval_seconds * 1000)}ms"
    route["routes"], receivers = [], []
    for number, service in enumerate(monitoring.services):
        suffix = f"-{service.contract}" if number else ""
        mine = f'contract="{service.contract}"'
        matchers = [[*asking["matchers"], mine], [mine]]
        for found, wanted in zip(settings["receivers"], matchers, strict=True):
            receivers.append(_receiver(found, found["name"] + suffix, service, monitoring.key_file))
            route["routes"].append({"matchers": wanted, "receiver": found["name"] + suffix})
    settings["receivers"] = receivers
    return settings


def _receiver(
    shipped: Mapping[str, Any], name: str, service: Service, key_file: Path | None
) -> dict[str, Any]:
    (webhook,) = shipped["webhook_configs"]
    here = {**webhook, "url": f"http://{service.address}/webhook/drift-alert"}
    del here["http_config"]
    if key_file is not None:
        authorization = {"credentials_file": str(key_file.absolute())}
        here["http_config"] = {"authorization": authorization}
    return {"name": name, "webhook_configs": [here]}


def command(name: str, monitoring: Monitoring) -> list[str]:
    """How one of ``NAMES`` is started on the configuration that was written.

    Raises:
        SettingsError: it is not installed.
    """
    program = find_program(name)
    if program is None:
        raise SettingsError(
            f"there is no program {_PROGRAMS[name][0]!r}",
            where="PATH",
            next_step="apt-get install --no-install-recommends prometheus prometheus-alertmanager,"
            " or leave monitoring off",
        )
    folder = monitoring.folder.absolute()
    data = folder / f"{name}-data"
    if name == PROMETHEUS:
        return [
            program,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{monitoring.prometheus_port}",
        ]
    return [
        program,
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={data}",
        f"--web.listen-address=127.0.0.1:{monitoring.alertmanager_port}",
        "--cluster.listen-address=",  # one server, no gossip, no second port
    ]


def is_ready(name: str, monitoring: Monitoring) -> bool:
    """Whether one of ``NAMES`` answers that it is ready."""
    url = monitoring.prometheus_url if name == PROMETHEUS else monitoring.alertmanager_url
    return processes.read_url(f"{url}/-/ready") is not None


def start(monitoring: Monitoring, environ: Mapping[str, str]) -> tuple[Started, ...]:
    """Write the configuration and start both programs; they are ready on return.

    Raises:
        SettingsError: a program is not installed.
        FedchurnError: one did not start, with the end of its log; both are stopped again.
    """
    commands = {name: command(name, monitoring) for name in NAMES}
    write_configuration(monitoring)
    run = uuid.uuid4().hex
    started: list[Started] = []
    try:
        for name, words in commands.items():
            log = monitoring.folder / f"{name}.log"
            options = {"log": log, "cwd": monitoring.folder, "environ": environ}
            started.append(processes.start(name, words, mark=f"{run}:{name}", **options))
        for one in started:
            _await(one, monitoring)
    except BaseException:
        stop(started)
        raise
    return tuple(started)


def stop(started: Sequence[Started]) -> None:
    """Stop what ``start`` started, the last one first."""
    for one in reversed(started):
        processes.stop(one, grace_seconds=_GRACE_SECONDS)


@contextmanager
def running(monitoring: Monitoring, environ: Mapping[str, str]) -> Iterator[Monitoring]:
    """Both programs while the block runs."""
    started = start(monitoring, environ)
    try:
        yield monitoring
    finally:
        stop(started)


def _await(started: Started, monitoring: Monitoring) -> None:
    def settled() -> bool:
        return not processes.is_alive(started) or is_ready(started.name, monitoring)

    in_time = processes.wait_until(settled, deadline_seconds=_START_DEADLINE_SECONDS)
    if not in_time or not processes.is_alive(started):
        raise FedchurnError(
            f"{started.name} did not start\n"
            f"{processes.last_lines(Path(started.log), _NUM_LOG_LINES)}",
            where="monitoring",
            next_step=f"mend the cause shown above; whole log: {started.log}",
        )
