"""`fedchurn client-drift`: files of today against the release, over a real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from fedchurn.cli.main import app
from fedchurn.contract.load import contract_digest
from fedchurn.release.golden import choose_golden_rows
from fedchurn.release.scorer import Scorer
from fedchurn.release.write import ReleaseParts, write_release
from tests.unit.federation.drift_clients import (
    CLIENTS,
    CONTRACT,
    ENCODER,
    LABELS,
    SPEC,
    WEIGHTS,
    Values,
    longer_tenure,
    question,
    values,
)
from tests.unit.release.releases import card


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    facts = card(
        contract_version=CONTRACT.version,
        contract_digest=contract_digest(CONTRACT),
        settings={"federation": {"min_cell_rows": 5}},
    )
    parts = ReleaseParts(
        card=facts,
        model=Scorer(CONTRACT, ENCODER, SPEC, WEIGHTS),
        reference=dict(question(0).stored),
        golden_rows=choose_golden_rows(CONTRACT, seed=1, num_rows=3),
    )
    return write_release(parts, tmp_path_factory.mktemp("releases"))


@pytest.fixture
def files(tmp_path: Path) -> Iterator[dict[str, Path]]:
    found = {}
    for client in CLIENTS:
        drawn = values(client, 400, 10_001)
        if client == "d":
            longer_tenure(drawn)
        found[client] = tmp_path / f"{client}.csv"
        frame(drawn).to_csv(found[client], index=False)
    yield found
    assert not list((tmp_path / "home").glob("client-rows-*"))  # rows do not stay behind


def frame(drawn: Values) -> pd.DataFrame:
    plans = np.array(LABELS)[drawn["plan"].astype(int)]
    return pd.DataFrame({**drawn, "plan": plans, "churn": drawn["churn"].astype(int)})


def ask(release: Path, tmp_path: Path, data: list[Path], *more: str) -> tuple[int, Any, str]:
    named = [word for path in data for word in ("--data", str(path))]
    common = ["--release", str(release), "--set", f"home={tmp_path / 'home'}", "--json"]
    found = CliRunner().invoke(app, ["client-drift", *common, *named, *more])
    return found.exit_code, json.loads(found.stdout.splitlines()[-1]), found.stdout


def test_the_shifted_file_is_named(release: Path, files: dict[str, Path], tmp_path: Path) -> None:
    code, told, shown = ask(release, tmp_path, list(files.values()))
    assert code == 0
    assert (told["verdict"], told["extent"], told["named"]) == ("drift", "some", ["d"])
    assert told["release"] == release.name
    assert (told["min_cell_rows"], told["epsilon"], told["lacking"]) == (5, 0.0, {})
    assert "drift at 1 of 5 clients: d (tenure" in shown.splitlines()[0]


def test_files_may_lack_labels_and_columns(
    release: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    for name, column in (("a", "churn"), ("b", "plan")):
        pd.read_csv(files[name]).drop(columns=[column]).to_csv(files[name], index=False)
    _, told, shown = ask(release, tmp_path, list(files.values()))
    by_name = {one["client"]: one for one in told["clients"]}
    assert by_name["a"]["left_out"] == ["churned"]
    assert told["lacking"] == {"b": ["plan"]}
    assert told["named"] == ["b", "d"]  # a column that is missing altogether has drifted
    assert "b: the file lacks plan" in shown


def test_one_table_is_dealt_by_its_silo_column(release: Path, tmp_path: Path) -> None:
    frames = [frame(values(client, 300, 10_002)).assign(shop=client) for client in CLIENTS]
    table = tmp_path / "all.csv"
    pd.concat(frames).to_csv(table, index=False)
    code, told, _ = ask(release, tmp_path, [table], "--set", "data.silo_column=shop")
    assert code == 0
    # The release knows its clients by other names.
    assert sorted(told["absent"]) == sorted([*CLIENTS, *(f"shop={c}" for c in CLIENTS)])
    assert told["verdict"] == "too_few_rows"


def test_a_missing_client_costs_the_quorum_unless_it_is_lowered(
    release: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    pd.read_csv(files["e"]).head(3).to_csv(files["e"], index=False)
    code, told, _ = ask(release, tmp_path, list(files.values()))
    assert (code, told["error"]) != (0, None)
    assert "holds fewer than 5 customers" in told["what"]
    lower = ("--set", "federation.quorum_fraction=0.8")
    code, told, _ = ask(release, tmp_path, list(files.values()), *lower)
    assert code == 0
    assert "holds fewer than 5 customers" in told["absent"]["e"]


def test_noise_is_an_option(release: Path, files: dict[str, Path], tmp_path: Path) -> None:
    code, told, page = ask(release, tmp_path, list(files.values()), "--epsilon", "20")
    assert (code, told["epsilon"]) == (0, 20.0)
    assert "with noise of epsilon 20" in page
    assert told["named"] == ["d"]
