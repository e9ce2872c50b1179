"""Honest splits: copies of one customer never stand on both sides.

Customers are ordered inside their class by a seeded hash of their content and cut by cumulative
share of rows. So a split does not depend on the order of rows, and appended rows move only the few
customers next to a cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedchurn.data.client_table import TEST, TRAIN, VALIDATION, ClientTable
from fedchurn.data.customers import Customers, customers_of
from fedchurn.errors import LeakError, SplitError

_PARTS = {TRAIN: "train", VALIDATION: "validation", TEST: "test"}
_HOLD_OUT, _FOLDS, _FOLD_VALIDATION = 0, 1, 2  # purposes: independent orders of the same customers


def split_table(
    table: ClientTable,
    *,
    seed: int,
    validation_fraction: float = 0.15,
    test_fraction: float = 0.2,
    min_rows: int = 1,
    min_positives: int = 1,
) -> ClientTable:
    """Split one client's rows into train, validation and test.

    Both fractions are shares of all rows of the client and hold per class within the size of one
    customer; every part gets at least one customer of either class. ``min_rows`` and
    ``min_positives`` come from ``contract.dataset``.

    Raises:
        SplitError: the client is empty, has one class only, or too few rows or customers.
    """
    fractions = {TEST: test_fraction, VALIDATION: validation_fraction}
    _check_fractions(fractions)
    _check_rows(table, min_rows, min_positives)
    customers = customers_of(table.customer_groups, table.target, table.group_keys)
    part = np.zeros(len(customers), dtype=np.int8)
    for positive in (False, True):
        places = customers.shuffled(customers.of_class(positive), seed, _HOLD_OUT)
        _check_customers(table, len(places), positive, fractions)
        part[places] = _cut(customers.middles(places), fractions)
    return replace(table, split=part[customers.of_row])


def fold_tables(
    table: ClientTable,
    *,
    num_folds: int,
    fold: int,
    seed: int,
    validation_fraction: float = 0.15,
    min_rows: int = 1,
    min_positives: int = 1,
) -> ClientTable:
    """Split for cross-validation: test is fold ``fold`` (0-based) of ``num_folds``.

    Over all folds every row is tested exactly once. ``validation_fraction`` is a share of the
    rows outside the fold. A client with few customers of a class may lack it in test or validation,
    which other clients then cover; it never lacks it in train.

    Raises:
        SplitError: as ``split_table``, or the fold does not exist.
    """
    if num_folds < 2 or not 0 <= fold < num_folds:
        raise SplitError(
            f"fold {fold} of {num_folds} does not exist",
            where=f"client {table.client}",
            next_step="take at least 2 folds and a fold from 0 to their number less one",
        )
    fractions = {VALIDATION: validation_fraction}
    _check_fractions(fractions)
    _check_rows(table, min_rows, min_positives)
    customers = customers_of(table.customer_groups, table.target, table.group_keys)
    part = np.full(len(customers), TEST, dtype=np.int8)
    for positive in (False, True):
        rest = _outside_fold(customers, positive, seed, num_folds, fold)
        _check_customers(table, len(rest), positive, {})  # validation may be left to other clients
        part[rest] = _cut(customers.middles(rest), fractions)
    return replace(table, split=part[customers.of_row])


def check_no_leak(tables: Sequence[ClientTable]) -> None:
    """Fail if copies of one customer stand in two parts, inside a client or across clients.

    Raises:
        LeakError: names the clients, the customer group, the parts and row numbers of both.
        SplitError: a table was not split yet.
    """
    for table in tables:
        if len(table.split) != table.num_rows:
            raise SplitError(
                "the rows were not split",
                where=f"client {table.client}",
                next_step="call split_table before the leak check",
            )
        _check_straddling(table.customer_groups.astype(np.uint64), [table])
    if tables:
        _check_straddling(np.concatenate([t.group_keys for t in tables]), tables)


def _outside_fold(
    customers: Customers, positive: bool, seed: int, num_folds: int, fold: int
) -> NDArray[np.intp]:
    places = customers.shuffled(customers.of_class(positive), seed, _FOLDS)
    fold_of = np.minimum(np.floor(customers.middles(places) * num_folds), num_folds - 1)
    return customers.shuffled(places[fold_of != fold], seed, _FOLD_VALIDATION)


def _cut(middles: NDArray[np.float64], fractions: dict[int, float]) -> NDArray[np.int8]:
    """Parts of customers in order: each fraction from the front, what is left is train."""
    part = np.full(len(middles), TRAIN, dtype=np.int8)
    wanted = [(p, f) for p, f in fractions.items() if f > 0]
    start, share = 0, 0.0
    for place, (name, fraction) in enumerate(wanted):
        share += fraction
        num_parts_after = len(wanted) - place  # the later ones and train need a customer each
        end = int(np.searchsorted(middles, share))
        end = min(max(end, start + 1), len(middles) - num_parts_after)
        part[start:end] = name
        start = end
    return part


def _check_fractions(fractions: dict[int, float]) -> None:
    if any(f < 0 for f in fractions.values()) or sum(fractions.values()) >= 1:
        shown = ", ".join(f"{_PARTS[p]} {f:g}" for p, f in fractions.items())
        raise SplitError(
            f"the fractions leave no rows to train on: {shown}",
            where="split fractions",
            next_step="give fractions of at least 0 that add up to less than 1",
        )


def _check_rows(table: ClientTable, min_rows: int, min_positives: int) -> None:
    where = f"client {table.client}"
    if not table.num_rows:
        raise SplitError(
            "the client has no rows", where=where, next_step="leave it out, or check its source"
        )
    num_positives = int((table.target == 1).sum())
    if num_positives in (0, table.num_rows):
        name = "churn (1)" if num_positives else "no churn (0)"
        raise SplitError(
            f"all {table.num_rows} rows are of one class: {name}",
            where=where,
            next_step="check the target column, leave the client out, or deal rows another way",
        )
    for count, least, what in (
        (table.num_rows, min_rows, "rows"),
        (num_positives, min_positives, "churn rows"),
    ):
        if count < least:
            key = "min_rows" if what == "rows" else "min_positives"
            raise SplitError(
                f"{count} {what} are too few; {least} are needed",
                where=where,
                next_step=f"use fewer clients, add rows, or lower dataset.{key} in the contract",
            )


def _check_customers(
    table: ClientTable, count: int, positive: bool, fractions: dict[int, float]
) -> None:
    """Rows may suffice where customers do not: eight copies of one are one."""
    needed = 1 + sum(f > 0 for f in fractions.values())
    if count < needed:
        name = "churn (1)" if positive else "no churn (0)"
        raise SplitError(
            f"customers of class {name}: {count}, too few for a split that needs {needed}",
            where=f"client {table.client}",
            next_step="use fewer clients or folds, or add customers; copies count as one",
        )


def _check_straddling(keys: NDArray[np.uint64], tables: Sequence[ClientTable]) -> None:
    """Fail if one key meets two parts; ``keys`` has one entry per row of all tables in turn."""
    split = np.concatenate([t.split for t in tables])
    order = np.argsort(keys, kind="stable")
    same_key = keys[order][1:] == keys[order][:-1]
    leaks = np.flatnonzero(same_key & (split[order][1:] != split[order][:-1]))
    if len(leaks):
        one, other = order[leaks[0]], order[leaks[0] + 1]
        raise _leak(tables, int(one), int(other), len(np.unique(keys[order[leaks]])))


def _leak(tables: Sequence[ClientTable], one: int, other: int, num_leaks: int) -> LeakError:
    starts = np.cumsum([0] + [t.num_rows for t in tables])
    sides, names = [], []
    for row in (one, other):
        place = int(np.searchsorted(starts, row, side="right")) - 1
        table, at = tables[place], row - int(starts[place])
        names.append(table.client)
        part = _PARTS.get(int(table.split[at]), "?")
        same = (table.group_keys == table.group_keys[at]) & (table.split == table.split[at])
        same |= (table.customer_groups == table.customer_groups[at]) & (
            table.split == table.split[at]
        )
        rows = ", ".join(str(n) for n in table.row_numbers[same][:5])
        group = int(table.customer_groups[at])
        sides.append(f"{part} of client {table.client} (group {group}, rows {rows})")
    return LeakError(
        f"copies of one customer stand in {sides[0]} and in {sides[1]}; "
        f"customers that leak: {num_leaks}",
        where="client " + " and client ".join(dict.fromkeys(names)),
        next_step="split by customer groups with split_table, all clients with one seed; "
        "a customer of two clients belongs to one of them",
    )
