"""One client's rows in canonical form, and their file on the client's own disk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import Columns

TRAIN, VALIDATION, TEST = 0, 1, 2


@dataclass(frozen=True)
class ClientTable:
    """Rows of one client.

    Attributes:
        client: the client's name.
        columns: canonical columns, derived features included; n rows each.
        target: int8, 1 = churn; n rows.
        customer_groups: int64; rows that are copies of one customer share a number.
        group_keys: uint64 content hash per row of its customer group: equal for the same customer
            in any row order and any run, so that splits stay put when rows are appended.
        row_numbers: int64, 1-based data row in the client's source (the header is not counted).
        split: int8, 0 train, 1 validation, 2 test; empty before ``split_table``.
    """

    client: str
    columns: Columns
    target: NDArray[np.int8]
    customer_groups: NDArray[np.int64]
    group_keys: NDArray[np.uint64]
    row_numbers: NDArray[np.int64]
    split: NDArray[np.int8]

    @property
    def num_rows(self) -> int:
        return len(self.target)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> ClientTable:
        """The given rows, in the given order."""
        return replace(
            self,
            columns={name: values[rows] for name, values in self.columns.items()},
            target=self.target[rows],
            customer_groups=self.customer_groups[rows],
            group_keys=self.group_keys[rows],
            row_numbers=self.row_numbers[rows],
            split=self.split[rows] if len(self.split) else self.split,
        )

    def part(self, split: int) -> ClientTable:
        """The rows of one split: ``TRAIN``, ``VALIDATION`` or ``TEST``."""
        return self.take(self.split == split)

    def digest(self) -> str:
        """sha256 of rows and labels; equal for equal content, however it is split."""
        digest = hashlib.sha256()
        for name in sorted(self.columns):
            digest.update(name.encode())
            digest.update(np.ascontiguousarray(self.columns[name]).tobytes())
        for array in (self.target, self.customer_groups, self.group_keys):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


def split_digest(table: ClientTable) -> str:
    """sha256 of rows, labels and split."""
    parts = np.ascontiguousarray(table.split).tobytes()
    return hashlib.sha256(table.digest().encode() + parts).hexdigest()


def save_client_table(table: ClientTable, path: Path) -> None:
    """Write ``table`` as an uncompressed npz (no pickles); the parent folder must exist."""
    arrays = {f"column:{name}": values for name, values in table.columns.items()}
    np.savez(
        path,
        allow_pickle=False,
        client=np.asarray(table.client),
        target=table.target,
        customer_groups=table.customer_groups,
        group_keys=table.group_keys,
        row_numbers=table.row_numbers,
        split=table.split,
        **arrays,
    )


def load_client_table(path: Path) -> ClientTable:
    """Read what ``save_client_table`` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        columns: Columns = {
            key.removeprefix("column:"): stored[key]
            for key in stored.files
            if key.startswith("column:")
        }
        return ClientTable(
            client=str(stored["client"]),
            columns=columns,
            target=stored["target"],
            customer_groups=stored["customer_groups"],
            group_keys=stored["group_keys"],
            row_numbers=stored["row_numbers"],
            split=stored["split"],
        )
