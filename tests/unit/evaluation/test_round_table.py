"""The two CSV files of round metrics."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from fedchurn.errors import ReleaseError
from fedchurn.evaluation.round_table import (
    client_round_rows,
    round_row,
    write_client_round_table,
    write_round_table,
)
from fedchurn.evaluation.sums import score_sums

GOOD = score_sums(np.array([0, 1]), np.array([0.25, 0.75]))
ONE_CLASS = score_sums(np.array([0, 0]), np.array([0.25, 0.75]))


def read(path: Path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_columns_are_those_of_the_reference(tmp_path):
    path = write_round_table([round_row(1, GOOD, GOOD)], tmp_path / "made")
    assert path.name == "per_round_metrics.csv"
    (row,) = read(path)
    assert list(row) == [
        "round", "train_loss", "train_accuracy", "train_auc", "eval_accuracy", "eval_precision",
        "eval_recall", "eval_f1", "eval_roc_auc",
    ]  # fmt: skip
    assert row["round"] == "1"
    assert float(row["train_loss"]) == pytest.approx(-np.log(0.75), abs=1e-8)
    assert row["eval_roc_auc"] == row["eval_f1"] == "1.0"


def test_unknown_values_are_empty_cells(tmp_path):
    (row,) = read(write_round_table([round_row(3, None, ONE_CLASS)], tmp_path))
    assert (row["train_loss"], row["train_auc"], row["eval_roc_auc"]) == ("", "", "")
    assert row["eval_accuracy"] == "0.5"


def test_clients_are_long_rows_sorted_by_name(tmp_path):
    rows = client_round_rows(2, {"b": ONE_CLASS, "a": GOOD})
    read_back = read(write_client_round_table(rows, tmp_path))
    assert [r["client"] for r in read_back] == ["a"] * 7 + ["b"] * 7
    found = {(r["client"], r["metric"]): r["value"] for r in read_back}
    assert found["a", "roc_auc"] == "1.0"
    assert found["b", "roc_auc"] == ""
    assert found["b", "num_rows"] == "2.0"


def test_a_folder_that_is_a_file_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ReleaseError, match=r"per_round_metrics\.csv") as caught:
        write_round_table([round_row(1, GOOD, GOOD)], tmp_path / "taken")
    assert "taken" in caught.value.where
    assert "writable folder" in caught.value.next_step
