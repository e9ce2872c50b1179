"""What is new since the model in production, counted on real files of logs, labels and stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fedchurn.contract.load import load_contract
from fedchurn.data.sample import generate_sample, write_sample
from fedchurn.loop.retraining import facts as facts_module
from fedchurn.loop.retraining.carrying import training_data
from fedchurn.loop.retraining.facts import gather_facts
from fedchurn.loop.retraining.returned_rows import returned_rows
from fedchurn.loop.retraining.site import RetrainSite, retrain_site
from fedchurn.loop.retraining.stored_rows import keep_returned, returned_file
from fedchurn.loop.validate import validate_stage
from fedchurn.release.card import Card
from fedchurn.retraining.drain import Facts
from fedchurn.retraining.entry import DECISION, TRIGGER, RetrainEntry
from fedchurn.retraining.history import History
from fedchurn.serving.feedback.store import FeedbackStore
from fedchurn.settings_files import load_settings
from tests.integration.retraining.returned import NOW, came_back, seconds
from tests.unit.release.releases import card
from tests.unit.retraining.events import drift

CONTRACT = load_contract("ecommerce")
ROWS = generate_sample(CONTRACT, rows=1200, seed=1)
NEW = generate_sample(CONTRACT, rows=240, seed=2)
RELEASE = "ecommerce-1.0.0-dddddddddddd"
NOTHING = History(())


class World:
    """A home with a source, and a model in production that was trained on it."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "customers.csv"
        write_sample(ROWS, self.source, CONTRACT, seed=1, scenario=None)
        self.site: RetrainSite = retrain_site(self.settings(folder))
        validated = validate_stage(self.site.settings, CONTRACT)
        self.card: Card | None = card(
            data_digests=validated["data_digests"],
            settings=self.site.settings.published(),
            is_sample=True,
        )

    def settings(self, folder: Path, *assignments: str) -> Any:
        told = [f"home={folder / 'home'}", f"data.location={self.source}", *assignments]
        return load_settings(assignments=told)

    @property
    def home(self) -> Path:
        return self.site.home

    def facts(self, history: History = NOTHING) -> Facts:
        return gather_facts(self.site.settings, CONTRACT, history, NOW, "")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture
