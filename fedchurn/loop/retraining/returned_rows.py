"""Labels that came back, with their rows: collected, so that they outlive the prediction log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from fedchurn.contract.conditions import Value
from fedchurn.contract.schema import Contract
from fedchurn.errors import RetrainingError
from fedchurn.retraining.trigger import moment
from fedchurn.serving.feedback.labelled_rows import mature, settled_labels
from fedchurn.serving.serving_settings import ServingSettings
from fedchurn.settings import Settings

ROWS_FILE = "returned.jsonl"


@dataclass(frozen=True)
class ReturnedRow:
    """One scored row whose outcome is known; fields as in ``LabelledRow``.

    Attributes:
        values: canonical values by contract column; masked columns are absent.
        label: 1 is churn.
        release: that scored it.
    """

    prediction_id: str
    customer_id: str | None
    client: str | None
    prediction_seconds: float
    label_seconds: float
    release: str
    label: int
    values: Mapping[str, Value]


@dataclass(frozen=True)
class Returned:
    """Rows with mature labels, oldest prediction first, and how many labels are too young."""

    rows: tuple[ReturnedRow, ...]
    num_immature: int


def returned_rows(
    settings: Settings, contract: Contract, collected: Path | None, time: str
) -> Returned:
    """What is logged now and what was collected before; the last label of a prediction counts.

    Args:
        settings: name home and the age from which labels count.
        contract: of the rows.
        collected: a file of ``stored``, or None.
        time: now, ISO 8601.

    Raises:
        SourceError: a log is of a format that this version does not know.
        RetrainingError: the collected rows cannot be read.
    """
    service = service_settings(settings, contract)
    age = timedelta(days=settings.feedback.maturity_days)
    before_seconds = (moment(time) - age).timestamp()
    settled = settled_labels(service.predictions_folder, service.feedback_folder, contract)
    counted = mature(settled.found, before_seconds)
    known = {row.prediction_id: row for row in (read_stored(collected) if collected else ())}
    for one in counted:
        before = known.get(one.then.prediction_id)
        if one.logged is None:
            # The log is gone, but a label may have come after the row was collected.
            if before is not None and one.label_seconds > before.label_seconds:
                known[before.prediction_id] = _relabelled(before, one.label, one.label_seconds)
            continue
        known[one.then.prediction_id] = ReturnedRow(
            prediction_id=one.then.prediction_id,
            customer_id=one.then.customer_id,
            client=one.then.client,
            prediction_seconds=one.then.time_seconds,
            label_seconds=one.label_seconds,
            release=one.then.release,
            label=one.label,
            values=one.logged.row(),
        )
    ordered = sorted(known.values(), key=lambda row: (row.prediction_seconds, row.prediction_id))
    return Returned(tuple(ordered), len(settled.found) - len(counted))


def service_settings(settings: Settings, contract: Contract) -> ServingSettings:
    """Where the service of a contract keeps its files."""
    return ServingSettings(
        home=settings.home.resolve(),
        contract=contract.contract,
        log_folder=settings.drift.log_folder,
    )


def newest_per_customer(rows: Iterable[ReturnedRow]) -> tuple[ReturnedRow, ...]:
    """One row per customer, the newest; rows without an id are told apart by what they hold."""
    newest: dict[str, ReturnedRow] = {}
    for row in rows:
        values = json.dumps(dict(row.values), sort_keys=True)
        key = f"id {row.customer_id}" if row.customer_id is not None else f"row {values}"
        newest.pop(key, None)  # so that the newest stands last
        newest[key] = row
    return tuple(newest.values())


def stored(rows: Iterable[ReturnedRow]) -> bytes:
    """The file behind rows; equal rows, equal bytes."""
    lines = (json.dumps(asdict(row), sort_keys=True) for row in rows)
    return "".join(f"{line}\n" for line in lines).encode()


def read_stored(path: Path) -> Iterator[ReturnedRow]:
    """The rows behind a file of ``stored``.

    Raises:
        RetrainingError: it cannot be read.
    """
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            yield ReturnedRow(**json.loads(line))
    except (OSError, ValueError, TypeError) as error:
        raise RetrainingError(
            f"the rows that were collected cannot be read: {error}",
            where=str(path),
            next_step="put back a copy, or move the folder elsewhere to go on without them",
        ) from error


def _relabelled(row: ReturnedRow, label: int, label_seconds: float) -> ReturnedRow:
    changed: dict[str, Any] = {**asdict(row), "label": label, "label_seconds": label_seconds}
    return ReturnedRow(**changed)
