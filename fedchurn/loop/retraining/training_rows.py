"""Base rows and rows that came back, put together so that a training can read them.

Every client keeps its own rows: one table stays one table (dealt by the silo column, as ever), and
with one file per client each file gets rows of its own customers only. Where a customer is in both,
the newest row wins.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedchurn.contract.schema import Contract
from fedchurn.data.frames import canonical_table
from fedchurn.data.sample_ids import are_sample_ids
from fedchurn.data.sources import RawTable, sidecar_path
from fedchurn.loop.retraining.base_rows import BaseRows, customer_ids, row_hashes
from fedchurn.loop.retraining.returned_rows import ReturnedRow, newest_per_customer
from fedchurn.quality.checks import NEED_COPIES, contract_checks
from fedchurn.quality.subject import Subject, failing_rows
from fedchurn.settings import Settings

Frame = pd.DataFrame


@dataclass(frozen=True)
class Joined:
    """What a training reads, in memory.

    Attributes:
        files: content by file name, for tables that got rows, and marks of samples.
        added_hashes: content and outcome of rows that came back and are trained on, uint64 (n,).
        added_positive: whether they churned, bool (n,).
        num_replaced: base rows that a newer row of the same customer took the place of.
        by_client: rows that came back by name of the client's file, or of the client.
        unusable: rows that came back and cannot be trained on, by reason.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    added_hashes: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    added_positive: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    num_replaced: int = 0
    by_client: Mapping[str, int] = field(default_factory=dict)
    unusable: Mapping[str, int] = field(default_factory=dict)

    def digest(self, base: BaseRows) -> str:
        """sha256 over everything that is trained on."""
        lines = [base.digest()]
        lines += [
            f"{name}\t{hashlib.sha256(content).hexdigest()}"
            for name, content in sorted(self.files.items())
        ]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def story(self) -> str:
        """What was put together, in a sentence."""
        if not self.files:
            return "No rows that came back are added."
        clients = ", ".join(f"{name} {num}" for name, num in sorted(self.by_client.items()))
        return (
            f"{len(self.added_hashes)} rows that came back are added ({clients}); "
            f"{self.num_replaced} of them replace older rows of the same customers."
        )


def join_rows(
    base: BaseRows, returned: Sequence[ReturnedRow], settings: Settings, contract: Contract
) -> Joined:
    """Put rows that came back to the base rows; nothing is written.

    Args:
        base: the source's rows.
        returned: oldest first.
        settings: say how rows become clients.
        contract: of the rows.
    """
    rows = newest_per_customer(returned)
    owners = _Owners(base, settings, contract)
    reasons = _objections(rows, base, owners, contract)
    unusable = Counter(reason for reason in reasons if reason)
    kept = [row for row, reason in zip(rows, reasons, strict=True) if not reason]
    joined = [_join(table, place, kept, owners, contract) for place, table in enumerate(base.raw)]
    files = {
        name: content
        for part, table in zip(joined, base.raw, strict=True)
        if part is not None
        for name, content in _files(part.frame, table, base, contract)
    }
    added = canonical_table(_raw(_source_frame(kept, contract)), contract)
    return Joined(
        files=files,
        added_hashes=row_hashes(added, contract),
        added_positive=np.array([row.label == 1 for row in kept], dtype=np.bool_),
        num_replaced=sum(part.num_replaced for part in joined if part is not None),
        by_client=dict(Counter(owners.name(row) for row in kept)),
        unusable=dict(unusable),
    )


@dataclass(frozen=True)
class _Part:
    frame: Frame
    num_replaced: int


class _Owners:
    """Which base table a row that came back belongs to, and where its customer stands there."""

    def __init__(self, base: BaseRows, settings: Settings, contract: Contract) -> None:
        self._clients = [table.client for table in base.raw] if settings.data.clients else []
        self._silo = (
            settings.data.silo_column or contract.silo_column
            if settings.data.scheme == "silo" and not self._clients
            else None
        )
        self.needs_base = self._silo is not None and self._silo not in contract.columns
        self.places: dict[str, tuple[int, int]] = {
            customer: (table, place)
            for table, canonical in enumerate(base.canonical)
            for place, customer in customer_ids(canonical, contract)
        }

    def place(self, row: ReturnedRow) -> int | None:
        """Position of the table; None when nobody knows whose customer it is."""
        known = self.places.get(row.customer_id or "")
        if known is not None:
            return known[0]
        if not self._clients:
            return None if self.needs_base else 0
        names = {row.client, (row.client or "").partition("=")[2]} - {None, ""}
        return next((i for i, client in enumerate(self._clients) if client in names), None)

    def name(self, row: ReturnedRow) -> str:
        """Whose row it is, for people."""
        place = self.place(row)
        return self._clients[place] if self._clients and place is not None else row.client or "all"