def world(built: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The world with a service folder of the test's own."""
    world = object.__new__(World)
    world.__dict__.update(built.__dict__)
    home = tmp_path / "home"
    home.mkdir()
    (home / "stages").symlink_to(built.home / "stages")
    world.site = retrain_site(world.settings(tmp_path))

    def champion(_settings: Any) -> tuple[str, Card] | None:
        return (RELEASE, world.card) if world.card else None

    monkeypatch.setattr(facts_module, "champion_card", champion)
    return world


def fresh_ids(num: int) -> list[str]:
    return [f"88{number:05d}" for number in range(num)]


def test_without_labels_nothing_is_new(world: World) -> None:
    situation = world.facts().situation
    assert situation.champion_release_id == RELEASE
    assert situation.new_rows.total == 0
    assert situation.same_data_as == f"the model in production, {RELEASE}"
    assert situation.objection == ""
    assert world.facts().rows == ""


def test_labels_of_unseen_rows_are_new(world: World) -> None:
    came_back(world.home, CONTRACT, NEW, ids=fresh_ids(240))
    found = world.facts()
    rows = found.situation.new_rows
    assert (rows.num_labelled, rows.num_source, rows.num_replaced) == (240, 0, 0)
    assert rows.num_positive == int((NEW["Churn"].astype(str) == "1").sum())
    assert found.situation.same_data_as == ""
    assert found.rows.startswith("returned-")


def test_the_same_rows_with_the_same_outcome_are_nothing_new(world: World) -> None:
    came_back(world.home, CONTRACT, ROWS.iloc[:100])
    rows = world.facts().situation.new_rows
    assert (rows.num_labelled, rows.num_replaced) == (0, 100)
    assert world.facts().situation.same_data_as


def test_young_labels_wait(world: World, tmp_path: Path) -> None:
    came_back(world.home, CONTRACT, NEW.iloc[:30], ids=fresh_ids(30), days_ago=29.0)
    came_back(
        world.home, CONTRACT, NEW.iloc[30:50], ids=fresh_ids(20), days_ago=31.0, mark="ff" * 10
    )
    rows = world.facts().situation.new_rows
    assert (rows.num_labelled, rows.num_immature) == (20, 30)
    world.site = retrain_site(world.settings(tmp_path, "feedback.maturity_days=28"))
    rows = world.facts().situation.new_rows
    assert (rows.num_labelled, rows.num_immature, rows.maturity_days) == (30, 0, 28)


def test_labels_outlive_the_log(world: World) -> None:
    came_back(world.home, CONTRACT, NEW.iloc[:60], ids=fresh_ids(60))
    name = world.facts().rows
    for path in (world.home / "service" / "ecommerce" / "predictions").iterdir():
        path.unlink()
    trigger = RetrainEntry(TRIGGER, NOW, "anna", {**drift().to_dict(), "arrival": "1"})
    told = {"arrival": "1", "outcome": "skip", "run_key": "", "rows": name}
    history = History((trigger, RetrainEntry(DECISION, NOW, "anna", told)))
    assert world.facts(history).situation.new_rows.num_labelled == 60
    assert world.facts(history).rows == name
    assert world.facts().situation.new_rows.num_labelled == 0


def test_rows_that_the_source_gained_are_new(world: World, tmp_path: Path) -> None:
    more = pd.concat([ROWS, NEW.assign(CustomerID=fresh_ids(240))], ignore_index=True)
    source = tmp_path / "more.csv"
    write_sample(more, source, CONTRACT, seed=1, scenario=None)
    world.site = retrain_site(world.settings(tmp_path, f"data.location={source}"))
    rows = world.facts().situation.new_rows
    assert (rows.num_labelled, rows.num_source) == (0, 240)
    assert world.facts().situation.same_data_as == ""


def test_where_the_stage_is_gone_nobody_can_count(world: World) -> None:
    (world.home / "stages").unlink()
    situation = world.facts().situation
    assert situation.new_rows.num_source is None
    assert situation.same_data_as == ""


def test_without_a_model_in_production_every_row_is_new(world: World) -> None:
    world.card = None
    situation = world.facts().situation
    assert situation.champion_release_id == ""
    assert situation.new_rows.num_source == 1200


def test_what_promotion_would_refuse_is_said_before(world: World, tmp_path: Path) -> None:
    assert world.card is not None
    original = world.card
    world.card = replace(original, is_sample=False)
    assert "generated sample" in world.facts().situation.objection
    world.card = original
    world.site = retrain_site(world.settings(tmp_path, "split.seed=5"))
    assert "other split or data settings" in world.facts().situation.objection


def test_the_training_reads_source_and_labels(world: World) -> None:
    came_back(world.home, CONTRACT, NEW, ids=fresh_ids(240))
    data = training_data(world.site, world.facts().rows)
    assert data.location is not None
    assert len(Path(data.location).read_text().splitlines()) == 1 + 1200 + 240
    assert training_data(world.site, world.facts().rows) == data
    given = [f"home={world.home}", f"data.location={data.location}"]
    validated = validate_stage(load_settings(assignments=given), CONTRACT)
    assert validated["is_sample"]
    assert validated["rows_in"] == 1440
    assert training_data(world.site, "").location is None


def test_a_label_that_was_corrected_after_the_log_was_gone(world: World, tmp_path: Path) -> None:
    (prediction,) = came_back(world.home, CONTRACT, NEW.iloc[:1], ids=["8800001"])
    first = returned_rows(world.site.settings, CONTRACT, None, NOW)
    file = returned_file(tmp_path, keep_returned(tmp_path, first.rows))
    service = world.home / "service" / "ecommerce"
    store = FeedbackStore(service / "feedback", service / "predictions", clock=lambda: seconds(1.0))
    store.add(CONTRACT, prediction_id=prediction, label=1 - first.rows[0].label)
    for path in (service / "predictions").iterdir():
        path.unlink()
    (row,) = returned_rows(world.site.settings, CONTRACT, file, NOW).rows
    assert row.label == 1 - first.rows[0].label
    assert row.values == first.rows[0].values
