"""``make up`` and ``make down`` with real servers, on free ports, in a home of their own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from infra import processes, stack
from infra.monitoring import programs

pytestmark = pytest.mark.e2e
PROJECT = Path(__file__).resolve().parents[2]

FLOW = """
import time
from prefect import flow

@flow
def greet(name: str = "nobody") -> str:
    return "hello " + name

@flow
def linger() -> None:
    time.sleep(600)
"""
DEPLOYMENTS = """
pull:
  - prefect.deployments.steps.set_working_directory:
      directory: "{{ $FEDCHURN_PROJECT }}"
deployments:
  - name: every-minute
    entrypoint: greeting.py:greet
    work_pool: {name: local}
    schedules: [{cron: "* * * * *", timezone: UTC}]
  - name: by-hand
    entrypoint: greeting.py:linger
    concurrency_limit: 1
    work_pool: {name: local}
"""


class Commands:
    """Runs ``python -m infra.platform`` for one home and one tiny project."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.project = folder / "project"
        self.project.mkdir()
        (self.project / "greeting.py").write_text(FLOW)
        (self.project / "prefect.yaml").write_text(textwrap.dedent(DEPLOYMENTS))
        self.environ = {**os.environ, "FEDCHURN_HOME": str(self.home)}

    def run(self, verb: str, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "infra.platform", verb, "--project", str(self.project)]
        return subprocess.run(
            [*command, *options],
            cwd=PROJECT,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            check=False,
        )


def _last_object(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.fixture
def commands(tmp_path: Path) -> Iterator[Commands]:
    commands = Commands(tmp_path)
    yield commands
    commands.run("down")


def _processes_of(home: Path) -> list[psutil.Process]:
    """Every process whose environment names this home."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("FEDCHURN_HOME") == str(home):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _runs_of(api_url: str, body: dict[str, object]) -> list[dict[str, object]]:
    answer = processes.read_url(f"{api_url}/flow_runs/filter", body=json.dumps(body).encode())
    return list(json.loads(answer or b"[]"))


def test_up_runs_scheduled_flows_and_down_leaves_nothing(commands: Commands) -> None:
    first = commands.run("up", "--free-ports", "--json")
    assert first.returncode == 0, first.stdout + first.stderr
    report = _last_object(first)
    assert report["running"] is True
    api_url = str(report["prefect_api_url"])
    assert f"export PREFECT_API_URL={api_url}" in first.stdout

    # Scheduled by the server itself: this is what a wrong SQLAlchemy silently breaks.
    assert processes.wait_until(lambda: bool(_runs_of(api_url, {})), deadline_seconds=60)
    # And carried out by the worker, in a process of its own.
    deployment = processes.read_url(
        f"{api_url}/deployments/name/greet/every-minute", timeout_seconds=60
    )
    assert deployment is not None
    new_run = f"{api_url}/deployments/{json.loads(deployment)['id']}/create_flow_run"
    # A server that is busy with its first flow may take longer than one call waits.
    assert processes.wait_until(
        lambda: processes.read_url(new_run, body=b"{}") is not None, deadline_seconds=30
    )
    done = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    assert processes.wait_until(lambda: bool(_runs_of(api_url, done)), deadline_seconds=60)

    # What the server keeps can be read without it, from the embedded store.
    tracking = f"{report['mlflow_tracking_uri']}/api/2.0/mlflow/experiments"
    assert processes.read_url(f"{tracking}/create", body=b'{"name": "tried"}') is not None
    kept = processes.read_url(f"{tracking}/get-by-name?experiment_name=tried")
    assert (commands.home / "mlartifacts").as_uri() in (kept or b"").decode()

    second = commands.run("up", "--json")
    assert second.returncode == 0
    assert "already up" in second.stdout
    assert _last_object(second)["pids"] == report["pids"]
    assert commands.run("status").returncode == 0
    if programs.are_installed():
        _monitoring_joins_what_runs(commands, report["pids"])

    assert "stopped: prefect, mlflow, worker" in commands.run("down").stdout
    assert _processes_of(commands.home) == []
    assert not (commands.home / "platform.json").exists()
    assert commands.run("status").returncode == 1
    assert commands.run("down").returncode == 0


def _monitoring_joins_what_runs(commands: Commands, pids: object) -> None:
    """Prometheus and Alertmanager start beside the rest, and again when one was lost."""
    joined = _last_object(commands.run("up", "--free-ports", "--monitoring", "--json"))
    found = joined["pids"]
    assert isinstance(found, dict)
    watching = [found.pop(name) for name in programs.NAMES]
    assert found == pids
    assert joined["running"] is True
    assert processes.read_url(f"{joined['prometheus_url']}/api/v1/rules") is not None
    assert processes.read_url(f"{joined['alertmanager_url']}/api/v2/status") is not None
    assert "already up" in commands.run("up", "--monitoring").stdout

    psutil.Process(watching[0]).kill()
    assert commands.run("status").returncode == 1
    renewed = _last_object(commands.run("up", "--free-ports", "--monitoring", "--json"))
    assert renewed["running"] is True
    again = renewed["pids"]
    assert isinstance(again, dict)
    assert {name: again[name] for name in found} == pids
    assert not set(watching) & {again[name] for name in programs.NAMES}


def test_a_run_that_down_cut_off_gives_its_turn_back(commands: Commands) -> None:
    api_url = str(_last_object(commands.run("up", "--free-ports", "--json"))["prefect_api_url"])
    deployment = json.loads(
        processes.read_url(f"{api_url}/deployments/name/linger/by-hand", timeout_seconds=60)
        or b"{}"
    )
    new_run = f"{api_url}/deployments/{deployment['id']}/create_flow_run"
    cut_off = json.loads(processes.read_url(new_run, body=b"{}", timeout_seconds=60) or b"{}")
    running = {"flow_runs": {"state": {"name": {"any_": ["Running"]}}}}
    assert processes.wait_until(
        lambda: cut_off["id"] in {run["id"] for run in _runs_of(api_url, running)},
        deadline_seconds=60,
    )
    assert commands.run("down").returncode == 0
    assert _processes_of(commands.home) == []

    api_url = str(_last_object(commands.run("up", "--free-ports", "--json"))["prefect_api_url"])
    told = json.loads(
        processes.read_url(f"{api_url}/flow_runs/{cut_off['id']}", timeout_seconds=60) or b"{}"
    )
    assert told["state_name"] == "Crashed"
    assert "went down while it ran" in told["state"]["message"]
    turns = json.loads(
        processes.read_url(f"{api_url}/deployments/name/linger/by-hand", timeout_seconds=60)
        or b"{}"
    )
    assert turns["global_concurrency_limit"]["active_slots"] == 0


def test_up_stops_everything_when_one_part_fails(commands: Commands) -> None:
    (commands.home / "prefect" / "prefect.db").mkdir(
        parents=True
    )  # no database can be opened there
    failed = commands.run("up", "--free-ports", "--json")
    assert failed.returncode == 1
    assert "prefect did not start" in failed.stderr
    assert "unable to open database file" in failed.stderr  # the culprit's own last lines
    assert _last_object(failed)["exit_code"] == 1
    assert _processes_of(commands.home) == []
    assert stack.read_platform(commands.home) is None


def test_a_busy_port_is_named_before_anything_starts(commands: Commands) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = commands.run("up", FEDCHURN_MLFLOW_PORT=str(port), FEDCHURN_PREFECT_PORT="4999")
    assert refused.returncode == 2
    assert f"FEDCHURN_MLFLOW_PORT: port {port} is in use" in refused.stderr
    assert "next:" in refused.stderr