def _objections(
    rows: Sequence[ReturnedRow], base: BaseRows, owners: _Owners, contract: Contract
) -> list[str]:
    """Per row why it cannot be trained on, "" for no reason."""
    frame = _source_frame(rows, contract)
    broken = _broken_checks(frame, contract) if len(frame) else []
    return [
        _masked(row, contract)
        or _made_up(row, base)
        or ("belongs to no client's file" if owners.place(row) is None else "")
        or reason
        for row, reason in zip(rows, broken, strict=True)
    ]


def _masked(row: ReturnedRow, contract: Contract) -> str:
    absent = [name for name in contract.columns if name not in row.values]
    return f"logged without {', '.join(absent)}" if absent else ""


def _made_up(row: ReturnedRow, base: BaseRows) -> str:
    made_up = row.customer_id is not None and are_sample_ids([row.customer_id])
    return "a customer of the generated sample" if made_up and not base.is_sample else ""


def _broken_checks(frame: Frame, contract: Contract) -> list[str]:
    """Per row the first error-level check of the contract that it breaks, "" for none."""
    table = canonical_table(_raw(frame), contract)
    subject = Subject(table, contract, np.zeros(len(frame), dtype=bool))
    reasons = [""] * len(frame)
    for check in contract_checks(contract):
        if check.severity != "error" or not check.is_row_level or check.rule in NEED_COPIES:
            continue
        for row in np.flatnonzero(failing_rows(check, subject)).tolist():
            reasons[row] = reasons[row] or f"{check.column}: {check.name}"
    return reasons


def _source_frame(rows: Sequence[ReturnedRow], contract: Contract) -> Frame:
    """Rows under the source's column names, every cell a text; missing is the empty text."""
    target = contract.target
    cells: dict[str, list[str]] = {}
    if contract.id is not None:
        cells[contract.id.column] = [row.customer_id or "" for row in rows]
    for name in contract.columns:
        cells[name] = [_cell(row.values.get(name)) for row in rows]
    cells[target.column] = [target.positive if row.label == 1 else target.negative for row in rows]
    return pd.DataFrame(cells, dtype=object)


def _cell(value: Any) -> str:
    """As a person would write it; ``repr`` of a float reads back as the same float."""
    if value is None:
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(float(value))
    return str(value)


def _raw(frame: Frame) -> RawTable:
    numbers = np.arange(1, len(frame) + 1, dtype=np.int64)
    return RawTable("", frame, numbers, "rows that came back", "", False)


def _join(
    table: RawTable, place: int, kept: Sequence[ReturnedRow], owners: _Owners, contract: Contract
) -> _Part | None:
    """The table with its own rows; None when it gets none."""
    own = [row for row in kept if owners.place(row) == place]
    if not own:
        return None
    frame = table.frame.rename(columns=lambda name: str(name).strip())
    known = [owners.places.get(row.customer_id or "") for row in own]
    added = _source_frame(own, contract).reindex(columns=frame.columns)
    for name in frame.columns.difference(_source_columns(contract)):
        added[name] = [frame[name].iloc[at[1]] if at is not None else "" for at in known]
    replaced = sorted({at[1] for at in known if at is not None})
    rest = frame.drop(index=frame.index[replaced])
    return _Part(pd.concat([rest, added], ignore_index=True), len(replaced))


def _source_columns(contract: Contract) -> list[str]:
    key = [contract.id.column] if contract.id else []
    return [*key, contract.target.column, *contract.columns]


def _files(
    frame: Frame, table: RawTable, base: BaseRows, contract: Contract
) -> Iterator[tuple[str, bytes]]:
    """The table as csv, and its mark where the base was made up."""
    name = f"{table.client or contract.contract}.csv"
    content = frame.to_csv(index=False, sep=contract.source.delimiter, na_rep="").encode()
    yield name, content
    if base.is_sample:
        yield sidecar_path(Path(name)).name, _sample_mark(content, contract, len(frame))


def _sample_mark(content: bytes, contract: Contract, num_rows: int) -> bytes:
    mark = {
        "sample": True,
        "note": "generated by fedchurn, with rows that came back; not real customers",
        "contract": contract.contract,
        "rows": num_rows,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return (json.dumps(mark, indent=2) + "\n").encode()
