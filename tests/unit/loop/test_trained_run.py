"""A training on disk and back, and what later stages make of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fedchurn.drift.reference import read_reference
from fedchurn.drift.verdict import SCORE_COLUMN
from fedchurn.encoding.statistics import Statistics, client_statistics
from fedchurn.errors import IntegrityError
from fedchurn.evaluation.sums import ScoreSums, score_sums
from fedchurn.federation.drift.dependence import Relation
from fedchurn.federation.drift.dependence_sums import HeldOutSums
from fedchurn.federation.training.state import RoundRecord
from fedchurn.loop.drift_reference import drift_reference
from fedchurn.loop.round_rows import client_round_rows, round_rows
from fedchurn.loop.trained_run import TrainedRun, read_run, write_run
from tests.unit.federation import clients
from tests.unit.release.releases import CONTRACT, scorer

# Names are values of a silo column, so anything may stand in them.
NORTH, SOUTH = "Plan=Gold/Plus, é", "Plan=../x"
LABELS = np.array([0, 1, 1, 0, 0, 0, 1, 0], dtype=np.int8)


def sums(seed: int) -> ScoreSums:
    probabilities = np.random.default_rng(seed).random(len(LABELS))
    return score_sums(LABELS, probabilities)


def statistics(seed: int) -> Statistics:
    table = clients.table("any", 40, seed)
    return client_statistics(table.columns, table.target, clients.CONTRACT, min_cell_rows=5)


@pytest.fixture
def run() -> TrainedRun:
    return TrainedRun(
        model=scorer(),
        fallback=scorer(seed=8),
        best_round_num=1,
        records=(
            RoundRecord(0, "newton", (), validation={"roc_auc": 0.5, "accuracy": 0.8}),
            RoundRecord(
                1,
                "newton",
                (NORTH,),
                absences={SOUTH: "no answer in 600 s"},
                quarantined={"third": "norm 1e9"},
                train={"log_loss": 0.3},
                validation={"roc_auc": 0.9},
                per_client={NORTH: {"validation_roc_auc": 0.9, "validation_odd": 1.0}},
                candidates=(2,),
                is_best=True,
                bytes_up=10,
                bytes_down=20,
            ),
            RoundRecord(2, "newton refit", (NORTH, SOUTH), train={"loss": 0.2}),
        ),
        statistics={NORTH: statistics(1), SOUTH: statistics(2)},
        validation={NORTH: sums(1), SOUTH: sums(2)},
        test={NORTH: sums(3), SOUTH: sums(4)},
        fallback_test={NORTH: sums(5), SOUTH: sums(6)},
        relation=Relation(
            {"num_rows": 80, "columns": ["age"]},
            np.array([0.5, 1.5]),
            {NORTH: HeldOutSums(8, 16.0, np.array([3.0, 5.0, 0.0]))},
        ),
    )


def arrays_of(part: ScoreSums) -> dict[str, NDArray[np.generic]]:
    return dict(part.to_arrays())


def test_what_is_written_is_read_back(run: TrainedRun, tmp_path: Path) -> None:
    write_run(run, tmp_path)
    back = read_run(tmp_path, CONTRACT)
    assert back.best_round_num == 1
    assert [r.to_dict() for r in back.records] == [r.to_dict() for r in run.records]
    for mine, theirs in ((run.model, back.model), (run.fallback, back.fallback)):
        assert theirs.encoder == mine.encoder
        assert theirs.spec == mine.spec
        for before, after in zip(mine.weights, theirs.weights, strict=True):
            assert before.tobytes() == after.tobytes()
    for name in ("validation", "test", "fallback_test"):
        before, after = getattr(run, name), getattr(back, name)
        assert list(after) == [NORTH, SOUTH]
        for client in after:
            for key, array in arrays_of(before[client]).items():
                np.testing.assert_array_equal(arrays_of(after[client])[key], array)
    for client, part in run.statistics.items():
        read = back.statistics[client]
        assert (read.num_rows, read.num_positive) == (part.num_rows, part.num_positive)
        np.testing.assert_array_equal(read.numbers["age"].cells, part.numbers["age"].cells)
        np.testing.assert_array_equal(read.categories["plan"].cells, part.categories["plan"].cells)


def test_how_columns_go_together_is_read_back(run: TrainedRun, tmp_path: Path) -> None:
    write_run(run, tmp_path)
    back = read_run(tmp_path, CONTRACT).relation
    assert back is not None
    assert back.dependence == {"num_rows": 80, "columns": ["age"]}
    assert back.error_edges.tolist() == [0.5, 1.5]
    ((client, held_out),) = back.held_out.items()
    assert (client, held_out.num_rows, held_out.customer_squares) == (NORTH, 8, 16.0)
    assert held_out.error_cells.tolist() == [3.0, 5.0, 0.0]


def test_a_run_without_watched_columns_is_read_back(run: TrainedRun, tmp_path: Path) -> None:
    write_run(replace(run, relation=None), tmp_path)
    assert read_run(tmp_path, CONTRACT).relation is None


def test_nothing_on_disk_is_a_pickle(run: TrainedRun, tmp_path: Path) -> None:
    write_run(run, tmp_path)
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".json", ".npz"}
    for path in tmp_path.rglob("*.npz"):
        with np.load(path, allow_pickle=False) as stored:
            assert all(stored[name].dtype != object for name in stored.files)


def test_equal_runs_give_equal_bytes(run: TrainedRun, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_run(run, tmp_path / name)
    for path in (p for p in (tmp_path / "a").rglob("*") if p.is_file()):
        twin = tmp_path / "b" / path.relative_to(tmp_path / "a")
        assert path.read_bytes() == twin.read_bytes(), path


def test_weights_that_were_altered_are_refused(run: TrainedRun, tmp_path: Path) -> None:
    write_run(replace(run, model=scorer(seed=3)), tmp_path)
    weights = tmp_path / "model" / "weights.npz"
    weights.write_bytes(weights.read_bytes()[:-40])
    with pytest.raises(IntegrityError):
        read_run(tmp_path, CONTRACT)


def test_rounds_as_rows(run: TrainedRun) -> None:
    start, first, refit = round_rows(run.records)
    assert (start.round_num, start.eval_roc_auc, start.eval_accuracy) == (0, 0.5, 0.8)
    assert (first.train_loss, first.eval_roc_auc) == (0.3, 0.9)
    assert refit.train_loss == 0.2
    assert np.isnan(refit.eval_roc_auc), "validation rows train in a refit"
    (row,) = client_round_rows(run.records)
    assert (row.round_num, row.client, row.value) == (1, NORTH, 0.9)


class TestDriftReference:
    @pytest.fixture
    def reference(self, run: TrainedRun) -> dict[str, object]:
        return drift_reference(run.statistics, run.test, clients.CONTRACT)

    def test_it_is_strict_json(self, reference: dict[str, object]) -> None:
        assert json.loads(json.dumps(reference, allow_nan=False)) == reference

    def test_cells_stand_between_edges_with_one_more_on_either_side(
        self, run: TrainedRun, reference: dict[str, object]
    ) -> None:
        edges, pooled = reference["edges"], reference["pooled"]
        assert isinstance(edges, dict)
        assert isinstance(pooled, dict)
        # One cell per age from 0 to 100.
        assert (edges["age"][0], edges["age"][-1], len(edges["age"])) == (-0.5, 100.5, 102)
        cells = pooled["numbers"]["age"]["cells"]
        assert all(0 <= place <= 102 and held > 0 for place, held in cells)
        assert sum(held for _, held in cells) == pytest.approx(80)
        assert pooled["num_rows"] == 80

    def test_clients_add_up_to_the_pool(self, reference: dict[str, object]) -> None:
        parts, pooled = reference["clients"], reference["pooled"]
        assert isinstance(parts, dict)
        assert isinstance(pooled, dict)
        assert list(parts) == [NORTH, SOUTH]
        added = np.sum([p["categories"]["plan"]["cells"] for p in parts.values()], axis=0)
        assert added.tolist() == pooled["categories"]["plan"]["cells"]
        assert reference["labels"] == {"plan": ["basic", "pro"]}

    def test_scores_are_counts_per_bin(self, reference: dict[str, object]) -> None:
        scores = reference["scores"]
        assert isinstance(scores, dict)
        assert len(scores["edges"]) == len(scores["positive_rows"]) + 1
        assert sum(scores["positive_rows"]) == pytest.approx(6)
        assert sum(scores["negative_rows"]) == pytest.approx(10)

    def test_effective_rows_stand_beside_rows(self, reference: dict[str, object]) -> None:
        pooled, parts = reference["pooled"], reference["clients"]
        assert isinstance(pooled, dict)
        assert isinstance(parts, dict)
        # Nobody stands there twice.
        assert pooled["num_effective_rows"] == 80
        assert parts[NORTH]["num_effective_rows"] == 40

    def test_without_relation_there_are_scores_alone(self, reference: dict[str, object]) -> None:
        assert (reference["dependence"], reference["calibration"]) == (None, None)
        assert list(reference["own_edges"]) == [SCORE_COLUMN]  # type: ignore[call-overload]

    def test_the_drift_check_reads_it(self, reference: dict[str, object]) -> None:
        assert read_reference(reference, clients.CONTRACT).num_rows == 80


def test_the_weights_before_a_refit_come_back(run: TrainedRun, tmp_path: Path) -> None:
    before = scorer(seed=77).weights
    write_run(replace(run, selection_weights=before), tmp_path)
    back = read_run(tmp_path, CONTRACT).selection_weights
    assert back is not None
    assert [w.tobytes() for w in back] == [w.tobytes() for w in before]


def test_a_run_of_an_older_version_has_none(run: TrainedRun, tmp_path: Path) -> None:
    write_run(run, tmp_path)
    assert read_run(tmp_path, CONTRACT).selection_weights is None
