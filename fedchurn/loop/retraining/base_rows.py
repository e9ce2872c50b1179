"""The rows that trainings start from: the source that the settings name, nothing added."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import Columns
from fedchurn.contract.schema import Contract
from fedchurn.data.client_bundle import load_client
from fedchurn.data.frames import CanonicalTable, canonical_table, frame_columns
from fedchurn.data.sources import RawTable
from fedchurn.loop.reach import check_rows_here
from fedchurn.loop.validate import read_rows
from fedchurn.quality.content import hash_columns
from fedchurn.settings import Settings

TARGET = "target"


@dataclass(frozen=True)
class BaseRows:
    """The source's tables: one, or one per client.

    Attributes:
        raw: as read.
        canonical: the same rows under the contract, in the same order.
    """

    raw: tuple[RawTable, ...]
    canonical: tuple[CanonicalTable, ...]

    @property
    def is_sample(self) -> bool:
        """Whether any of them was made by ``fedchurn sample``."""
        return any(table.is_sample for table in self.raw)

    @property
    def num_rows(self) -> int:
        return sum(table.num_rows for table in self.raw)

    def digest(self) -> str:
        """sha256 over the files, or what queries returned."""
        lines = (f"{table.client}\t{table.sha256}\n" for table in self.raw)
        return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def base_rows(settings: Settings, contract: Contract) -> BaseRows:
    """The rows that ``settings.data`` names, the shipped sample when it names none.

    Raises:
        SourceError: a table cannot be found or read.
        SettingsError: rows lie beside the clients; what works then is in docs/retraining.md.
    """
    check_rows_here(settings, "retraining")
    raw = tuple(read_rows(settings, contract))
    return BaseRows(raw, tuple(canonical_table(table, contract) for table in raw))


def row_hashes(table: CanonicalTable, contract: Contract) -> NDArray[np.uint64]:
    """Content of each row with its outcome, id aside; uint64 (n,). Unknown outcomes count as 0."""
    target = table.frame[contract.target.column].to_numpy(np.float64)
    columns = frame_columns(table.frame, contract)
    return _hashes(columns, np.nan_to_num(target).astype(np.int8), contract)


def _hashes(columns: Columns, target: NDArray[np.int8], contract: Contract) -> NDArray[np.uint64]:
    plain: dict[str, NDArray[Any]] = {name: columns[name] for name in contract.columns}
    return hash_columns({**plain, f"{TARGET} {contract.target.column}": target})


def known_hashes(
    stage: Mapping[str, Any], data_digests: Mapping[str, str], contract: Contract
) -> NDArray[np.uint64] | None:
    """Hashes of the rows that a release was made of; None when this stage did not make them.

    Args:
        stage: result of a validate stage.
        data_digests: of the release's card.
        contract: of the rows.
    """
    files = [Path(stage["folder"]) / name for name in stage.get("clients", {}).values()]
    is_same = dict(stage.get("data_digests", {})) == dict(data_digests)
    if not is_same or not files or not all(path.is_file() for path in files):
        return None
    tables = [load_client(path) for path in files]
    return np.concatenate([_hashes(t.columns, t.target, contract) for t in tables])


def customer_ids(table: CanonicalTable, contract: Contract) -> Iterator[tuple[int, str]]:
    """Position and id of the rows that have one."""
    if contract.id is None or contract.id.column in table.missing_columns:
        return
    for place, value in enumerate(table.frame[contract.id.column].tolist()):
        if value is not None and value == value:
            yield place, str(value)
