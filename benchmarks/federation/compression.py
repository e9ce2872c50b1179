"""Update compression with its cost in accuracy: bytes per client and round, ROC-AUC after N rounds.

FedAvg of the reference network on silos of the real files, the same rows, seeds and rounds for
every compression. Run it with ``python -m benchmarks.federation compression``.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.federation.non_iid import (
    CASES,
    Federation,
    case_settings,
    default_folder,
    line,
    split_tables,
)
from fedchurn.contract.load import load_contract
from fedchurn.evaluation.costs import bytes_text
from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.sums import add_sums
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.scoring import evaluate
from fedchurn.federation.training.train import train_federated
from fedchurn.learning.recipe import Recipe
from fedchurn.quiet import apply_quiet_environment

COMPRESSIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "fp16": {"compression": "fp16"},
    "top_k 0.1": {"compression": "top_k", "keep_fraction": 0.1},
    "top_k 0.01": {"compression": "top_k", "keep_fraction": 0.01},
}
NUM_ROUNDS = 30
PHASE = {
    "strategy": "fedavg",
    "num_rounds": NUM_ROUNDS,
    "hidden": [{"units": 64, "dropout": 0.3}, {"units": 32, "dropout": 0.2}],
    "batch_size": 32,
    "client_learning_rate": 0.002,
}


@dataclass(frozen=True)
class Compressed:
    """One compression on one case and seed.

    Attributes:
        bytes_up: per client and round.
        auc: of pooled test rows, by the model of the best validation round.
        validation_auc: by round.
    """

    case: str
    compression: str
    seed: int
    bytes_up: float
    auc: float
    validation_auc: tuple[float, ...]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, printing a row per case and compression."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=default_folder())
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cases", nargs="+", default=["ecommerce CityTier", "telco Contract"])
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options = parser.parse_args(arguments)
    apply_quiet_environment(os.environ)
    heads = ("case", "compression", "up per client and round", "of none", "AUC", "to none")
    print(line(heads), line(["---"] * len(heads)), sep="\n", flush=True)
    found: list[Compressed] = []
    for case in options.cases:
        if case not in CASES:
            parser.error(f"no case {case!r}; there are {', '.join(CASES)}")
        measured = measure(case, options.data_dir, options.seeds)
        found += measured
        for row in rows(measured):
            print(row, flush=True)
    if options.json:
        print(json.dumps({"compressions": [asdict(one) for one in found]}))


def measure(case: str, data_dir: Path, num_seeds: int) -> list[Compressed]:
    """All compressions on one case, over seeds of dealing, splitting and training."""
    found = []
    for seed in range(num_seeds):
        with TemporaryDirectory() as home:
            settings = case_settings(case, data_dir, seed)
            contract = load_contract(settings.contract)
            tables = split_tables(settings, contract, seed)
            federation = Federation.of(tables, contract, Path(home))
            for name, changes in COMPRESSIONS.items():
                found.append(_trained(federation, case, name, changes, seed))
    return found


def _trained(
    federation: Federation, case: str, name: str, changes: dict[str, Any], seed: int
) -> Compressed:
    recipe = Recipe.model_validate(
        {
            "name": name,
            "encoder": {"basis": "linear", "scaling": "minmax"},
            "phases": [{**PHASE, **changes}],
        }
    )
    model = train_federated(
        federation.exchange, federation.contract, recipe, RoundPolicy(), seed=seed
    )
    sums = evaluate(
        federation.exchange,
        RoundPolicy(),
        model.spec,
        [model.weights],
        model.encoder.to_json(),
        "test",
    ).sums[0]
    sent = [b for record in model.records[1:] for b in record.client_bytes_up.values()]
    return Compressed(
        case,
        name,
        seed,
        float(np.mean(sent)),
        metrics(add_sums(sums.values())).roc_auc,
        tuple(record.validation["roc_auc"] for record in model.records),
    )


def rows(found: Sequence[Compressed]) -> list[str]:
    """One row per compression; differences are paired by seed."""
    by_name = {name: [one for one in found if one.compression == name] for name in COMPRESSIONS}
    plain = by_name["none"]
    told = []
    for name, ones in by_name.items():
        sent, auc = np.mean([one.bytes_up for one in ones]), [one.auc for one in ones]
        gaps = np.subtract(auc, [one.auc for one in plain])
        spread = f" ± {np.std(gaps, ddof=1):.4f}" if len(gaps) > 1 and name != "none" else ""
        cells = [
            ones[0].case,
            name,
            bytes_text(float(sent)),
            f"{sent / plain[0].bytes_up:.3f}",
            f"{np.mean(auc):.4f}",
            "" if name == "none" else f"{np.mean(gaps):+.4f}{spread}",
        ]
        told.append(line(cells))
    return told


if __name__ == "__main__":
    main()
