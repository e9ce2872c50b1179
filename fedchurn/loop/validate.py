"""First stage: read the rows, deal them to clients, let each client validate and split its own."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedchurn.contract.load import contract_digest
from fedchurn.contract.schema import Contract
from fedchurn.data.client_bundle import SUFFIX, load_client, save_client_bundle
from fedchurn.data.client_table import (
    ClientTable,
    save_client_table,
    split_digest,
)
from fedchurn.data.deal import deal_rows, deal_table, read_clients, silo_values
from fedchurn.data.frames import CanonicalTable, canonical_table, frame_columns
from fedchurn.data.simulated_deal import deal_split_table
from fedchurn.data.sources import RawTable, read_table
from fedchurn.data.split import check_no_leak, split_table
from fedchurn.errors import SourceError
from fedchurn.federation.joining.facts import Part, parts_of
from fedchurn.loop.reach import check_rows_here
from fedchurn.loop.stage import StageResult, run_stage, stage_key
from fedchurn.quality.copies import copy_groups, group_keys
from fedchurn.quality.gate import Validated, validate_client
from fedchurn.quality.html import quality_page
from fedchurn.quality.report import QualityReport, raise_if_failed
from fedchurn.settings import Settings
from fedchurn.settings_files import config_folder


@dataclass(frozen=True)
class ClientRows:
    """A client's raw rows, and the customers behind them when the whole table was at hand."""

    raw: RawTable
    customer_groups: NDArray[np.int64] | None = None


def read_rows(settings: Settings, contract: Contract) -> list[RawTable]:
    """The tables named by the settings; the shipped sample when none is named.

    Raises:
        SourceError: a table cannot be found or read.
        SettingsError: rows lie beside the clients, on hosts of their own.
    """
    check_rows_here(settings, "this")
    data = settings.data
    if data.clients:
        return list(read_clients(data.clients, contract, sheet=data.sheet))
    location = located(data.location) if data.location else str(shipped_sample(contract))
    return [read_table(location, contract, sheet=data.sheet, query=data.query)]


def located(location: str) -> str:
    """The location itself, or what the environment variable of ``env:NAME`` holds.

    Raises:
        SourceError: there is no such variable.
    """
    kind, _, name = location.partition(":")
    if kind != "env":
        return location
    if not os.environ.get(name):
        raise SourceError(
            f"the environment variable {name!r} is not set",
            where=f"--data {location}",
            next_step=f"export {name}=... before this run, where this run is started",
        )
    return os.environ[name]


def shipped_sample(contract: Contract) -> Path:
    """The generated sample that the repository ships for a contract.

    Raises:
        SourceError: none is shipped.
    """
    path = config_folder("samples") / f"{contract.contract}.csv"
    if not path.is_file():
        raise SourceError(
            "no data was named and no sample is shipped for this contract",
            where=f"contract {contract.contract}",
            next_step=(
                "give --data FILE, or make a sample with "
                f"`fedchurn sample --contract {contract.contract} --out FILE`"
            ),
        )
    return path


def client_rows(
    tables: Sequence[RawTable], settings: Settings, contract: Contract
) -> list[ClientRows]:
    """One entry per client: tables as they are, or one table dealt by the scheme."""
    if settings.data.clients:
        return [ClientRows(table) for table in tables]
    raw = tables[0]
    canonical = canonical_table(raw, contract)
    columns = frame_columns(canonical.frame, contract)
    target = _labels(canonical, contract)
    groups = copy_groups(columns, target, contract).groups
    places = deal_rows(
        settings.data.scheme,
        num_clients=settings.data.num_clients,
        seed=settings.split.seed,
        labels=target,
        customer_groups=groups,
        silo_values=_silo_values(raw, canonical, settings, contract),
        silo_column=_silo_column(settings, contract) or "silo",
        alpha=settings.data.alpha,
        group_keys=group_keys(columns, groups),
        min_rows=contract.dataset.min_rows,
        min_positives=contract.dataset.min_positives,
    )
    dealt = deal_table(raw, places)
    return [ClientRows(t, groups[rows]) for t, rows in zip(dealt, places.values(), strict=True)]


