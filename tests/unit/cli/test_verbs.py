"""Verbs that need no training, in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner, Result

from fedchurn.cli.main import app
from fedchurn.cli.model_verbs import flow_values
from fedchurn.contract.load import contract_digest, load_contract

RUNNER = CliRunner()
AGES = [20 + place % 47 for place in range(60)]  # some twice: they are no ids


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("FEDCHURN_HOME", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fedchurn(*arguments: str) -> Result:
    return RUNNER.invoke(app, list(arguments))


def told(*arguments: str) -> dict[str, Any]:
    done = fedchurn(*arguments, "--json")
    assert done.exit_code == 0, done.output
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_every_verb_takes_the_shared_options() -> None:
    verbs = [["contract", v] for v in ("list", "check", "draft")]
    verbs += [[v] for v in ("sample", "validate", "train", "crossval", "demo")]
    verbs += [[v] for v in ("promote", "rollback", "why", "live-at", "history", "api-key")]
    verbs += [["package"], ["performance"], ["client-drift"], ["check-drift"], ["retrain"]]
    for words in verbs:
        page = RUNNER.invoke(app, [*words, "--help"], env={"COLUMNS": "160"})
        assert page.exit_code == 0, words
        for option in ("--json", "--config", "--set"):
            assert option in page.output, (words, option)


class TestContract:
    def test_list(self) -> None:
        contracts = told("contract", "list")["contracts"]
        assert {"ecommerce", "telco", "telecom"} <= set(contracts)
        assert "E-commerce customers" in fedchurn("contract", "list").stdout

    def test_check_explains_the_default(self) -> None:
        contract = load_contract("ecommerce")
        assert told("contract", "check") == {
            "contract": "ecommerce",
            "version": contract.version,
            "digest": contract_digest(contract),
            "num_columns": len(contract.columns),
            "num_derived": len(contract.derived),
        }
        page = fedchurn("contract", "check").stdout
        assert all(name in page for name in contract.columns)

    def test_check_of_a_name_that_does_not_exist(self) -> None:
        done = fedchurn("contract", "check", "telko")
        assert done.exit_code == 3
        assert "did you mean 'telco'?" in done.stderr

    def test_draft_then_check(self) -> None:
        rows = {"Age": AGES, "Plan": ["S", "M", "L"] * 20, "Left?": ["Yes", "No", "No"] * 20}
        pd.DataFrame(rows).to_csv("Some Customers.csv", index=False)
        drafted = told("contract", "draft", "Some Customers.csv", "--target", "Left?")
        path = Path("configs/contracts/some-customers.yaml")
        assert drafted == {"contract": "some-customers", "path": str(path), "num_columns": 2}
        # It can be named from now on, and read like any other.
        assert told("contract", "check", "some-customers")["num_columns"] == 2
        assert load_contract(path).target.positive in ("Yes", "yes")

    def test_a_draft_never_overwrites(self) -> None:
        pd.DataFrame({"Age": AGES, "Left": [0, 1] * 30}).to_csv("c.csv", index=False)
        draft = ("contract", "draft", "c.csv", "--target", "Left", "--out", "mine.yaml")
        assert fedchurn(*draft).exit_code == 0
        before = Path("mine.yaml").read_bytes()
        again = fedchurn(*draft)
        assert again.exit_code == 3
        assert "mine.yaml: is there already" in again.stderr
        assert Path("mine.yaml").read_bytes() == before

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (("c.csv", "--target", "Lefd"), 3, "did you mean 'Left'?"),
            (("d.csv", "--target", "Left"), 4, "did you mean 'c.csv'?"),
            (("c.csv", "--target", "Age"), 3, "not two"),
            (("c.csv", "--target", "Left", "--out", "c.csv/x.yaml"), 3, "--out"),
        ],
    )
    def test_a_draft_that_cannot_be_made(
        self, arguments: tuple[str, ...], code: int, words: str
    ) -> None:
        pd.DataFrame({"Age": AGES, "Left": [0, 1] * 30}).to_csv("c.csv", index=False)
        done = fedchurn("contract", "draft", *arguments)
        assert done.exit_code == code
        assert words in done.stderr


class TestSample:
    def test_equal_seeds_give_equal_bytes(self) -> None:
        for name in ("a", "b"):
            assert told("sample", "--out", f"{name}.csv", "--rows", "50")["rows"] == 50
        assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
        told("sample", "--out", "c.csv", "--rows", "50", "--set", "seed=1")
        assert Path("a.csv").read_bytes() != Path("c.csv").read_bytes()

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (("--rows", "0"), "0 rows"),
            (("--scenario", "tenure_plus_100"), "did you mean 'tenure_plus_10'?"),
        ],
    )
    def test_what_cannot_be_made(self, options: tuple[str, ...], words: str) -> None:
        done = fedchurn("sample", "--out", "a.csv", *options)
        assert done.exit_code == 2
        assert words in done.stderr


class TestBeforeAnythingHappened:
    def test_history(self) -> None:
        assert told("history") == {"entries": []}
        assert "fedchurn train" in fedchurn("history").stdout
        assert list(Path().iterdir()) == [], "looking makes nothing"

    def test_live_at(self) -> None:
        answer = told("live-at", "2026-03-01T12:00+00:00")
        assert answer == {"version": None, "release_id": None}

    def test_why(self) -> None:
        done = fedchurn("why", "v1")
        assert done.exit_code == 13
        assert "`fedchurn train` makes a first model" in done.stderr


def test_options_become_settings() -> None:
    assert flow_values(None) == {}
    assert flow_values("telco", ["a.csv"], recipe="reference") == {
        "contract": "telco",
        "recipe": "reference",
        "data": {"location": "a.csv"},
    }
    assert flow_values(None, ["a.csv", "b.csv"]) == {"data": {"clients": ["a.csv", "b.csv"]}}
    assert flow_values(None, ["sqlite:///x.db"], "SELECT 1") == {
        "data": {"location": "sqlite:///x.db", "query": "SELECT 1"}
    }
    assert flow_values(None, ["a.xlsx"], sheet="S") == {
        "data": {"location": "a.xlsx", "sheet": "S"}
    }
