"""What all sides are asked and answer with: generated customers, two releases of one contract."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.explanation_job import Job, make_job
from benchmarks.serving.contract_name import CONTRACT
from fedchurn.contract.customer_rows import canonical_row
from fedchurn.contract.load import contract_digest, load_contract
from fedchurn.contract.schema import Column, Contract
from fedchurn.data.sample import generate_sample
from fedchurn.release.card import Card
from fedchurn.release.golden import choose_golden_rows
from fedchurn.release.load import Release, load_release
from fedchurn.release.scorer import Scorer
from fedchurn.release.write import ReleaseParts, write_release
from fedchurn.serving.predictor import Predictor

NUM_CUSTOMERS = 200
SEED = 11

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Material:
    """What is asked and served.

    Attributes:
        home: a FEDCHURN_HOME in which ``release`` is in production and both releases lie.
        release: answers.
        other: a release of the same contract that answers otherwise, for reloads.
        rows: customers as callers send them, aliases and missing values included.
        bodies: the same as JSON, one line per customer.
    """

    home: Path
    release: Release
    other: Release
    rows: list[Row]
    bodies: Path


def make_material(folder: Path) -> Material:
    """Fit two models on generated customers and write them as releases below ``folder``."""
    home = folder / "home"
    job = make_job(CONTRACT, "additive", 10)
    fallback = make_job(CONTRACT, "network", 10).scorer
    release, other = (
        load_release(write_release(_parts(job, fallback, scale), home / "releases"))
        for scale in (1.0, 0.5)
    )
    pointer = home / "serving" / f"{CONTRACT}.json"
    pointer.parent.mkdir(parents=True)
    facts = {"release_folder": str(release.folder), "release_id": release.release_id}
    pointer.write_text(json.dumps({**facts, "version": "1"}))
    rows = customers(release.contract, NUM_CUSTOMERS)
    bodies = folder / "bodies.jsonl"
    bodies.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Material(home, release, other, rows, bodies)


def customers(contract: Contract, num_rows: int) -> list[Row]:
    """Generated customers with JSON values; the target is not among them."""
    frame = generate_sample(contract, rows=num_rows, seed=SEED)
    return [
        {
            name: _sent(cell, contract.columns.get(name))
            for name, cell in record.items()
            if name != contract.target.column
        }
        for record in frame.to_dict("records")
    ]


def expected_probabilities(release: Release, rows: list[Row]) -> list[float]:
    """What a release answers (0-1) about rows as sent, computed without a server."""
    canonical = [canonical_row(row, release.contract).values for row in rows]
    return Predictor(release.model).many(canonical).tolist()


def _sent(cell: object, column: Column | None) -> object:
    if not isinstance(cell, str) or not cell:
        return None
    if column is None:
        return int(cell)  # the id
    if column.is_number:
        number = float(cell)
        return int(number) if column.kind == "integer" else number
    return int(cell) if column.integer_categories else cell


def _parts(job: Job, fallback: Scorer, scale: float) -> ReleaseParts:
    scaled = tuple((array * scale).astype(np.float32) for array in job.scorer.weights)
    return ReleaseParts(
        card=_card(f"weights times {scale}"),
        model=dataclasses.replace(job.scorer, weights=scaled),
        reference=job.reference,
        golden_rows=choose_golden_rows(job.contract, seed=SEED),
        fallback=fallback,
    )


def _card(note: str) -> Card:
    contract = load_contract(CONTRACT)
    return Card(
        contract=contract.contract,
        contract_version=contract.version,
        contract_digest=contract_digest(contract),
        data_digests={"benchmark": "0" * 64},
        is_sample=True,
        recipe=note,
        settings={},
        seed=SEED,
        rounds=(),
        metrics={},
        client_metrics={},
        baselines={},
        threshold=0.5,
        objective="f1",
        library_versions={},
        git_commit="",
        created_at="2026-01-01T00:00:00+00:00",
    )