def _labels(canonical: CanonicalTable, contract: Contract) -> NDArray[np.int8]:
    values = canonical.frame[contract.target.column].to_numpy(dtype=np.float64)
    return np.where(np.isnan(values), 0, values).astype(np.int8)


def _silo_column(settings: Settings, contract: Contract) -> str | None:
    return settings.data.silo_column or contract.silo_column


def _silo_values(
    raw: RawTable, canonical: CanonicalTable, settings: Settings, contract: Contract
) -> NDArray[np.object_] | None:
    column = _silo_column(settings, contract)
    if settings.data.scheme != "silo" or column is None:
        return None
    return silo_values(raw, canonical, column)


def validate_stage(settings: Settings, contract: Contract) -> StageResult:
    """Validated, split client tables in a stage folder.

    Returns:
        ``clients`` (file per client), ``rows_in``, ``rows_used``, ``rows_quarantined``,
        ``rows_dropped_duplicates``, ``is_sample``, ``data_digests``, ``parts`` (size and digest of
        every split by client) and the usual stage facts.

    Raises:
        ValidationFailed: an error-level check failed; the message is the table of failures, and
            the HTML report lies in ``HOME/reports``.
    """
    tables = read_rows(settings, contract)
    key = stage_key(
        contract_digest(contract),
        [(table.client, table.source, table.sha256, table.is_sample) for table in tables],
        settings.published()["data"],
        settings.quality.model_dump(mode="json"),
        settings.split.model_dump(mode="json"),
    )
    return run_stage(
        settings.home, "validate", key, lambda folder: _validate(folder, tables, settings, contract)
    )


def validate_clients(
    tables: Sequence[RawTable], settings: Settings, contract: Contract
) -> list[Validated]:
    """Every client's own verdict on its own rows; nothing is raised for rows that fail."""
    return [
        _validated(rows, settings, contract) for rows in client_rows(tables, settings, contract)
    ]


def _validated(rows: ClientRows, settings: Settings, contract: Contract) -> Validated:
    return validate_client(
        rows.raw,
        contract,
        mode=settings.quality.mode,
        drop_exact_duplicates=settings.quality.drop_exact_duplicates,
        groups=rows.customer_groups,
    )


def _validate(
    folder: Path, tables: Sequence[RawTable], settings: Settings, contract: Contract
) -> StageResult:
    if settings.data.deals_to_many:
        validated = [_validated(ClientRows(tables[0]), settings, contract)]
    else:
        validated = validate_clients(tables, settings, contract)
    write_reports(settings.home.resolve() / "reports", contract, validated)
    raise_if_failed([v.report for v in validated])
    split = _split(validated, settings, contract)
    check_clients(split, settings)
    files = _write_clients(folder, split, bundled=settings.data.deals_to_many)
    _write_quarantine(folder, validated)
    write_reports(folder, contract, validated)
    reports = [v.report for v in validated]
    return {
        "clients": files,
        "data_digests": {table.client: table.digest() for table in split},
        "split_digests": {table.client: split_digest(table) for table in split},
        "parts": {table.client: part_facts(parts_of(table)) for table in split},
        "is_sample": any(table.is_sample for table in tables),
        "sources": sorted({table.source for table in tables}),
        "source_sha256": sorted({table.sha256 for table in tables}),
        "rows_in": sum(r.rows_in for r in reports),
        "rows_used": sum(r.rows_used for r in reports),
        "rows_quarantined": sum(r.rows_quarantined for r in reports),
        "rows_dropped_duplicates": sum(r.rows_dropped_duplicates for r in reports),
        "rows": _row_counts(reports, split),
        "warnings": [f"{r.client}: {warning}" for r in reports for warning in warnings_of(r)],
    }


