"""Runs the train flow in this process and tells people what came out."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from fedchurn.cli.bento_output import tell_bento
from fedchurn.contract.load import load_contract
from fedchurn.errors import ReleaseError, SettingsError
from fedchurn.federation.training.state import RoundRecord
from fedchurn.registry.mlflow_reach import check_reachable
from fedchurn.settings import Settings

OnRound = Callable[[RoundRecord, int], None]
BAR_WIDTH = 30
NUM_NAMED = 3  # missing clients in the line of a round
MIN_FREE_BYTES = 64 * 2**20  # a run on the sample, with the embedded stores, writes about 20 MiB


def run_train_flow(settings: Settings) -> dict[str, Any]:
    """The train flow, embedded: on the Prefect server of ``PREFECT_API_URL`` if that is set.

    Returns:
        the outcome of ``judge_and_promote`` with the figures of the evaluation.
    """
    return run_embedded(settings, lambda tell: _train_flow()(settings, tell))


def run_embedded(settings: Settings, start: Callable[[OnRound], dict[str, Any]]) -> dict[str, Any]:
    """Run a flow in this process; its trainings tell their rounds to ``start``'s argument."""
    prepare(settings)
    with closing(Bar()) as bar:
        return start(bar.draw if sys.stderr.isatty() else _print_round)


def prepare(settings: Settings) -> None:
    """What must be settled before Prefect is imported, and what need not wait for it.

    Raises:
        ReleaseError: home cannot be written, or its disk is full.
        ContractError: there is no such contract, or it has problems.
        TrackingError: MLflow is away.
    """
    _embed(settings)
    _refuse_early(settings)


def _embed(settings: Settings) -> None:
    """Where Prefect keeps its files, and how much it says; what the user has set stays.

    Errors are told by the verb, so Prefect's own log of them (with tracebacks) is kept back.

    Raises:
        ReleaseError: home cannot be written, or its disk is full.
    """
    home = settings.home.resolve() / "prefect"
    try:
        home.mkdir(parents=True, exist_ok=True)
        free_bytes = shutil.disk_usage(home).free
    except OSError as error:
        raise ReleaseError(
            f"cannot be written: {error.strerror or error}",
            where=str(error.filename or home),
            next_step="give rights there, or set home to another folder (--set home=FOLDER)",
        ) from error
    if free_bytes < MIN_FREE_BYTES:
        raise ReleaseError(
            f"only {free_bytes / 2**20:.1f} MiB are free, {MIN_FREE_BYTES / 2**20:.0f} are needed",
            where=str(settings.home.resolve()),
            next_step="make room there, or set home to another folder (--set home=FOLDER)",
        )
    os.environ.setdefault("PREFECT_HOME", str(home))
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")
    for chatty in ("great_expectations", "mlflow", "flwr", "alembic"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


def _refuse_early(settings: Settings) -> None:
    """What the flow would refuse first, told before Prefect has started: that takes seconds.

    Raises:
        ContractError: there is no such contract, or it has problems.
        TrackingError: MLflow is away.
    """
    load_contract(settings.contract)
    check_reachable(settings.tracking_uri)


def _train_flow() -> Callable[..., Any]:
    with importing_flows():
        from flows.train import train_embedded
    return train_embedded


@contextmanager
def importing_flows() -> Iterator[None]:
    """Tells what to do where the flows are not installed.

    Raises:
        SettingsError: a module is not there.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"the module {error.name!r} cannot be imported",
            where="flows/",
            next_step="install the training requirements and this project: make setup",
        ) from error


class Bar:
    """A progress bar in the last line of a terminal; ``close`` ends the line, at any round."""

    def __init__(self) -> None:
        self._is_drawn = False

    def draw(self, record: RoundRecord, total: int) -> None:
        """The bar after a round of at most ``total``."""
        done = round(BAR_WIDTH * record.round_num / max(total, 1))
        bar = "#" * done + "." * (BAR_WIDTH - done)
        print(f"\r[{bar}] {_round_text(record, total)}   ", end="", file=sys.stderr, flush=True)
        self._is_drawn = True

    def close(self) -> None:
        """What is printed next starts a line of its own: training may stop before ``total``."""
        if self._is_drawn:
            print(file=sys.stderr, flush=True)
        self._is_drawn = False


def _print_round(record: RoundRecord, total: int) -> None:
    print(_round_text(record, total), file=sys.stderr, flush=True)


def _round_text(record: RoundRecord, total: int) -> str:
    shown = {
        "loss": record.validation.get("log_loss"),
        "auc": record.validation.get("roc_auc"),
    }
    if not record.validation:  # a round that is not evaluated
        shown = {"loss while training": record.train.get("loss")}
    figures = "  ".join(f"{name} {value:.4f}" for name, value in shown.items() if value is not None)
    clients = f"{len(record.participants)} clients" if record.round_num else "start"
    without = _without(record)
    return f"round {record.round_num}/{total}  {record.strategy}  {clients}  {figures}{without}"


def _without(record: RoundRecord) -> str:
    """Who is missing, by name as far as a line goes; the report has the reasons."""
    missing = sorted({*record.absences, *record.quarantined, *record.excluded})
    more = f" and {len(missing) - NUM_NAMED} more" if len(missing) > NUM_NAMED else ""
    return f"  without {', '.join(missing[:NUM_NAMED])}{more}" if missing else ""


def tell_outcome(outcome: dict[str, Any]) -> None:
    """What people want to know, in a screenful."""
    if outcome["is_sample"]:
        print("GENERATED SAMPLE: these figures are not about real customers.")
    print(f"{outcome['rows_used']} of {outcome['rows_in']} rows used, {outcome['clients']} clients")
    for client, why in outcome.get("refused_clients", {}).items():
        print(f"took no part: {client}: {why}")
    print(f"{'model':40}{'ROC-AUC':>10}{'accuracy':>10}{'F1':>10}{'Brier':>10}")
    for comparison in outcome["comparisons"]:
        values = comparison["metrics"]
        cells = [_cell(values.get(name)) for name in ("roc_auc", "accuracy", "f1", "brier")]
        print(f"{comparison['name']:40}" + "".join(f"{cell:>10}" for cell in cells))
    if outcome["reused_stages"]:
        print(f"unchanged input, nothing run again: {', '.join(outcome['reused_stages'])}")
    print(f"{outcome['outcome'].upper()}: release {outcome['release_id']}, ", end="")
    print(f"version {outcome['version']} of {outcome['model_name']}")
    for reason in outcome["reasons"]:
        print(f"  {'passed' if reason['passed'] else 'FAILED'}: {reason['sentence']}")
    if outcome["next_step"]:
        print(f"  next: {outcome['next_step']}")
    print(f"report: {outcome['report']}")
    print(f"release: {outcome['release_folder']}")
    if outcome.get("bento"):
        tell_bento(outcome["bento"])


def _cell(value: Any) -> str:
    return f"{value:.4f}" if isinstance(value, float) else "-"
