"""A client that reads its own file holds what one process would have made of the same files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fedchurn.contract.load import load_contract
from fedchurn.data.client_table import ClientTable, split_digest
from fedchurn.data.sample import generate_sample
from fedchurn.errors import SourceError, ValidationFailed
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.joining.join import join_clients
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.loop.client_rows import CheckedClient, client_table_from_file
from fedchurn.loop.join import COUNTS, joined_facts
from fedchurn.loop.reach import JoinedClients
from fedchurn.loop.stage import StageResult
from fedchurn.loop.validate import stage_tables, validate_stage
from fedchurn.settings import Settings
from fedchurn.settings_files import load_settings

CONTRACT = load_contract("ecommerce")
NAMES = ("north", "south")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two files with copies of customers, repeated rows, and a row that breaks a rule."""
    folder = tmp_path_factory.mktemp("clients")
    found = {}
    for seed, name in enumerate(NAMES, start=5):
        rows = generate_sample(CONTRACT, rows=400, seed=seed).astype({"Tenure": object})
        rows = pd.concat([rows, rows.iloc[:3]], ignore_index=True)
        rows.loc[7, "Tenure"] = "-5"
        found[name] = folder / f"{name}.csv"
        rows.to_csv(found[name], index=False)
    return found


def settings_of(home: Path, *more: str) -> Settings:
    return load_settings(assignments=[f"home={home}", "quality.mode=quarantine", *more])


@pytest.fixture(scope="module")
def stage(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> StageResult:
    """What one process with all files makes of them."""
    named = ",".join(f'"{path}"' for path in files.values())
    home = tmp_path_factory.mktemp("home")
    return validate_stage(settings_of(home, f"data.clients=[{named}]"), CONTRACT)


@pytest.fixture(scope="module")
def clients(files: dict[str, Path]) -> dict[str, CheckedClient]:
    """What each client makes of its own."""
    settings = settings_of(Path("unused"))
    return {n: client_table_from_file(path, CONTRACT, settings) for n, path in files.items()}


def same(one: ClientTable, other: ClientTable) -> bool:
    arrays = ("target", "customer_groups", "group_keys", "row_numbers", "split")
    return (
        one.client == other.client
        and list(one.columns) == list(other.columns)
        and all(np.array_equal(v, other.columns[n], equal_nan=True) for n, v in one.columns.items())
        and all(np.array_equal(getattr(one, n), getattr(other, n)) for n in arrays)
    )


def test_rows_and_split_are_those_of_one_process(
    stage: StageResult, clients: dict[str, CheckedClient]
) -> None:
    here = stage_tables(stage)
    assert list(here) == list(clients) == list(NAMES)
    for name, one in clients.items():
        assert same(one.table, here[name])
        assert split_digest(one.table) == stage["split_digests"][name]
        assert (one.validation.rows_quarantined, one.validation.rows_dropped_duplicates) == (1, 3)


def test_joining_tells_what_the_stage_with_rows_tells(
    stage: StageResult, clients: dict[str, CheckedClient]
) -> None:
    handlers = {
        name: ClientSession(one.table, CONTRACT, validation=one.validation)
        for name, one in clients.items()
    }
    split = settings_of(Path("unused")).split.model_dump(mode="json")
    joined = join_clients(DirectExchange(handlers), CONTRACT, RoundPolicy(), split=split)
    facts = joined_facts(joined)
    shared = ("data_digests", "split_digests", "parts", "is_sample", "source_sha256", "rows")
    for name in (*shared, *COUNTS, "warnings"):
        assert facts[name] == stage[name], name
    assert JoinedClients.of(stage) is None
    found = JoinedClients.of(facts)
    assert found is not None
    assert set(found.stamps) == set(NAMES)


def test_a_client_may_have_another_name_than_its_file(
    files: dict[str, Path], clients: dict[str, CheckedClient]
) -> None:
    settings = settings_of(Path("unused"))
    one = client_table_from_file(files["north"], CONTRACT, settings, client="shop 1")
    assert one.table.client == one.report.client == "shop 1"
    assert one.table.digest() == clients["north"].table.digest()


def test_rows_that_fail_leave_their_page(files: dict[str, Path], tmp_path: Path) -> None:
    settings = settings_of(tmp_path, "quality.mode=block")
    with pytest.raises(ValidationFailed, match="Tenure"):
        client_table_from_file(files["north"], CONTRACT, settings, reports=tmp_path / "reports")
    assert "Tenure" in (tmp_path / "reports" / "quality-ecommerce.html").read_text()


def test_rows_set_aside_stay_with_the_client(
    clients: dict[str, CheckedClient], tmp_path: Path
) -> None:
    one = clients["north"]
    one.write_quarantine(tmp_path)
    kept = pd.read_csv(tmp_path / "quarantine.csv")
    assert kept["Tenure"].tolist() == [-5]
    assert "Tenure" not in one.validation.model_dump_json()


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        client_table_from_file(tmp_path / "nope.csv", CONTRACT, settings_of(tmp_path))
