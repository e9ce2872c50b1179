"""Cross-validation of a recipe on group-aware folds, beside the pooled baselines."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import ClientTable, save_client_table
from fedchurn.data.split import fold_tables
from fedchurn.errors import PrivacyError
from fedchurn.evaluation.comparison import MetricValues
from fedchurn.loop.evaluate import evaluate_run
from fedchurn.loop.federate import federate
from fedchurn.loop.reach import check_rows_here
from fedchurn.loop.validate import check_clients, read_rows, validate_clients
from fedchurn.quality.report import raise_if_failed
from fedchurn.settings import Settings

SHOWN = ("roc_auc", "accuracy", "f1", "brier", "log_loss")


def crossval(settings: Settings, contract: Contract, *, num_folds: int = 5) -> dict[str, Any]:
    """Mean and spread over folds of the recipe and its baselines.

    Copies of one customer stay in one fold; everything is fitted and chosen outside the fold.

    Returns:
        JSON-ready: ``models`` (per model ``mean``, ``std`` and ``folds`` per metric), ``scheme``,
        ``num_clients``, ``num_rows``, ``is_sample``.

    Raises:
        SettingsError: rows lie beside the clients.
        PrivacyError: privacy is on.
        ValidationFailed: an error-level check failed.
        SplitError: a client is too small for this number of folds.
    """
    check_rows_here(settings, "cross-validation")
    if settings.privacy.mode != "off":
        raise PrivacyError(
            "cross-validation trains without privacy, five times over",
            where="privacy.mode",
            next_step="set privacy.mode=off here; python -m benchmarks.federation.privacy has what"
            " privacy costs",
        )
    tables = read_rows(settings, contract)
    validated = validate_clients(tables, settings, contract)
    raise_if_failed([v.report for v in validated])
    clients = [v.table for v in validated]
    by_model: dict[str, list[MetricValues]] = {}
    for fold in range(num_folds):
        for name, values in _fold(clients, fold, num_folds, settings, contract).items():
            by_model.setdefault(name, []).append(values)
    return {
        "contract": contract.contract,
        "recipe": settings.recipe,
        "scheme": "files" if settings.data.clients else settings.data.scheme,
        "num_clients": len(clients),
        "num_rows": sum(table.num_rows for table in clients),
        "num_folds": num_folds,
        "is_sample": any(table.is_sample for table in tables),
        "models": {name: _summary(folds) for name, folds in by_model.items()},
    }


def _fold(
    clients: Sequence[ClientTable],
    fold: int,
    num_folds: int,
    settings: Settings,
    contract: Contract,
) -> dict[str, MetricValues]:
    split = [
        fold_tables(
            table,
            num_folds=num_folds,
            fold=fold,
            seed=settings.seed,
            validation_fraction=settings.split.validation_fraction,
        )
        for table in clients
    ]
    check_clients(split, settings)
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for number, table in enumerate(split):
            files[table.client] = Path(folder) / f"{number}.npz"
            save_client_table(table, files[table.client])
        run = federate(
            files, contract, settings, lambda _record, _total: None, Path(folder) / "kept"
        )
    evaluation = evaluate_run(run, split if settings.evaluation.baselines else [], settings)
    return {c.name: c.metrics for c in evaluation.comparisons}


def _summary(folds: Sequence[MetricValues]) -> dict[str, Any]:
    summary: dict[str, Any] = {"mean": {}, "std": {}, "folds": {}}
    for name in SHOWN:
        values = [float(f[name] if f[name] is not None else np.nan) for f in folds]  # type: ignore[arg-type]
        summary["folds"][name] = values
        summary["mean"][name] = float(np.mean(values))
        summary["std"][name] = float(np.std(values))
    return summary


def crossval_table(result: dict[str, Any]) -> str:
    """The result as text for a terminal."""
    note = "  GENERATED SAMPLE: not real figures" if result["is_sample"] else ""
    lines = [
        f"{result['contract']}, {result['recipe']}, {result['scheme']},"
        f" {result['num_clients']} clients, {result['num_folds']} folds{note}",
        f"{'model':40}" + "".join(f"{name:>20}" for name in SHOWN),
    ]
    for name, summary in result["models"].items():
        cells = [f"{summary['mean'][m]:.4f} +- {summary['std'][m]:.4f}" for m in SHOWN]
        lines.append(f"{name:40}" + "".join(f"{cell:>20}" for cell in cells))
    return "\n".join(lines)


def with_scheme(settings: Settings, scheme: str, **data: Any) -> Settings:
    """The same settings with rows dealt in another way."""
    changed = settings.data.model_copy(update={"scheme": scheme, **data})
    return settings.model_copy(update={"data": changed})
