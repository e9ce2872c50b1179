"""Where rows lie beside the clients, nothing falls back to rows on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fedchurn.contract.load import load_contract
from fedchurn.errors import SettingsError
from fedchurn.federation.superlink.keys import make_keys
from fedchurn.loop.crossval import crossval
from fedchurn.loop.evaluate import left_out
from fedchurn.loop.join import join_stage
from fedchurn.loop.reach import expected_clients, rows_are_remote
from fedchurn.loop.retraining.base_rows import base_rows
from fedchurn.loop.validate import read_rows
from fedchurn.settings import Settings
from fedchurn.settings_files import load_settings

CONTRACT = load_contract("ecommerce")


def remote(*more: str) -> Settings:
    return load_settings(assignments=["federation.engine=superlink", *more])


@pytest.mark.parametrize(
    ("work", "named"),
    [(read_rows, "this"), (base_rows, "retraining"), (crossval, "cross-validation")],
)
def test_what_needs_rows_says_so(work: Callable[..., Any], named: str) -> None:
    with pytest.raises(SettingsError, match=f"{named} needs rows on this machine") as found:
        work(remote(), CONTRACT)
    assert "'superlink'" in str(found.value)
    assert "docs/runbook.md" in found.value.next_step


@pytest.mark.parametrize("data", ["data.location=rows.csv", "data.clients=[north.csv]"])
def test_rows_that_are_named_are_not_passed_over(data: str) -> None:
    with pytest.raises(SettingsError, match="rows are named, and with engine 'superlink'"):
        join_stage(remote(data), CONTRACT)


def test_comparisons_are_missed_only_where_they_were_wanted() -> None:
    assert "each client alone" in left_out(remote())
    assert left_out(remote("evaluation.baselines=false")) == ""
    assert left_out(load_settings()) == ""


def test_clients_with_a_key_are_expected(tmp_path: Path) -> None:
    make_keys(tmp_path, ["south", "north"])
    keys = f"federation.superlink.keys={tmp_path / 'driver'}"
    assert expected_clients(remote(keys)) == ("north", "south")
    assert expected_clients(load_settings(assignments=[keys])) == ()
    assert not rows_are_remote(load_settings(assignments=[keys]))
