"""A federated training on disk: models, sums and records, without pickles."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.schema import Contract
from fedchurn.encoding.statistics import (
    Statistics,
    statistics_from_arrays,
    statistics_to_arrays,
)
from fedchurn.evaluation.sums import ScoreSums
from fedchurn.federation.drift.dependence import Relation
from fedchurn.federation.drift.dependence_sums import HeldOutSums
from fedchurn.federation.training.client_arrays import stacked, unstacked
from fedchurn.federation.training.state import RoundRecord
from fedchurn.learning.spec import ModelSpec, Weights
from fedchurn.release.scorer import Scorer
from fedchurn.release.weights import read_weights, weights_bytes

ClientSums = dict[str, ScoreSums]

SECONDS = "seconds.json"
SELECTION = "selection.npz"


@dataclass(frozen=True)
class TrainedRun:
    """What later stages need of a training.

    Attributes:
        model: the model to release.
        fallback: federated logistic regression on plain scaled inputs.
        best_round_num: the round that made the model.
        records: one per round.
        statistics: per client, of its training rows.
        validation: score sums per client on validation rows, by the model before its refit.
        test: score sums per client on test rows, by the model.
        fallback_test: the same by the fallback.
        relation: how columns go together; None without columns that are watched for drift.
        privacy: what the training promised and spent, JSON-ready; None without privacy.
        selection_weights: the model before its refit, which has not seen validation rows; None in
            runs of older versions.
    """

    model: Scorer
    fallback: Scorer
    best_round_num: int
    records: tuple[RoundRecord, ...]
    statistics: Mapping[str, Statistics]
    validation: ClientSums
    test: ClientSums
    fallback_test: ClientSums
    relation: Relation | None = None
    privacy: Mapping[str, Any] | None = None
    selection_weights: Weights | None = None


def write_run(run: TrainedRun, folder: Path) -> None:
    """Write the run's files into an existing folder."""
    for name, scorer in (("model", run.model), ("fallback", run.fallback)):
        (folder / name).mkdir()
        for file, content in scorer.to_files().items():
            (folder / name / file).write_bytes(content)
    if run.selection_weights is not None:
        (folder / SELECTION).write_bytes(weights_bytes(run.model.spec, run.selection_weights))
    records = [record.to_dict() for record in run.records]
    # Apart, so that equal trainings leave equal files, but for this one.
    seconds = [record.pop("seconds") for record in records]
    (folder / SECONDS).write_text(json.dumps(seconds), encoding="utf-8")
    facts = {
        "best_round_num": run.best_round_num,
        "records": records,
        "privacy": run.privacy,
    }
    (folder / "rounds.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
    for name, sums in _sums(run).items():
        parts = {client: part.to_arrays() for client, part in sums.items()}
        _write_arrays(folder / f"{name}.npz", parts)
    statistics = {client: statistics_to_arrays(part) for client, part in run.statistics.items()}
    _write_arrays(folder / "statistics.npz", statistics)
    if run.relation is not None:
        _write_relation(run.relation, folder)


def _write_relation(relation: Relation, folder: Path) -> None:
    facts = {"dependence": relation.dependence, "error_edges": relation.error_edges.tolist()}
    (folder / "relation.json").write_text(json.dumps(facts), encoding="utf-8")
    held_out = {client: sums.to_arrays() for client, sums in relation.held_out.items()}
    _write_arrays(folder / "held_out.npz", held_out)


def _sums(run: TrainedRun) -> dict[str, ClientSums]:
    return {"validation": run.validation, "test": run.test, "fallback_test": run.fallback_test}


def read_run(folder: Path, contract: Contract) -> TrainedRun:
    """The run behind ``write_run``."""
    facts = json.loads((folder / "rounds.json").read_text(encoding="utf-8"))
    return TrainedRun(
        model=_scorer(folder / "model", contract),
        fallback=_scorer(folder / "fallback", contract),
        best_round_num=int(facts["best_round_num"]),
        records=_records(folder, facts["records"]),
        statistics={
            client: statistics_from_arrays(arrays)
            for client, arrays in _read_arrays(folder / "statistics.npz").items()
        },
        validation=_read_sums(folder / "validation.npz"),
        test=_read_sums(folder / "test.npz"),
        fallback_test=_read_sums(folder / "fallback_test.npz"),
        relation=_read_relation(folder),
        privacy=facts.get("privacy"),
        selection_weights=_selection_weights(folder),
    )


def _selection_weights(folder: Path) -> Weights | None:
    path = folder / SELECTION
    if not path.is_file():
        return None
    stored = json.loads((folder / "model" / "model.json").read_text(encoding="utf-8"))
    return read_weights(ModelSpec.from_dict(stored), path.read_bytes(), where=str(path))


def _records(folder: Path, stored: Sequence[Mapping[str, Any]]) -> tuple[RoundRecord, ...]:
    try:
        seconds = json.loads((folder / SECONDS).read_text(encoding="utf-8"))
    except FileNotFoundError:  # a training of an earlier version
        seconds = [{} for _ in stored]
    pairs = zip(stored, seconds, strict=True)
    return tuple(RoundRecord.from_dict({**one, "seconds": took}) for one, took in pairs)


def _read_relation(folder: Path) -> Relation | None:
    if not (folder / "relation.json").is_file():
        return None
    facts = json.loads((folder / "relation.json").read_text(encoding="utf-8"))
    held_out = _read_arrays(folder / "held_out.npz")
    return Relation(
        facts["dependence"],
        np.asarray(facts["error_edges"], dtype=np.float64),
        {client: HeldOutSums.from_arrays(arrays) for client, arrays in held_out.items()},
    )


def _scorer(folder: Path, contract: Contract) -> Scorer:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return Scorer.from_files(contract, files, where=str(folder))


def _read_sums(path: Path) -> ClientSums:
    return {client: ScoreSums.from_arrays(arrays) for client, arrays in _read_arrays(path).items()}


def _write_arrays(path: Path, parts: Mapping[str, Mapping[str, NDArray[Any]]]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **stacked(parts))
    path.write_bytes(buffer.getvalue())


def _read_arrays(path: Path) -> dict[str, dict[str, NDArray[Any]]]:
    with np.load(path, allow_pickle=False) as stored:
        return unstacked({name: stored[name] for name in stored.files})
