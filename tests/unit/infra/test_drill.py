"""Parts of the drill: its table, its customers, what it changes of prefect.yaml."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from fedchurn.contract.customer_rows import canonical_row
from fedchurn.contract.load import load_contract
from fedchurn.data.sample_customers import sample_customers
from fedchurn.errors import IntegrityError
from fedchurn.release.load import check_golden, load_release
from fedchurn.release.manifest import verify_manifest
from fedchurn.release.write import write_release
from fedchurn.settings_files import load_settings
from infra.drill.beginning import CHANGES, MATURE, TRAINING
from infra.drill.drifted import DRIFTED, with_drift
from infra.drill.quiet_and_drift import SCENARIOS
from infra.drill.release_disasters import flipped_byte, forge
from infra.drill.site import write_project
from infra.drill.timeline import State, StepFailed, Timeline
from tests.unit.release.releases import parts

CONTRACT = load_contract("ecommerce")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def timeline(told: list[str]) -> Timeline:
    return Timeline(told.append)


def test_a_step_holds_with_what_was_seen(timeline: Timeline, told: list[str]) -> None:
    with timeline.step("look", 5) as step:
        step.check(True, "unseen")
        step.saw("it is there", window_id="w1")
    (row,) = timeline.rows
    assert (row.state, row.seen, row.facts) == (State.HELD, "it is there", {"window_id": "w1"})
    assert row.begun_seconds <= row.ended_seconds
    assert told[-1].endswith("it is there")


def test_a_step_that_looks_at_nothing_has_not_held(timeline: Timeline) -> None:
    with pytest.raises(StepFailed, match="nothing was looked at"), timeline.step("look", 5):
        pass
    assert timeline.having(State.FAILED)


@pytest.mark.parametrize("error", [OSError("gone"), ValueError("odd"), IntegrityError("torn")])
def test_a_failure_is_in_the_table_with_the_end_of_the_log(
    error: Exception, timeline: Timeline, told: list[str], tmp_path: Path
) -> None:
    log = tmp_path / "worker.log"
    log.write_text("first\nlast words\n")
    with pytest.raises(StepFailed), timeline.step("look", 5, [log]):
        raise error
    (row,) = timeline.having(State.FAILED)
    assert type(error).__name__ in row.seen
    assert "last words" in "\n".join(told)


def test_what_does_not_come_in_time_fails(timeline: Timeline) -> None:
    with pytest.raises(StepFailed, match="rain: not within 0 s"), timeline.step("look", 0) as step:
        step.wait_for(lambda: None, "rain")


def test_an_interrupt_is_no_failure_of_the_step(timeline: Timeline) -> None:
    with pytest.raises(KeyboardInterrupt), timeline.step("look", 5):
        raise KeyboardInterrupt
    assert timeline.rows == []


def test_the_table_as_json(timeline: Timeline, tmp_path: Path) -> None:
    timeline.not_run("alert fired", "not installed")
    timeline.write_json(tmp_path / "table.json", exit_code=3)
    table = json.loads((tmp_path / "table.json").read_text())
    assert table["exit_code"] == 3
    assert [(s["step"], s["state"]) for s in table["steps"]] == [("alert fired", "not run")]


def test_the_table_for_a_page(timeline: Timeline, tmp_path: Path) -> None:
    with timeline.step("look", 5) as step:
        step.saw("a | b")
    timeline.write_markdown(tmp_path / "table.md")
    head, rule, row = (tmp_path / "table.md").read_text().splitlines()
    assert row == "| 0.0 | look | held | a / b |"
    assert head.count("|") == rule.count("|") == row.count("|") == 5


def test_drifted_customers_are_accepted_by_the_contract() -> None:
    drifted = sample_customers(with_drift(CONTRACT, SCENARIOS), 50, 2, DRIFTED)
    assert not [c for c in drifted if canonical_row(c.row, CONTRACT).problems]
    assert {customer.label for customer in drifted} == {0, 1}


def test_several_scenarios_at_once_change_what_each_of_them_does() -> None:
    scenario = with_drift(CONTRACT, SCENARIOS).sample.scenarios[DRIFTED]
    known = CONTRACT.sample.scenarios
    assert scenario.scale == known["tenure_plus_30"].scale
    assert scenario.weights == known["complaints_up"].weights
    assert scenario.null_fraction == known["missing_15"].null_fraction


def test_the_projects_deployments_of_one_contract_with_other_parameters(tmp_path: Path) -> None:
    write_project(tmp_path, CHANGES)
    written = yaml.safe_load((tmp_path / "prefect.yaml").read_text())["deployments"]
    by_flow = {one["entrypoint"]: one for one in written}
    assert {change.entrypoint for change in CHANGES} <= by_flow.keys()
    assert {one["name"] for one in written} == {"ecommerce"}
    assert not [one for one in written if "schedules" in one]
    for change in CHANGES:
        parameters = by_flow[change.entrypoint]["parameters"]
        assert parameters == {"contract": "ecommerce", **change.parameters}


def test_what_it_changes_of_the_settings_is_known_to_them() -> None:
    settings = load_settings(assignments=[*TRAINING, *MATURE])
    assert settings.feedback.maturity_days == 0
    assert not settings.evaluation.baselines


def test_a_flipped_byte_is_found_and_taken_back(tmp_path: Path) -> None:
    release = write_release(parts(), tmp_path)
    with (
        flipped_byte(release / "weights.npz"),
        pytest.raises(IntegrityError, match=r"weights\.npz"),
    ):
        verify_manifest(release)
    verify_manifest(release)


def test_a_forged_release_fits_its_manifest_but_not_its_golden_rows(tmp_path: Path) -> None:
    forged = forge(write_release(parts(), tmp_path))
    verify_manifest(forged)
    release = load_release(forged)
    assert release.release_id == forged.name
    with pytest.raises(IntegrityError, match="golden row"):
        check_golden(release)
