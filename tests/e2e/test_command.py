"""The ``fedchurn`` command from a first model to a rollback, in one home, on the shipped sample."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from fedchurn.errors import PromotionConflict, PromotionError, PromotionRefused
from fedchurn.registry.entry import INTENTIONS
from fedchurn.registry.mlflow_registry import MlflowRegistry
from tests.e2e.fedchurn_command import Ended, assert_told, fedchurn

pytestmark = pytest.mark.e2e
MODEL = "churn_prediction_model"
# A network after one round: far behind the additive model.
HASTY = (
    *("--recipe", "reference", "--set", "evaluation.baselines=false"),
    *("--set", "training.phases.0.num_rounds=1", "--set", "training.phases.0.batch_size=128"),
)


class Home:
    """One home, and what the command did in it, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str) -> Ended:
        return fedchurn(self.folder, *arguments, "--set", "home=home")

    def told(self, *arguments: str) -> dict[str, Any]:
        """The JSON object of a command that succeeds."""
        ended = self.run(*arguments, "--json")
        assert ended.code == 0, str(ended)
        return ended.last_object

    @property
    def served(self) -> dict[str, Any]:
        """What a service on this machine would load."""
        path = self.folder / "home" / "serving" / "ecommerce.json"
        answer: dict[str, Any] = json.loads(path.read_text())
        return answer

    def registry(self, model: str = MODEL) -> MlflowRegistry:
        return MlflowRegistry(f"sqlite:///{self.folder}/home/mlflow.db", model)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("command"))


@pytest.fixture(scope="module")
def first(home: Home) -> Ended:
    """The first training, with its baselines, as people start it."""
    return home.run("train", "--json")


@pytest.fixture(scope="module")
def again(home: Home, first: Ended) -> Ended:
    return home.run("train", "--json")


@pytest.fixture(scope="module")
def hasty(home: Home, again: Ended) -> Ended:
    return home.run("train", *HASTY, "--json")


def test_a_first_model_is_promoted(home: Home, first: Ended) -> None:
    assert first.code == 0, str(first)
    outcome = first.last_object
    assert outcome["outcome"] == "promoted"
    assert (outcome["version"], outcome["champion_before"]) == ("1", None)
    assert (outcome["model_name"], outcome["is_sample"]) == (MODEL, True)
    assert (outcome["rows_in"], outcome["clients"]) == (3000, 3)
    assert outcome["reused_stages"] == []
    assert "GENERATED SAMPLE" in first.out
    assert f"PROMOTED: release {outcome['release_id']}, version 1 of {MODEL}" in first.out
    assert home.served["release_id"] == outcome["release_id"]
    assert Path(home.served["release_folder"], "MANIFEST.sha256").is_file()
    page = Path(outcome["report"]).read_text()
    assert outcome["release_id"] in page


def test_rounds_are_told_while_they_happen_and_nothing_else(first: Ended) -> None:
    lines = first.err.splitlines()
    assert lines
    assert all(line.startswith("round ") for line in lines), first.err
    assert f"round {first.last_object['num_rounds']}/" in lines[-1]


def test_every_figure_stands_beside_its_baselines(first: Ended) -> None:
    names = [comparison["name"] for comparison in first.last_object["comparisons"]]
    assert names[0] == "federated additive"
    for wanted in ("majority", "gradient boosting", "alone"):
        assert any(wanted in name for name in names), names
    assert all(name in first.out for name in names)


def test_an_unchanged_input_runs_nothing_again(home: Home, first: Ended, again: Ended) -> None:
    assert again.code == 0, str(again)
    outcome = again.last_object
    assert outcome["outcome"] == "unchanged"
    assert outcome["reused_stages"] == ["validate", "federate", "evaluate", "register"]
    assert outcome["release_id"] == first.last_object["release_id"]
    assert again.err == "", "no round was played"
    assert [version.version for version in home.registry().versions()][:1] == ["1"]


def test_a_worse_challenger_is_refused_and_the_champion_stays(
    home: Home, first: Ended, hasty: Ended
) -> None:
    assert hasty.code == PromotionRefused.exit_code, str(hasty)
    outcome = hasty.last_object
    assert (outcome["outcome"], outcome["exit_code"]) == ("refused", 20)
    assert (outcome["version"], outcome["champion_before"]) == ("2", "1")
    assert outcome["reused_stages"] == ["validate"]
    failed = {reason["check"] for reason in outcome["reasons"] if not reason["passed"]}
    assert {"better", "clients"} <= failed
    assert "keep the champion" in outcome["next_step"]
    assert "REFUSED" in hasty.out
    assert home.registry().aliases()["production"] == "1"
    assert home.served["release_id"] == first.last_object["release_id"]


def test_a_first_model_below_the_floor_is_archived(home: Home, again: Ended) -> None:
    """A registered model of its own: nothing but the judgement is done anew."""
    strict = ("--set", "tracking.model_name=strict", "--set", "promotion.min_auc=0.99")
    ended = home.run("train", *strict, "--json")
    assert ended.code == PromotionRefused.exit_code, str(ended)
    outcome = ended.last_object
    assert outcome["reused_stages"] == ["validate", "federate", "evaluate"]
    assert outcome["champion_before"] is None
    failed = [reason["sentence"] for reason in outcome["reasons"] if not reason["passed"]]
    assert len(failed) == 1
    assert "0.9900" in failed[0]
    assert "add rows or features" in outcome["next_step"]
    assert "  next: look at the data" in ended.out
    registry = home.registry("strict")
    assert "production" not in registry.aliases()
    (version,) = registry.versions()
    assert version.tags["archived"] == "true"
    actions = [entry["action"] for entry in home.told("history", *strict[:2])["entries"]]
    assert actions == ["archive"]


