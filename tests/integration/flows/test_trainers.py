"""Who trains: the deployment on a real server, this process, and the stand-in of other tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import pytest

from fedchurn.errors import RetrainingError, TrackingError
from fedchurn.loop.retraining.site import retrain_site
from fedchurn.loop.retraining.stored_rows import TrainingData
from fedchurn.loop.retraining.trainer import (
    Order,
    ProcessTrainer,
    Trained,
    Trainer,
    TrainingFailed,
    make_order,
)
from fedchurn.settings_files import load_settings
from tests.integration.flows.conftest import Prefect
from tests.integration.retraining.sites import RELEASE, KeyedTrainer

CONTRACT = "rehearsal"
TOLD = {"outcome": "promoted", "release_id": RELEASE, "version": "2", "summary": "Better: 1."}
READ = Trained(**TOLD)
SOURCE = TrainingData("d" * 64, None, (), "Nothing is added.")
JOINED = TrainingData("e" * 64, "/rows/a b.csv", (), "Rows are added.")


class Rehearsal(Protocol):
    """A trainer whose trainings come to their end when they are told to."""

    trainer: Trainer

    def end(self, run_id: str) -> None: ...


class OnServer:
    """Trains by a deployment that no worker looks after."""

    def __init__(self, prefect: Prefect) -> None:
        from prefect.client.orchestration import get_client

        from flows.deployed_training import DeploymentTrainer

        with get_client(sync_client=True) as client:
            flow_id = client.create_flow_from_name("train")
            client.create_deployment(
                flow_id, CONTRACT, parameters={"contract": "ecommerce", "data": "rows.csv"}
            )
        self._prefect = prefect
        self.trainer: Trainer = DeploymentTrainer(CONTRACT, start_minutes=0)

    def end(self, run_id: str) -> None:
        message = f"{RELEASE} (version 2): Better: 1."
        self.set_state(run_id, "COMPLETED", "Promoted", message)

    def set_state(self, run_id: str, kind: str, name: str, message: str) -> None:
        state = {"type": kind, "name": name, "message": message}
        self._prefect.ask(f"flow_runs/{run_id}/set_state", {"state": state, "force": True})


class InFolder:
    """The stand-in of other tests."""

    def __init__(self, folder: Path) -> None:
        self.trainer: Trainer = KeyedTrainer(folder, outcome="")

    def end(self, run_id: str) -> None:
        assert run_id
        self.trainer = KeyedTrainer(self.trainer.folder)  # type: ignore[attr-defined]


@pytest.fixture(params=["server", "folder"])
def rehearsal(request: pytest.FixtureRequest, prefect: Prefect, tmp_path: Path) -> Rehearsal:
    return OnServer(prefect) if request.param == "server" else InFolder(tmp_path / "server")


@pytest.fixture
def on_server(prefect: Prefect) -> OnServer:
    return OnServer(prefect)


def order(key: str, data: TrainingData = SOURCE) -> Order:
    settings = load_settings(assignments=["seed=3"])
    return make_order(f"retrain-{key}", CONTRACT, data, settings, None, ["seed=3"])


class Told:
    """What a trainer told about the beginning."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def __call__(self, run_id: str, name: str) -> None:
        assert name
        self.ids.append(run_id)


def test_a_key_is_one_training(rehearsal: Rehearsal, tmp_path: Path) -> None:
    told, mine, other = Told(), f"{tmp_path.name}-1", f"{tmp_path.name}-2"
    for key in (mine, mine, other):
        assert rehearsal.trainer.train(order(key), told) is None
    assert told.ids[0] == told.ids[1] != told.ids[2]


def test_what_comes_out_is_told_however_often_it_is_asked(
    rehearsal: Rehearsal, tmp_path: Path
) -> None:
    told, mine = Told(), order(tmp_path.name)
    assert rehearsal.trainer.train(mine, told) is None
    rehearsal.end(told.ids[0])
    for _ in range(2):
        trained = rehearsal.trainer.train(mine, told)
        assert trained is not None
        assert (trained.outcome, trained.release_id, trained.version) == ("promoted", RELEASE, "2")
    assert len(set(told.ids)) == 1


