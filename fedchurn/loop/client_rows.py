"""A client's own side of the first stage: one file read, checked and split where it lies.

The same suite and the same split as ``validate_stage`` with ``data.clients``, so that a federation
of hosts learns what one process would learn from the same files.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import ClientTable
from fedchurn.data.sources import RawTable, read_table
from fedchurn.data.split import check_no_leak
from fedchurn.federation.joining.facts import ClientValidation
from fedchurn.loop.validate import located, split_client, warnings_of, write_reports
from fedchurn.quality.gate import validate_client
from fedchurn.quality.report import QualityReport, raise_if_failed
from fedchurn.settings import Settings


@dataclass(frozen=True)
class CheckedClient:
    """One client's rows, ready to train on.

    Attributes:
        table: rows and split.
        validation: what may be told about them.
        report: the verdict in full; stays with the client.
        quarantined: rows set aside, with ``reason``; stay with the client.
    """

    table: ClientTable
    validation: ClientValidation
    report: QualityReport
    quarantined: pd.DataFrame

    def write_quarantine(self, folder: Path) -> None:
        """``quarantine.csv`` in an existing folder, when rows were set aside."""
        if len(self.quarantined):
            path = folder / "quarantine.csv"
            self.quarantined.to_csv(path, index=False, quoting=csv.QUOTE_MINIMAL)


def client_table_from_file(
    location: str | Path,
    contract: Contract,
    settings: Settings,
    *,
    client: str | None = None,
    reports: Path | None = None,
) -> CheckedClient:
    """Read, validate and split the rows of one client.

    Args:
        location: file, SQLAlchemy URL, or ``env:NAME``; see ``DataSettings.location``.
        contract: what the rows must be.
        settings: ``data.sheet``, ``data.query``, ``quality`` and ``split``; a federation refuses
            a client that splits otherwise than the server says.
        client: its name; that of the file by default.
        reports: folder for the quality page, which is written also when rows fail.

    Raises:
        SourceError: the file cannot be found or read.
        ValidationFailed: an error-level check failed; the message is the table of failures.
        SplitError: too few rows or customers to split.
    """
    raw = _read(location, contract, settings, client)
    checked = validate_client(
        raw,
        contract,
        mode=settings.quality.mode,
        drop_exact_duplicates=settings.quality.drop_exact_duplicates,
    )
    if reports is not None:
        write_reports(reports, contract, [checked])
    raise_if_failed([checked.report])
    table = split_client(checked.table, settings, contract)
    check_no_leak([table])
    found = _validation(checked.report, settings)
    return CheckedClient(table, found, checked.report, checked.quarantined)


def _read(
    location: str | Path, contract: Contract, settings: Settings, client: str | None
) -> RawTable:
    table = read_table(
        located(str(location)), contract, sheet=settings.data.sheet, query=settings.data.query
    )
    return table.take(np.arange(table.num_rows), client or Path(location).stem)


def _validation(report: QualityReport, settings: Settings) -> ClientValidation:
    return ClientValidation(
        source=report.source,
        sha256=report.sha256,
        is_sample=report.is_sample,
        rows_in=report.rows_in,
        rows_used=report.rows_used,
        rows_quarantined=report.rows_quarantined,
        rows_dropped_duplicates=report.rows_dropped_duplicates,
        warnings=tuple(warnings_of(report)),
        split=settings.split.model_dump(mode="json"),
    )
