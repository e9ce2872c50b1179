"""The place of a drill: its home, its environment, and everything that was started in it.

Nothing of the user's own setting reaches it, and nothing of it outlives the drill.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fedchurn.quiet import apply_quiet_environment
from infra import processes, stack
from infra.drill.commands import Commands
from infra.processes import Started
from infra.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]
CONTRACT = "ecommerce"
STOP_SECONDS = 15.0
# What a user's shell may hold must not decide a drill.
FOREIGN = ("FEDCHURN_", "MLFLOW_", "PREFECT_", "BENTO", "FLWR_", "PYTHONWARNINGS")


def clean_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without settings of the tools, and with telemetry off."""
    kept = {k: v for k, v in environ.items() if not k.startswith(FOREIGN)}
    apply_quiet_environment(kept)
    return kept


@dataclass(frozen=True)
class Deployment:
    """What the drill changes of a deployment, as a user would in his prefect.yaml.

    Attributes:
        entrypoint: the flow.
        parameters: laid over the deployment's own.
    """

    entrypoint: str
    parameters: Mapping[str, Any]


def write_project(folder: Path, changes: Sequence[Deployment]) -> None:
    """A folder with a prefect.yaml like the project's, for one contract, with changed parameters.

    Schedules are left out: the drill says itself when something runs.
    """
    whole = yaml.safe_load((PROJECT / "prefect.yaml").read_text(encoding="utf-8"))
    whole.pop("definitions", None)
    whole["deployments"] = [d for d in whole["deployments"] if d["name"] == CONTRACT]
    for deployment in whole["deployments"]:
        deployment.pop("schedules", None)
        for change in changes:
            if deployment["entrypoint"] == change.entrypoint:
                deployment["parameters"] = {**deployment["parameters"], **change.parameters}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prefect.yaml").write_text(yaml.safe_dump(whole, sort_keys=False), encoding="utf-8")


class Site:
    """See the module docstring; ``close`` stops everything, whatever had been started.

    Args:
        home: folder of the drill, made if it is not there.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self.logs = self.home / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.settings = Settings(
            home=self.home,
            project=self.home / "project",
            prefect_port=processes.free_port(),
            mlflow_port=processes.free_port(),
        )
        self.environ = stack.child_environment(self.settings, clean_environment(os.environ))
        self.commands = Commands(self.environ, PROJECT, self.logs)
        self._mark = uuid.uuid4().hex
        self._started: list[Started] = []
        self._platform: Future[tuple[str, ...]] | None = None

    def start_platform(self, beside: Executor) -> Future[tuple[str, ...]]:
        """Begin to start Prefect server, MLflow server and worker; gives their names when all are.

        The servers answer a while before the worker does.
        """
        self._platform = beside.submit(self._up)
        return self._platform

    def _up(self) -> tuple[str, ...]:
        platform, _ = stack.up(self.settings, clean_environment(os.environ))
        return tuple(started.name for started in platform.started)

    def servers_answer(self) -> bool:
        """Whether both servers do.

        Raises:
            FedchurnError: the platform could not be started.
        """
        if self._platform is not None and self._platform.done():
            self._platform.result()
        urls = (f"{self.settings.prefect_api_url}/health", f"{self.settings.mlflow_url}/health")
        return all(processes.read_url(url) is not None for url in urls)

    def start(
        self, name: str, command: Sequence[str], environ: Mapping[str, str], cwd: Path = PROJECT
    ) -> Started:
        """Start a process that stays until the end."""
        started = processes.start(
            name,
            command,
            mark=f"{self._mark}:{name}",
            log=self.log(name),
            cwd=cwd,
            environ=environ,
        )
        self._started.append(started)
        return started

    def keep(self, started: Sequence[Started]) -> None:
        """Processes that somebody else started, to be stopped with the others."""
        self._started.extend(started)

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def close(self) -> None:
        """Stop everything, last started first."""
        self.commands.close()
        for started in reversed(self._started):
            processes.stop(started, grace_seconds=STOP_SECONDS)
        self._started.clear()
        while not self._is_down():
            time.sleep(processes.POLL_SECONDS)

    def _is_down(self) -> bool:
        """Stop the platform; while it is still being started, what comes next is there later."""
        is_settled = self._platform is None or self._platform.done()
        stack.down(self.settings)
        return is_settled