def test_the_summary_of_a_flow_is_read(on_server: OnServer, tmp_path: Path) -> None:
    told, mine = Told(), order(tmp_path.name)
    on_server.trainer.train(mine, told)
    on_server.end(told.ids[0])
    assert on_server.trainer.train(mine, told) == READ


@pytest.mark.parametrize(
    ("kind", "name"), [("FAILED", "Failed"), ("CRASHED", "Crashed"), ("CANCELLED", "Cancelled")]
)
def test_a_run_without_a_verdict_has_failed(
    on_server: OnServer, tmp_path: Path, kind: str, name: str
) -> None:
    told, mine = Told(), order(tmp_path.name)
    on_server.trainer.train(mine, told)
    on_server.set_state(told.ids[0], kind, name, "no room")
    trained = on_server.trainer.train(mine, told)
    assert trained is not None
    assert trained.outcome == "failed"
    assert f"{name}: no room" in trained.summary


def test_the_run_reads_the_rows_that_were_decided(
    on_server: OnServer, prefect: Prefect, tmp_path: Path
) -> None:
    told = Told()
    on_server.trainer.train(order(tmp_path.name, JOINED), told)
    parameters = prefect.ask(f"flow_runs/{told.ids[0]}")["parameters"]
    assert parameters["data"] == "rows.csv"  # the deployment's own, overridden by what follows
    settings = load_settings(
        assignments=parameters["assignments"], values={"data": {"location": "rows.csv"}}
    )
    assert settings.data.location == "/rows/a b.csv"
    assert settings.seed == 3


def test_what_train_is_deployed_with_holds_for_retrains(on_server: OnServer) -> None:
    from flows.deployed_training import has_worker, is_deployed, train_parameters

    assert on_server.trainer.place == f"deployment train/{CONTRACT}"
    assert is_deployed(CONTRACT)
    assert not has_worker(CONTRACT)
    assert train_parameters(CONTRACT) == {"contract": "ecommerce", "data": "rows.csv"}
    assert not is_deployed("nobody")
    assert train_parameters("nobody") == {}


@pytest.mark.parametrize(
    ("own", "worker", "place"),
    [
        (True, False, "this process"),
        (True, True, "deployment train/ecommerce"),
        (False, False, "deployment train/ecommerce"),
    ],
)
def test_nothing_is_ordered_of_a_platform_that_is_down(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own: bool, worker: bool, place: str
) -> None:
    import flows.retrain as retrain

    for name, told in (("is_deployed", True), ("has_worker", worker)):
        monkeypatch.setattr(retrain, name, lambda _, told=told: told)
    monkeypatch.setattr(retrain, "is_own_server", lambda: own)
    site = retrain_site(load_settings(assignments=[f"home={tmp_path}"]))
    assert retrain.deployed_or_here(site).place == place


def test_a_retrain_whose_training_crashed_elsewhere_has_failed() -> None:
    from flows.retrain import raise_failed

    def told(outcome: str) -> dict[str, Any]:
        end = {"outcome": outcome, "summary": "train-shop ended as Crashed: killed"}
        return {"decision": {"run_key": "k1"}, "outcome": end}

    raise_failed("shop", [told("refused"), {"decision": {"run_key": "k2"}}])
    with pytest.raises(RetrainingError, match="train-shop ended as Crashed") as caught:
        raise_failed("shop", [told("promoted"), told("failed")])
    assert caught.value.where == "train/shop, key k1"


def test_in_this_process_the_flows_outcome_is_told() -> None:
    told = Told()
    seen: list[Any] = []

    def train(settings: Any) -> dict[str, Any]:
        seen.append(settings.data.location)
        return {**TOLD, "metrics": {}}

    assert ProcessTrainer(train).train(order("a", JOINED), told) == READ
    assert seen == ["/rows/a b.csv"]
    assert told.ids == [""]


def test_in_this_process_an_error_is_the_end_of_it() -> None:
    def train(_settings: Any) -> dict[str, Any]:
        raise TrackingError("MLflow is away")

    with pytest.raises(TrainingFailed, match="MLflow is away"):
        ProcessTrainer(train).train(order("a"), Told())
