"""The flows in this process, from a break in the middle to an unchanged model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fedchurn.errors import BusyError, PromotionError, ReleaseError, SourceError, ValidationFailed
from fedchurn.loop.one_run import one_run
from fedchurn.settings import Settings
from fedchurn.settings_files import load_settings
from flows.promote import promote
from flows.train import train, train_embedded
from flows.validate import validate
from tests.conftest import PROJECT
from tests.integration.flows.conftest import Prefect

SAMPLE = PROJECT / "configs" / "samples" / "ecommerce.csv"
# Quick rather than good; what the flow does is the same.
QUICK = ("evaluation.baselines=false", "training.phases.0.num_rounds=3", "promotion.min_accuracy=0")


def _assignments(home: Path) -> list[str]:
    return [f"home={home}", *QUICK]


def _settings(home: Path) -> Settings:
    return load_settings(assignments=_assignments(home), values={"data": {"location": str(SAMPLE)}})


def _train(home: Path, **parameters: Any) -> Any:
    """The final state of flow ``train`` on the sample."""
    given = {"data": str(SAMPLE), **parameters}
    return train(**given, assignments=_assignments(home), return_state=True)


def _run_states(prefect: Prefect, flow_run_id: Any) -> dict[str, str]:
    """Final state names of a flow run's tasks, as the server knows them."""
    mine = {"flow_runs": {"id": {"any_": [str(flow_run_id)]}}}
    return {
        run["name"].rpartition("-")[0]: run["state_name"]
        for run in prefect.ask("task_runs/filter", mine)
    }