def _split(
    validated: Sequence[Validated], settings: Settings, contract: Contract
) -> list[ClientTable]:
    """Split tables of all clients; many simulated clients are dealt rows that are split already."""
    split = [split_client(v.table, settings, contract) for v in validated]
    data = settings.data
    if not data.deals_to_many:
        return split
    dealt = deal_split_table(
        split[0],
        data.scheme,
        num_clients=data.num_clients,
        seed=settings.split.seed,
        alpha=data.alpha,
    )
    return list(dealt)


def _row_counts(
    reports: Sequence[QualityReport], split: Sequence[ClientTable]
) -> dict[str, dict[str, Any]]:
    """Per client: where its rows come from, and what became of them.

    Simulated clients are dealt what one report let through; what it did not belongs to none.
    """
    by_client = {report.client: report for report in reports}
    counts = {}
    for table in split:
        own = by_client.get(table.client)
        counts[table.client] = {
            "source": (own or reports[0]).source,
            "rows_in": own.rows_in if own else table.num_rows,
            "rows_used": own.rows_used if own else table.num_rows,
            "rows_quarantined": own.rows_quarantined if own else 0,
            "rows_dropped_duplicates": own.rows_dropped_duplicates if own else 0,
        }
    return counts


def part_facts(parts: Mapping[str, Part]) -> dict[str, dict[str, Any]]:
    """Size and digest of a client's rows by split, JSON-ready."""
    return {name: part.model_dump() for name, part in parts.items()}


def warnings_of(report: QualityReport) -> list[str]:
    """Failed checks of one client in words."""
    return [f"{f.column} {f.rule}: {f.detail}" for f in report.failures()]


def split_client(table: ClientTable, settings: Settings, contract: Contract) -> ClientTable:
    """One client's rows split by the settings; see ``fedchurn.data.split``."""
    return split_table(
        table,
        seed=settings.split.seed,
        validation_fraction=settings.split.validation_fraction,
        test_fraction=settings.split.test_fraction,
        min_rows=contract.dataset.min_rows,
        min_positives=contract.dataset.min_positives,
    )


def check_clients(tables: Sequence[ClientTable], settings: Settings) -> None:
    """No copy of a customer straddles a split; across clients too, where one table was dealt.

    Files of different owners may hold equal rows of different people, and nobody may look.

    Raises:
        LeakError: names clients, parts and rows.
    """
    if settings.data.clients:
        for table in tables:
            check_no_leak([table])
    else:
        check_no_leak(tables)


def _write_clients(folder: Path, tables: Sequence[ClientTable], *, bundled: bool) -> dict[str, str]:
    """File name per client; names are numbered, for client names may hold any character."""
    if bundled:
        bundle = save_client_bundle(tables, folder / f"clients{SUFFIX}")
        return {client: path.relative_to(folder).as_posix() for client, path in bundle.items()}
    files = {}
    for number, table in enumerate(tables):
        files[table.client] = f"client_{number:05d}.npz"
        save_client_table(table, folder / files[table.client])
    return files


def write_reports(folder: Path, contract: Contract, validated: Sequence[Validated]) -> None:
    """The quality page of clients, in a folder that is made when it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    page = quality_page([v.report for v in validated])
    (folder / f"quality-{contract.contract}.html").write_text(page, encoding="utf-8")


def _write_quarantine(folder: Path, validated: Sequence[Validated]) -> None:
    frames = [v.quarantined.assign(client=v.report.client) for v in validated if len(v.quarantined)]
    if frames:
        joined = pd.concat(frames, ignore_index=True)
        joined.to_csv(folder / "quarantine.csv", index=False, quoting=csv.QUOTE_MINIMAL)


def stage_tables(validated: dict[str, Any]) -> dict[str, ClientTable]:
    """The client tables of a finished validate stage."""
    return {name: load_client(path) for name, path in client_files(validated).items()}


def client_files(validated: dict[str, Any]) -> dict[str, Path]:
    """Path of each client's table in a finished validate stage."""
    folder = Path(validated["folder"])
    return {client: folder / name for client, name in validated["clients"].items()}
