"""Rows gathered into customers: what splits and deals move is a customer, never a row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Customers:
    """The customers behind n rows.

    Attributes:
        of_row: intp, place of each row's customer in the arrays below; n rows.
        num_rows: int64, rows per customer.
        is_positive: bool, whether at least half of the customer's rows are churn.
        keys: uint64, a number per customer that does not depend on the order of the rows.
    """

    of_row: NDArray[np.intp]
    num_rows: NDArray[np.int64]
    is_positive: NDArray[np.bool_]
    keys: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.num_rows)

    def of_class(self, positive: bool) -> NDArray[np.intp]:
        """Places of the customers of one class."""
        return np.flatnonzero(self.is_positive == positive)

    def shuffled(self, places: NDArray[np.intp], seed: int, purpose: int = 0) -> NDArray[np.intp]:
        """``places`` in an order that depends on keys, seed and purpose alone.

        A customer keeps its place between its neighbours when others join, so that cuts by
        cumulative share hardly move when rows are appended.
        """
        salt = _mixed(np.asarray([seed, purpose], dtype=np.int64).view(np.uint64))
        hashed = _mixed(_mixed(self.keys[places] ^ salt[0]) ^ salt[1])
        return places[np.lexsort((self.keys[places], hashed))]

    def middles(self, places: NDArray[np.intp]) -> NDArray[np.float64]:
        """Share of the rows (0-1) that lie before the middle of each customer, in this order."""
        sizes = self.num_rows[places]
        return (np.cumsum(sizes) - sizes / 2) / max(int(sizes.sum()), 1)


def customers_of(
    customer_groups: NDArray[np.int64],
    target: NDArray[np.int8],
    group_keys: NDArray[np.uint64] | None = None,
) -> Customers:
    """Gather rows by customer group.

    Without ``group_keys`` customers are told apart by the order of their group numbers, and
    shuffles depend on it.
    """
    _, first, of_row = np.unique(customer_groups, return_index=True, return_inverse=True)
    num_rows = np.bincount(of_row, minlength=len(first)).astype(np.int64)
    num_positive = np.bincount(of_row, weights=target == 1, minlength=len(first))
    keys = np.arange(len(first), dtype=np.uint64) if group_keys is None else group_keys[first]
    return Customers(of_row.astype(np.intp), num_rows, 2 * num_positive >= num_rows, keys)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of splitmix64 (Steele, Lea and Flood, 2014): every bit depends on every bit."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