class Broken:
    """A home in which registration failed at first, and what was done there afterwards."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "releases").parent.mkdir(parents=True)
        (home / "releases").write_text("in the way of the folder of releases")
        self.first = _train(home)
        (home / "releases").unlink()
        self.second = _train(home)
        self.third = _train(home)


@pytest.fixture(scope="module")
def broken(prefect: Prefect, tmp_path_factory: pytest.TempPathFactory) -> Broken:
    return Broken(tmp_path_factory.mktemp("broken") / "home")


class TestBreak:
    def test_it_fails_with_the_reason(self, broken: Broken) -> None:
        assert broken.first.is_failed()
        assert isinstance(broken.first.result(raise_on_failure=False), ReleaseError)
        assert str(broken.home / "releases") in broken.first.message

    def test_a_second_try_goes_on_from_the_last_good_stage(self, broken: Broken) -> None:
        assert broken.second.name == "Promoted"
        outcome = broken.second.result()
        assert outcome["reused_stages"] == ["validate", "federate", "evaluate"]
        assert "Not run again: validate, federate, evaluate." in broken.second.message

    def test_what_is_promoted_is_packaged(self, broken: Broken) -> None:
        made, kept = (state.result()["bento"] for state in (broken.second, broken.third))
        assert (made["outcome"], kept["outcome"]) == ("packaged", "unchanged")
        assert made["version"] == broken.second.result()["version"]
        assert f"Bento: {made['tag']}." in broken.second.message
        assert Path(made["bento_folder"], "bento.yaml").is_file()
        assert {**made, "outcome": "unchanged"} == kept

    def test_an_unchanged_input_runs_nothing_again(self, broken: Broken) -> None:
        assert broken.third.name == "Unchanged"
        outcome = broken.third.result()
        assert outcome["reused_stages"] == ["validate", "federate", "evaluate", "register"]
        assert outcome["version"] == broken.second.result()["version"]

    def test_one_mlflow_run_for_all_three(self, broken: Broken) -> None:
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{broken.home}/mlflow.db")
        runs = client.search_runs(
            [client.get_experiment_by_name("federated_churn_prediction").experiment_id]
        )
        assert [run.info.run_id for run in runs] == [broken.second.result()["mlflow_run_id"]]
        assert runs[0].info.status == "FINISHED"


class TestWhatPrefectShows:
    def test_the_state_is_named_after_the_outcome(self, prefect: Prefect, broken: Broken) -> None:
        runs = prefect.ask("flow_runs/filter", {"flows": {"name": {"any_": ["train"]}}})
        states = {run["id"]: run["state"] for run in runs}
        state = states[str(broken.second.state_details.flow_run_id)]
        assert (state["type"], state["name"]) == ("COMPLETED", "Promoted")
        assert "reaches the floor" in state["message"]
        assert state["data"] is None

    def test_every_task_run_is_on_record(self, prefect: Prefect, broken: Broken) -> None:
        states = _run_states(prefect, broken.third.state_details.flow_run_id)
        assert states == dict.fromkeys(
            (
                *("check tracking", "validate rows", "train federated"),
                *("evaluate model", "register release", "promote or refuse", "publish verdict"),
                *("find production", "build bento", "record bento"),
            ),
            "Completed",
        )

    def test_artifacts(self, prefect: Prefect, broken: Broken) -> None:
        found = {
            name: prefect.artifact(f"{name}-ecommerce")["data"]
            for name in ("validation", "progress", "rounds", "evaluation", "promotion", "bento")
        }
        assert "| rows_used | 3000 |" in found["validation"]
        assert found["progress"] == 100
        rounds = json.loads(found["rounds"])
        clients = {row["client"] for row in rounds}
        assert len(rounds) == len(clients) * len({row["round"] for row in rounds})
        assert "| federated additive | 0." in found["evaluation"]
        assert "Generated sample" in found["evaluation"]
        assert found["promotion"].startswith("# Unchanged: ecommerce-1.0.0-")
        assert found["bento"].startswith("# Unchanged: churn:1-")

    def test_nothing_is_pickled(self, prefect: Prefect, broken: Broken) -> None:
        for path in prefect.stored_results():
            json.loads(path.read_text())
        for path in broken.home.rglob("*"):
            if path.is_file():
                assert not _is_pickle(path.read_bytes()[:4]), path
                assert path.suffix not in (".pkl", ".pickle", ".joblib"), path


def _is_pickle(head: bytes) -> bool:
    """Pickles of protocols 2 to 5, as they are or in base64 as Prefect writes them."""
    return (head[:1] == b"\x80" and 2 <= head[1] <= 5) or head[:3] in (b"gAS", b"gAW", b"gAN")


class TestRows:
    def test_rejected_rows_fail_with_the_table_of_checks(
        self, prefect: Prefect, tmp_path: Path
    ) -> None:
        rows = pd.read_csv(SAMPLE)
        rows.loc[:40, "Tenure"] = -5
        rows.to_csv(tmp_path / "rows.csv", index=False)
        state = _train(tmp_path / "home", data=str(tmp_path / "rows.csv"))
        assert isinstance(state.result(raise_on_failure=False), ValidationFailed)
        shown = prefect.artifact("validation-ecommerce")
        assert shown["data"].startswith("# Rows rejected")
        assert "Tenure" in shown["data"]
        assert _run_states(prefect, state.state_details.flow_run_id)["validate rows"] == "Failed"

    def test_a_missing_file_is_not_looked_for_twice(self, prefect: Prefect, tmp_path: Path) -> None:
        state = _train(tmp_path / "home", data="/nope.csv")
        assert isinstance(state.result(raise_on_failure=False), SourceError)
        assert "SourceError: /nope.csv: no such file\n  next: " in state.message
        mine = {"flow_runs": {"id": {"any_": [str(state.state_details.flow_run_id)]}}}
        tries = {
            r["name"].rpartition("-")[0]: r["run_count"]
            for r in prefect.ask("task_runs/filter", mine)
        }
        assert tries == {"check tracking": 1, "validate rows": 1}

    @pytest.mark.usefixtures("prefect")
    def test_validate_trains_nothing(self, tmp_path: Path) -> None:
        result = validate(data=str(SAMPLE), assignments=_assignments(tmp_path / "home"))
        assert result["rows_used"] == 3000
        assert not (tmp_path / "home" / "mlflow.db").exists()


class TestPromote:
    def test_the_newest_version_is_judged_again(self, broken: Broken) -> None:
        state = promote(data=str(SAMPLE), assignments=_assignments(broken.home), return_state=True)
        assert state.name == "Unchanged"

    def test_an_unknown_version(self, broken: Broken) -> None:
        with pytest.raises(PromotionError, match="no version '99'"):
            promote(version="99", data=str(SAMPLE), assignments=_assignments(broken.home))


@pytest.mark.usefixtures("prefect")
class TestTurns:
    def test_a_person_is_told_at_once_that_another_run_is_under_way(self, tmp_path: Path) -> None:
        settings = _settings(tmp_path)
        with one_run(settings), pytest.raises(BusyError, match="under way"):
            train_embedded(settings, lambda _record, _total: None)

    def test_a_deployed_run_waits_for_its_turn(self, tmp_path: Path) -> None:
        import threading

        order: list[str] = []
        begun = threading.Event()

        def second() -> None:
            begun.set()
            with one_run(_settings(tmp_path), wait_seconds=60):
                order.append("second")

        waiting = threading.Thread(target=second)
        with one_run(_settings(tmp_path)):
            waiting.start()
            begun.wait()
            order.append("first")
        waiting.join()
        assert order == ["first", "second"]
