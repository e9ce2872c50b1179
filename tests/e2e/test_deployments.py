"""prefect.yaml against real servers: what is deployed, how runs end, and what they leave behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from infra import processes
from tests.conftest import PROJECT
from tests.e2e.fedchurn_command import clean_environment

pytestmark = pytest.mark.e2e

PREFECT = str(Path(sys.executable).with_name("prefect"))
MODEL = "churn_prediction_model"
# Relative: to the folder of prefect.yaml, wherever the command is given.
SAMPLE = "configs/samples/ecommerce.csv"
QUICK = ["evaluation.baselines=false"]


class Ended:
    """``prefect deployment run NAME --watch``, and the run that it watched."""

    def __init__(self, code: int, out: str, run: dict[str, Any]) -> None:
        self.code = code
        self.out = out
        self.id = str(run["id"])
        self.state: dict[str, Any] = run["state"]
        self.start = datetime.fromisoformat(run["start_time"])
        self.end = datetime.fromisoformat(run["end_time"])

    def __str__(self) -> str:
        return f"code {self.code}, {self.state['name']}: {self.state['message']}\n{self.out}"


class Platform:
    """One platform in a home of its own; commands are given in an unrelated folder."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()
        self.environ = clean_environment(FEDCHURN_HOME=str(self.home), HOME=str(self.elsewhere))
        up = self._infra("up", "--free-ports", "--json")
        assert up.returncode == 0, up.stdout + up.stderr
        self.told: dict[str, Any] = json.loads(up.stdout.splitlines()[-1])
        self.environ["PREFECT_API_URL"] = self.api_url
        self.deployed: list[dict[str, Any]] = self.ask("deployments/filter", {})

    @property
    def api_url(self) -> str:
        return str(self.told["prefect_api_url"])

    @property
    def mlflow_url(self) -> str:
        return str(self.told["mlflow_tracking_uri"])

    def down(self) -> None:
        self._infra("down")

    def ask(self, path: str, question: dict[str, Any] | None = None) -> Any:
        """The Prefect server's answer; a question is posted."""
        body = None if question is None else json.dumps(question).encode()
        answer = processes.read_url(f"{self.api_url}/{path}", body=body)
        assert answer is not None, path
        return json.loads(answer)

    def deployment(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.ask(f"deployments/name/{name}")
        return answer

    def runs(self, name: str) -> list[dict[str, Any]]:
        """All runs of a deployment, of whatever state."""
        ids = {"deployment_id": {"any_": [self.deployment(name)["id"]]}}
        answer: list[dict[str, Any]] = self.ask("flow_runs/filter", {"flow_runs": ids})
        return answer

    def run(self, name: str, **parameters: Any) -> Ended:
        """Run a deployment to its end."""
        options = [f"--param={key}={json.dumps(value)}" for key, value in parameters.items()]
        done = self.prefect("deployment", "run", name, "--watch", *options)
        run_id = done.stdout.partition("UUID: ")[2].split()[0]
        return Ended(done.returncode, done.stdout, self.ask(f"flow_runs/{run_id}"))

    def prefect(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._command(PREFECT, *arguments, cwd=self.elsewhere)

    def _infra(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._command(sys.executable, "-m", "infra.platform", *arguments, cwd=PROJECT)

    def _command(self, *command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=cwd, env=self.environ, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    platform = Platform(tmp_path_factory.mktemp("platform"))
    yield platform
    platform.down()


SCHEDULED = "validate/ecommerce"


@pytest.fixture(scope="module")
def scheduled(platform: Platform) -> subprocess.CompletedProcess[str]:
    """Switches a schedule on; before the rest, for the server looks at schedules once a minute."""
    (schedule,) = platform.deployment(SCHEDULED)["schedules"]
    return platform.prefect("deployment", "schedule", "resume", SCHEDULED, schedule["id"])


@pytest.fixture(scope="module")
def first(platform: Platform, scheduled: object) -> Ended:
    """The first training on this platform."""
    return platform.run("train/ecommerce", data=SAMPLE, assignments=QUICK)


@pytest.fixture(scope="module")
def together(platform: Platform, first: Ended) -> dict[str, Ended]:
    """Runs that are started at the same moment, when there is a model in production."""
    assert first.code == 0, str(first)
    given: dict[str, tuple[str, dict[str, Any]]] = {
        "one": ("train/ecommerce", {"data": SAMPLE, "assignments": QUICK}),
        "other": ("train/ecommerce", {"data": SAMPLE, "assignments": QUICK}),
        "promote": ("promote/ecommerce", {"data": SAMPLE, "assignments": QUICK}),
        "no file": ("train/telco", {"data": "/nope.csv"}),
        "watch": ("check-drift/ecommerce", {}),
    }
    with ThreadPoolExecutor(len(given)) as pool:
        begun = {
            key: pool.submit(platform.run, name, **parameters)
            for key, (name, parameters) in given.items()
        }
    return {key: ended.result() for key, ended in begun.items()}


def test_everything_is_deployed(platform: Platform) -> None:
    flows = {flow["id"]: flow["name"] for flow in platform.ask("flows/filter", {})}
    deployed = platform.deployed
    assert {f"{flows[d['flow_id']]}/{d['name']}" for d in deployed} == {
        *("train/ecommerce", "train/telco", "train/telecom", "train/ecommerce-superlink"),
        *("validate/ecommerce", "promote/ecommerce", "package/ecommerce"),
        *("check-drift/ecommerce", "check-drift/telco", "check-drift/telecom"),
        *("retrain/ecommerce", "retrain/telco", "retrain/telecom"),
    }
    assert all("fedchurn" in d["tags"] for d in deployed)
    schedules = {
        f"{flows[d['flow_id']]}/{d['name']}": schedule["active"]
        for d in deployed
        for schedule in d["schedules"]
    }
    assert len(schedules) == 11
    # Looking for drift costs nothing and changes nothing; what trains does not run unasked.
    assert [name for name, is_active in schedules.items() if is_active] == ["check-drift/ecommerce"]


def test_a_first_model_is_promoted(first: Ended) -> None:
    assert first.code == 0, str(first)
    assert "finished successfully in 'Promoted'" in first.out
    assert (first.state["type"], first.state["name"]) == ("COMPLETED", "Promoted")
    assert "(version 1): Accuracy 0." in first.state["message"]


def test_the_run_shows_its_artifacts(platform: Platform, first: Ended) -> None:
    mine = {"artifacts": {"flow_run_id": {"any_": [first.id]}}}
    shown = {a["key"]: a for a in platform.ask("artifacts/filter", mine)}
    assert set(shown) == {
        f"{kind}-ecommerce"
        for kind in ("validation", "progress", "rounds", "evaluation", "promotion", "bento")
    }
    assert "Source: ecommerce.csv" in shown["validation-ecommerce"]["data"]
    assert shown["progress-ecommerce"]["data"] == 100
    assert shown["promotion-ecommerce"]["data"].startswith("# Promoted: ecommerce-1.0.0-")


def test_mlflow_has_the_rounds_and_the_model(platform: Platform, first: Ended) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=platform.mlflow_url)
    version = client.get_model_version_by_alias(MODEL, "production")
    assert version.version == "1"
    steps = [m.step for m in client.get_metric_history(version.run_id, "eval_roc_auc")]
    assert steps == list(range(len(steps)))
    assert len(steps) > 5
    run = client.get_run(version.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["outcome"] == "promoted"
    assert first.state["message"].startswith(f"{run.data.tags['release_id']} (version 1)")


def test_of_two_trainings_of_a_contract_one_waits(
    platform: Platform, together: dict[str, Ended]
) -> None:
    early, late = sorted((together["one"], together["other"]), key=lambda run: run.start)
    assert early.end <= late.start
    names = [state["name"] for state in platform.ask(f"flow_run_states/?flow_run_id={late.id}")]
    assert "AwaitingConcurrencySlot" in names


def test_unchanged_rows_change_nothing(together: dict[str, Ended]) -> None:
    for run in (together["one"], together["other"], together["promote"]):
        assert run.code == 0, str(run)
        assert run.state["name"] == "Unchanged", str(run)
    assert "Not run again: validate, federate, evaluate" in together["one"].state["message"]


def test_nobody_was_predicted_so_there_is_no_drift(together: dict[str, Ended]) -> None:
    watched = together["watch"]
    assert watched.code == 0, str(watched)
    assert (watched.state["type"], watched.state["name"]) == ("COMPLETED", "TooFewRows")


def test_a_missing_file_is_told_in_words(together: dict[str, Ended]) -> None:
    failed = together["no file"]
    assert failed.code == 1
    assert failed.state["type"] == "FAILED"
    assert "SourceError: /nope.csv: no such file\n  next: " in failed.state["message"]
    assert "Traceback" not in failed.state["message"]


@pytest.mark.usefixtures("first")
def test_a_schedule_that_is_switched_on_plans_runs(
    platform: Platform, scheduled: subprocess.CompletedProcess[str]
) -> None:
    assert scheduled.returncode == 0, scheduled.stdout + scheduled.stderr
    assert processes.wait_until(lambda: bool(platform.runs(SCHEDULED)), deadline_seconds=90)
    assert {run["state_name"] for run in platform.runs(SCHEDULED)} == {"Scheduled"}


@pytest.mark.usefixtures("together")
def test_nothing_is_pickled(platform: Platform) -> None:
    stored = [p for p in (platform.home / "prefect" / "storage").rglob("*") if p.is_file()]
    assert [json.loads(p.read_text())["__exc_type__"] for p in stored] == [
        "fedchurn.errors.SourceError"
    ]
    heads = {p: p.read_bytes()[:2] for p in platform.home.rglob("*") if p.is_file()}
    assert [p for p, head in heads.items() if head[:1] == b"\x80" and head[1:] <= b"\x05"] == []
    assert list(platform.elsewhere.glob("mlruns")) == []
