"""The retrain flow in this process: a wish without rows, labels that came back, and an error."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fedchurn.contract.load import load_contract
from fedchurn.data.sample import generate_sample
from fedchurn.errors import SourceError
from fedchurn.loop.retraining.site import RetrainSite, retrain_site
from fedchurn.retraining.trigger import Source, Trigger
from fedchurn.settings_files import load_settings
from flows.retrain import retrain
from flows.train import train
from tests.conftest import PROJECT
from tests.integration.flows.conftest import Prefect
from tests.integration.retraining import returned

CONTRACT = load_contract("ecommerce")
SAMPLE = PROJECT / "configs" / "samples" / "ecommerce.csv"
# Quick and easily content; what the flow does is the same.
QUICK = (
    *("evaluation.baselines=false", "training.phases.0.num_rounds=3", "promotion.min_accuracy=0"),
    *("packaging.after_promotion=false", "promotion.mode=not_worse"),
    *("promotion.not_worse_margin=1", "promotion.client_margin=1"),
)


class Shop:
    """A home with a model in production, and the runs of flow ``retrain`` there, in order."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.assignments = [f"home={home}", f"data.location={SAMPLE}", *QUICK]
        self.trained = train(assignments=self.assignments, return_state=True).result()
        self.nothing = self.retrain()
        self.skipped = self.retrain(reason="I wonder")
        self.labels_come_back()
        window = {"window_id": "w1", "subjects": ["covariate"], "columns": ["Tenure"]}
        self.drifted(1, self.trained["release_id"], window)
        self.retrained = self.retrain()
        self.drifted(2, self.trained["release_id"], {**window, "window_id": "w2"})
        self.late = self.retrain()

    @property
    def site(self) -> RetrainSite:
        return retrain_site(load_settings(assignments=self.assignments))

    def retrain(self, **parameters: Any) -> Any:
        return retrain(**{"assignments": self.assignments, **parameters}, return_state=True)

    def drifted(self, number: int, release_id: str, evidence: dict[str, Any]) -> None:
        now = datetime.now(UTC).isoformat()
        key = f"window {number}"
        trigger = Trigger(key, Source.DRIFT, now, "Tenure drifted.", release_id, evidence)
        assert self.site.inbox().add(trigger)

    def labels_come_back(self) -> None:
        rows = generate_sample(CONTRACT, rows=300, seed=5)
        ids = [f"88{number:05d}" for number in range(300)]
        now = datetime.now(UTC)
        days = (now - datetime.fromisoformat(returned.NOW)).days
        returned.came_back(self.home, CONTRACT, rows, ids=ids, days_ago=40.0 - days)


@pytest.fixture(scope="module")
def shop(prefect: Prefect, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    assert prefect.url
    return Shop(tmp_path_factory.mktemp("shop") / "home")


def test_nothing_waits(shop: Shop) -> None:
    assert shop.nothing.name == "Nothing"
    assert shop.nothing.result()["decisions"] == []


def test_a_wish_without_new_rows_is_skipped_with_every_reason(shop: Shop) -> None:
    assert shop.skipped.name == "Skipped"
    (story,) = shop.skipped.result()["decisions"]
    assert story["trigger"]["summary"].endswith("asks: I wonder")
    failed = {c["name"] for c in story["decision"]["checks"] if not c["passed"]}
    assert failed == {"new_rows", "labels", "new_data"}
    assert shop.trained["release_id"] in story["decision"]["summary"]


def test_drift_with_labels_leads_to_a_new_release(shop: Shop) -> None:
    assert shop.retrained.name == "Retrained"
    result = shop.retrained.result()
    (decided,) = result["decisions"]
    assert decided["decision"]["outcome"] == "retrain"
    (ran,) = result["runs"]
    assert ran["outcome"]["outcome"] == "promoted"
    assert ran["outcome"]["release_id"] != shop.trained["release_id"]
    assert ran["run"]["place"] == "this process"
    assert "300 rows that came back are added" in ran["run"]["data"]["story"]
    card = json.loads(
        (shop.home / "releases" / ran["outcome"]["release_id"] / "card.json").read_text()
    )
    assert card["is_sample"]


def test_drift_of_the_release_before_comes_too_late(shop: Shop) -> None:
    assert shop.late.name == "Skipped"
    (story,) = shop.late.result()["decisions"]
    failed = {c["name"] for c in story["decision"]["checks"] if not c["passed"]}
    assert failed == {"current", "cooldown", "new_rows", "labels", "new_data", "learnable"}


def test_every_decision_is_an_artifact(shop: Shop, prefect: Prefect) -> None:
    assert shop.late.is_completed()
    shown = prefect.artifact("retraining-ecommerce")["data"]
    assert "# 1 triggers, 0 retrain" in shown
    assert "**failed**: It is about" in shown


def test_why_tells_the_story_from_drift_to_release(shop: Shop) -> None:
    from fedchurn.cli.main import app

    release = shop.retrained.result()["runs"][0]["outcome"]["release_id"]
    asked = ["why", release, "--json", "--set", f"home={shop.home}"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    told = json.loads(done.output.splitlines()[-1])
    (story,) = told["retraining"]
    assert list(story) == ["trigger", "decision", "run", "started", "outcome"]
    assert story["trigger"]["evidence"]["window_id"] == "w1"
    assert story["outcome"]["release_id"] == release
    order = [
        "Tenure drifted. (window w1)",
        "All checks passed.",
        "300 rows",
        f"promoted     {release}",
    ]
    places = [done.output.index(part) for part in order]
    assert places == sorted(places)


def test_a_source_that_cannot_be_read_leaves_the_trigger_waiting(shop: Shop) -> None:
    gone = [*shop.assignments, "data.location=gone.csv"]
    state = shop.retrain(reason="now", assignments=gone)
    assert state.is_failed()
    assert isinstance(state.result(raise_on_failure=False), SourceError)
    assert [trigger.evidence["reason"] for trigger in shop.site.inbox().pending()] == ["now"]
    again = shop.retrain()
    assert again.name == "Skipped"
    assert shop.site.inbox().pending() == ()
