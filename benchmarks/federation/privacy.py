"""What differential privacy costs: ROC-AUC by epsilon and number of clients, on a real file.

    python -m benchmarks.federation.privacy --contract telco --data FILE

Customers of one file are dealt to 30 and to 300 clients; all are judged on the same test rows. The
recipe was tuned on validation rows of two files, so the figures leave out what tuning would spend.
Every cell is the mean over seeds of dealing and training, and noise is another each time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedchurn.quiet import apply_quiet_environment

EPSILONS = (8.0, 3.0, 1.0)
NUM_CLIENTS = (30, 300)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contract", default="ecommerce")
    parser.add_argument("--data", help="the real file; the shipped sample by default")
    parser.add_argument("--mode", choices=("central", "local"), default="central")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--split", choices=("validation", "test"), default="test")
    parser.add_argument("--set", action="append", default=[], help="settings, as for `fedchurn`")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options = parser.parse_args(arguments)
    apply_quiet_environment(os.environ)
    with tempfile.TemporaryDirectory() as home:
        rows = _measured(options, Path(home))
    _print(options, rows)
    if options.json:
        print(json.dumps({"contract": options.contract, "mode": options.mode, "rows": rows}))


def _measured(options: argparse.Namespace, home: Path) -> list[dict[str, Any]]:
    # TensorFlow reads its environment when it is imported.
    from benchmarks.federation.privacy_job import SPLITS, auc, deal, trained
    from fedchurn.contract.load import load_contract
    from fedchurn.loop.validate import stage_tables, validate_stage
    from fedchurn.settings_files import load_settings

    values = {
        "contract": options.contract,
        "home": home,
        "recipe": "private",
        "data": {"location": options.data, "scheme": "iid", "num_clients": 1},
    }
    settings = load_settings(None, options.set, values)
    contract = load_contract(settings.contract)
    whole = next(iter(stage_tables(validate_stage(settings, contract)).values()))
    promises = [None, *EPSILONS]
    rows = []
    for num_clients in NUM_CLIENTS:
        given = [deal(whole, contract, num_clients, seed) for seed in range(options.seeds)]
        for epsilon in promises:
            changes = {"mode": "off"} if epsilon is None else {"mode": options.mode}
            privacy = settings.privacy.model_copy(update={**changes, "epsilon": epsilon or 1.0})
            figures, noise = [], 0.0
            for seed, federation in enumerate(given):
                model, terms = trained(federation, settings.training, privacy, seed)
                figures.append(auc(federation, model, SPLITS[options.split]))
                noise = terms.noise_multiplier if terms else 0.0
            rows.append(_row(num_clients, epsilon, noise, figures))
    return rows


def _row(
    num_clients: int, epsilon: float | None, noise: float, figures: Sequence[float]
) -> dict[str, Any]:
    return {
        "num_clients": num_clients,
        "epsilon": epsilon,
        "noise_multiplier": noise,
        "roc_auc_mean": statistics.mean(figures),
        "roc_auc_deviation": statistics.stdev(figures) if len(figures) > 1 else 0.0,
        "roc_auc_low": min(figures),
        "roc_auc_high": max(figures),
    }


def _print(options: argparse.Namespace, rows: Sequence[dict[str, Any]]) -> None:
    judged = f"{options.split} rows, {options.seeds} seeds"
    print(f"{options.contract}, {options.mode} privacy at delta 1e-5, {judged}")
    print(f"{'clients':>8}{'epsilon':>9}{'noise':>8}{'ROC-AUC':>10}{'deviation':>11}{'range':>17}")
    for row in rows:
        epsilon = "none" if row["epsilon"] is None else f"{row['epsilon']:g}"
        spread = f"{row['roc_auc_low']:.3f} to {row['roc_auc_high']:.3f}"
        print(
            f"{row['num_clients']:>8}{epsilon:>9}{row['noise_multiplier']:>8.2f}"
            f"{row['roc_auc_mean']:>10.4f}{row['roc_auc_deviation']:>11.4f}{spread:>17}"
        )


if __name__ == "__main__":
    main()
