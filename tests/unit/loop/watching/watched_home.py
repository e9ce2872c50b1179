"""A home whose contract ``shop`` is watched: a release in production, and a log of predictions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fedchurn.contract.load import contract_digest
from fedchurn.contract.schema import Contract
from fedchurn.learning.spec import HiddenLayer
from fedchurn.release.scorer import Scorer
from fedchurn.release.write import ReleaseParts
from fedchurn.serving.drift_file import watch_folder
from fedchurn.serving.records import PredictionRecord
from fedchurn.settings import Settings
from fedchurn.settings_files import load_settings
from tests.unit.release.releases import CONTRACT, card, parts, scorer
from tests.unit.serving.homes import point, released
from tests.unit.serving.logged import log, record, served

# The contract of the test releases, with drift tests on two columns and a silo.
WATCHED = Contract.model_validate(
    {
        **CONTRACT.model_dump(exclude={"columns"}),
        "silo_column": "Device",
        "columns": {
            name: {**column.model_dump(), "drift": test}
            for (name, column), test in zip(
                CONTRACT.columns.items(), ("ks", None, "chi_squared", None), strict=True
            )
        },
    }
)
EDGES = [-0.5, 0.5, 1.5]


def part(zeros: int, ones: int, devices: tuple[int, int]) -> dict[str, Any]:
    """Reference rows: customers by Tenure 0 and 1, phones and computers; all scores are alike."""
    num_rows = zeros + ones
    scores = {"cells": [[1, num_rows]], "num_rows": num_rows, "num_effective_rows": num_rows}
    return {
        "num_rows": num_rows,
        "numbers": {"Tenure": {"count": num_rows, "missing": 0, "cells": [[1, zeros], [2, ones]]}},
        "categories": {"Device": {"cells": list(devices), "missing": 0, "unknown": 0}},
        "own": {"churn_probability": scores},
    }


REFERENCE: dict[str, Any] = {
    "format": 2,
    "edges": {"Tenure": EDGES},
    "own_edges": {"churn_probability": [0.2, 0.4]},
    "labels": {"Device": ["Phone", "Computer"]},
    "pooled": part(500, 500, (500, 500)),
    "clients": {
        "Device=Phone": part(250, 250, (500, 0)),
        "Device=Computer": part(250, 250, (0, 500)),
    },
    "scores": {
        "edges": [0.0, 0.2, 0.3, 1.0],
        "negative_rows": [0, 150, 0],
        "positive_rows": [0, 50, 0],
    },
    "dependence": None,
    "calibration": None,
}


def watched_parts(
    seed: int = 7, reference: Mapping[str, Any] = REFERENCE, **card_changes: Any
) -> ReleaseParts:
    """A release of ``WATCHED``."""
    made = parts(seed=seed)
    small = scorer(seed=seed, hidden=(HiddenLayer(4, 0.2),))
    model = Scorer(WATCHED, small.encoder, small.spec, small.weights)
    told = card(contract_digest=contract_digest(WATCHED), **card_changes)
    return ReleaseParts(told, model, reference, made.golden_rows)


@dataclass
class WatchedHome:
    """See the module docstring; everything is made under ``folder``."""

    folder: Path
    release: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        data = WATCHED.model_dump(mode="json", exclude_defaults=True)
        Path(self.contract).write_text(yaml.safe_dump(data))
        self.release = self.promote(7)

    @property
    def contract(self) -> str:
        return str(self.folder / "shop.yaml")

    @property
    def log_folder(self) -> Path:
        return self.folder / "service" / "shop" / "predictions"

    @property
    def watch(self) -> Path:
        return watch_folder(self.folder, "shop")

    @property
    def told(self) -> dict[str, Any]:
        """What the service would tell."""
        found: dict[str, Any] = json.loads(
            (self.folder / "service" / "shop" / "drift.json").read_text()
        )
        return found

    def promote(self, seed: int, **changes: Any) -> Path:
        """Another release in production."""
        self.release = released(self.folder, watched_parts(seed, **changes))
        point(self.folder, self.release, version=str(seed))
        return self.release

    def settings(self, *assignments: str) -> Settings:
        return load_settings(
            None, [f"home={self.folder}", *assignments], {"contract": self.contract}
        )

    def predictions(
        self, numbers: Iterable[int], tenures: Sequence[float], **changes: Any
    ) -> list[PredictionRecord]:
        """One prediction per number, of customer C<number>, with tenures and devices by turns."""
        answered = served(WATCHED, release_id=self.release.name)
        return [
            record(
                number,
                **{
                    "served": answered,
                    "values": (
                        float(tenures[place % len(tenures)]),
                        160.0,
                        ("Phone", "Computer")[place // len(tenures) % 2],
                        "Graz",
                    ),
                    **changes,
                },
            )
            for place, number in enumerate(numbers)
        ]

    def log(self, taken: Sequence[PredictionRecord], **settings: Any) -> None:
        """Have a worker of its own log them, and end."""
        log(self.log_folder, taken, **settings)

    def log_like_reference(self, begin: int, num_rows: int, **changes: Any) -> None:
        """Customers as those of the training."""
        self.log(self.predictions(range(begin, begin + num_rows), (0, 1), **changes))

    def log_shifted(self, begin: int, num_rows: int, **changes: Any) -> None:
        """Nine of ten have been there for a month."""
        tenures = (1, 1, 1, 1, 1, 0, 1, 1, 1, 1)
        self.log(self.predictions(range(begin, begin + num_rows), tenures, **changes))