def test_why(home: Home, first: Ended, hasty: Ended) -> None:
    refused = hasty.last_object["release_id"]
    ended = home.run("why", refused[:-4], "--json")
    assert ended.code == 0, str(ended)
    (entry,) = ended.last_object["entries"]
    assert (entry["action"], entry["release_id"]) == ("refuse", refused)
    assert "FAILED: On the same rows" in ended.out
    promoted = home.told("why", first.last_object["release_id"])["entries"]
    assert promoted[-1]["decision"]["outcome"] == "promoted"
    unknown = home.run("why", refused + "0")
    words = (f"no release '{refused}0'", f"did you mean '{refused}'?")
    assert_told(unknown, PromotionError.exit_code, *words)


def test_by_hand_and_back(home: Home, first: Ended, hasty: Ended) -> None:
    champion, other = first.last_object["release_id"], hasty.last_object["release_id"]
    before = datetime.now(UTC) - timedelta(days=400)
    crossed = home.run("promote", "2", "--expect", "7")
    assert_told(crossed, PromotionConflict.exit_code, champion, "judged against version 7")
    assert home.served["release_id"] == champion

    promoted = home.told("promote", "2", "--expect", "1", "--note", "trying it out")
    assert (promoted["release_id"], promoted["note"]) == (other, "trying it out")
    assert home.registry().aliases()["production"] == "2"
    assert home.registry().aliases()["previous"] == "1"
    assert home.served["release_id"] == other
    assert home.told("live-at", _after(promoted["time"]))["release_id"] == other

    back = home.told("rollback", "--note", "it was worse")
    assert back["release_id"] == champion
    assert home.registry().aliases()["production"] == "1"
    assert home.served["release_id"] == champion
    assert home.told("live-at", _after(back["time"]))["release_id"] == champion
    assert home.told("live-at", before.isoformat())["release_id"] is None

    entries = home.told("history")["entries"]
    told = [(e["action"], e["version"]) for e in entries if e["action"] not in INTENTIONS]
    assert told == [("promote", "1"), ("refuse", "2"), ("promote", "2"), ("rollback", "1")]
    assert [e["time"] for e in entries] == sorted(e["time"] for e in entries)


def _after(time: str) -> str:
    """The end of the second in which something happened."""
    return (datetime.fromisoformat(time) + timedelta(milliseconds=999)).isoformat()


def test_times_and_versions_that_do_not_exist(home: Home, first: Ended) -> None:
    code = PromotionError.exit_code
    assert_told(home.run("live-at", "yesterday"), code, "'yesterday'", "2026-03-01T12:00:00+00:00")
    assert_told(home.run("promote", "99"), code, "no version '99'", "fedchurn history")


@pytest.fixture(scope="module")
def demo(home: Home, again: Ended) -> Ended:
    """In a home with a model: nothing is trained for it again, and the rest is shown."""
    return home.run("demo", "--json")


def test_the_demo_serves_what_is_in_production(first: Ended, demo: Ended) -> None:
    assert demo.code == 0, str(demo)
    served, release = demo.last_object["served"], first.last_object["release_id"]
    assert demo.last_object["reused_stages"] == ["validate", "federate", "evaluate", "register"]
    assert served["answer"]["release"] == release
    assert f"SERVED by `bentoml serve {served['tag']}`" in demo.out
    assert "  POST /predict {" in demo.out
    with pytest.raises(OSError, match="refused"), urlopen(served["url"], timeout=5):
        pass


def test_the_demo_is_quiet_about_usual_customers_and_names_what_drifts(demo: Ended) -> None:
    calm, drifted = demo.last_object["watched"]
    assert calm["outcome"] in ("none", "warning"), "a warning in a hundred checks is no news"
    (window,) = drifted["windows"]
    assert (drifted["outcome"], window["verdict"]) == ("drift", "drift")
    assert window["num_customers"] == 400
    assert "OrderCount" in window["drifted"], "of the columns whose values go missing"
    assert Path(window["report_path"]).is_file()
    assert f"DRIFT: {window['summary']}" in demo.out


def test_the_demo_retrains_and_the_service_follows(home: Home, first: Ended, demo: Ended) -> None:
    told = demo.last_object
    (story,) = told["retrain"]["decisions"]
    (window,) = told["watched"][1]["windows"]
    assert story["trigger"]["evidence"]["window_id"] == window["window_id"]
    assert story["decision"]["outcome"] == "retrain"
    (run,) = told["retrain"]["runs"]
    assert run["outcome"]["outcome"] == "promoted", str(demo)
    followed = told["followed"]
    assert followed["release_before"] == first.last_object["release_id"]
    assert followed["release"] == run["outcome"]["release_id"] == home.served["release_id"]
    assert followed["release"] != followed["release_before"]
    assert "FOLLOWED: " in demo.out
    chain = home.told("why", followed["release"])
    assert window["window_id"] in json.dumps(chain)


def test_a_second_demo_goes_on_from_the_first(home: Home, demo: Ended) -> None:
    followed = demo.last_object["followed"]
    again = home.told("demo")
    assert (again["outcome"], again["release_id"]) == ("kept", followed["release"])
    assert again["served"]["answer"]["release"] == followed["release"]
    assert again["retrain"]["runs"] == []
    for story in again["retrain"]["decisions"]:
        failed = {c["name"] for c in story["decision"]["checks"] if not c["passed"]}
        assert "cooldown" in failed
    assert again["followed"]["release"] == followed["release"]
    windows = [w["window_id"] for t in (demo.last_object, again) for w in _windows(t)]
    assert len(set(windows)) == len(windows) == 4


def _windows(told: dict[str, Any]) -> list[dict[str, Any]]:
    return [window for found in told["watched"] for window in found["windows"]]
