"""One table dealt to clients, or one file per client; a customer is never dealt to two clients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.schema import Contract
from fedchurn.data.customers import Customers, customers_of
from fedchurn.data.frames import CanonicalTable, cell_text
from fedchurn.data.sources import RawTable, read_table
from fedchurn.errors import SplitError, nearest

SCHEMES = ("silo", "iid", "dirichlet")
MAX_DRAWS = 200  # of Dirichlet shares, before giving up
_DEAL = 7  # purpose: an order independent of the splits made later with the same seed


@dataclass(frozen=True)
class Floor:
    """Least that a client needs: rows, then rows and customers of either class."""

    rows: int
    class_rows: int
    class_customers: int

    def __str__(self) -> str:
        return (
            f"{self.rows} rows, with {self.class_rows} rows and {self.class_customers} customers "
            "of either class"
        )


def deal_rows(
    scheme: str,
    *,
    num_clients: int,
    seed: int,
    labels: NDArray[np.int8],
    customer_groups: NDArray[np.int64],
    silo_values: NDArray[np.object_] | None = None,
    silo_column: str = "silo",
    alpha: float | None = None,
    group_keys: NDArray[np.uint64] | None = None,
    min_rows: int = 1,
    min_positives: int = 1,
    min_customers: int = 3,
) -> dict[str, NDArray[np.intp]]:
    """Row places per client, sorted; together they are all n rows, each once.

    Args:
        scheme: ``silo`` (one client per value of ``silo_values``, named ``column=value``), ``iid``
            (equal shares of either class) or ``dirichlet`` (shares per class drawn from
            Dirichlet(alpha): label skew, Hsu et al. 2019); the latter are ``client_1``, ...
        num_clients: ignored by ``silo``.
        labels: target 0 or 1; n rows.
        customer_groups: rows with equal numbers go to the same client; n rows.
        silo_values: text per row, None where missing. A customer whose rows disagree goes where
            most of them are.
        group_keys: content hash per row; with it, the deal does not depend on the row order.
        min_rows: fewest rows a client may get (contract.dataset.min_rows).
        min_positives: fewest rows of either class (contract.dataset.min_positives): a client with
            hardly any loyal customer is no better than one with hardly any churn.
        min_customers: fewest customers of either class: one each for train, validation and test.

    Raises:
        SplitError: unknown scheme, or some client would get too few rows.
    """
    if scheme not in SCHEMES:
        raise SplitError(
            f"unknown way to deal rows {scheme!r}",
            where="scheme",
            next_step=nearest(scheme, SCHEMES),
        )
    customers = customers_of(customer_groups, labels, group_keys)
    floor = Floor(max(min_rows, 1), min_positives, min_customers)
    if scheme == "silo":
        names, client_of = _silo(customers, silo_values, silo_column)
    else:
        _check_num_clients(num_clients, customers)
        names = [f"client_{i}" for i in range(1, num_clients + 1)]
        if scheme == "iid":
            client_of = shared_out(customers, seed, np.full((2, num_clients), 1 / num_clients))
        else:
            client_of = _dirichlet(customers, seed, num_clients, alpha, labels, floor)
    client_of_row = client_of[customers.of_row]
    _check_clients(names, _sizes(customers, client_of, labels, len(names)), floor, scheme)
    return {name: np.flatnonzero(client_of_row == i) for i, name in enumerate(names)}


def deal_table(raw: RawTable, places: dict[str, NDArray[np.intp]]) -> tuple[RawTable, ...]:
    """The table of each client, in the order of ``places``."""
    return tuple(raw.take(rows, client) for client, rows in places.items())


def silo_values(raw: RawTable, canonical: CanonicalTable, column: str) -> NDArray[np.object_]:
    """Text per row of the column that tells clients apart, None where missing.

    A column of the contract gives its labels (aliases applied), any other column of the source
    its text.

    Raises:
        SplitError: the source has no such column.
    """
    if column in canonical.frame.columns and column not in canonical.missing_columns:
        cells = canonical.frame[column].tolist()
        return np.asarray([_silo_text(value) for value in cells], dtype=object)
    if column not in raw.frame.columns:
        raise SplitError(
            f"unknown silo column {column!r}",
            where=raw.source,
            next_step=nearest(column, [str(c) for c in raw.frame.columns]),
        )
    return np.asarray([cell_text(v) for v in raw.frame[column]], dtype=object)


def _silo_text(value: str | float | None) -> str | None:
    if isinstance(value, float):
        return None if np.isnan(value) else f"{value:g}"
    return value


def read_clients(
    locations: Sequence[str | Path], contract: Contract, *, sheet: str | None = None
) -> tuple[RawTable, ...]:
    """One file per client; the client is named after its file.

    Raises:
        SplitError: two files have one name, or the same content.
        SourceError: a file cannot be read.
    """
    tables: list[RawTable] = []
    for location in locations:
        client = Path(location).stem
        twin = next((t for t in tables if t.client == client), None)
        if twin is not None:
            raise SplitError(
                f"two files would be client {client!r}",
                where=str(location),
                next_step="rename one of them: a client is named after its file",
            )
        table = read_table(location, contract, sheet=sheet)
        table = table.take(np.arange(table.num_rows), client)
        _refuse_twin(table, tables, str(location))
        tables.append(table)
    return tuple(tables)


def _refuse_twin(table: RawTable, others: Sequence[RawTable], location: str) -> None:
    for other in others:
        if other.sha256 == table.sha256:
            raise SplitError(
                f"clients {other.client!r} and {table.client!r} hold the same file, byte for byte",
                where=location,
                next_step="drop one of them: the same customers would count twice",
            )


def _silo(
    customers: Customers, values: NDArray[np.object_] | None, column: str
) -> tuple[list[str], NDArray[np.intp]]:
    if values is None:
        raise SplitError(
            "dealing by silo needs a silo column",
            where="scheme silo",
            next_step="name one (silo_column in the contract), or deal iid or dirichlet",
        )
    texts = np.asarray(["(missing)" if v is None else str(v) for v in values], dtype=object)
    names, codes = np.unique(texts, return_inverse=True)
    return [f"{column}={name}" for name in names], _commonest(customers, codes)


def _commonest(customers: Customers, codes: NDArray[np.intp]) -> NDArray[np.intp]:
    """Per customer the code that most of its rows have, the smallest of equally common ones."""
    num_codes = int(codes.max(initial=0)) + 1
    cells, counts = np.unique(customers.of_row * num_codes + codes, return_counts=True)
    owner, code = np.divmod(cells, num_codes)
    order = np.lexsort((code, -counts, owner))
    first = np.unique(owner[order], return_index=True)[1]
    return code[order][first].astype(np.intp)


def shared_out(customers: Customers, seed: int, shares: NDArray[np.float64]) -> NDArray[np.intp]:
    """Client per customer; ``shares`` (2 classes, clients) sum to 1 per class."""
    client_of = np.zeros(len(customers), dtype=np.intp)
    for positive in (False, True):
        places = customers.shuffled(customers.of_class(positive), seed, _DEAL)
        ends = np.cumsum(shares[int(positive)])[:-1]
        client_of[places] = np.searchsorted(ends, customers.middles(places), side="right")
    return client_of


def _dirichlet(
    customers: Customers,
    seed: int,
    num_clients: int,
    alpha: float | None,
    labels: NDArray[np.int8],
    floor: Floor,
) -> NDArray[np.intp]:
    if alpha is None or not alpha > 0:
        raise SplitError(
            f"alpha is {alpha}; Dirichlet needs a number above 0",
            where="scheme dirichlet",
            next_step="give alpha: 0.1 is a strong skew, 0.5 usual, 100 almost none",
        )
    rng = np.random.default_rng(seed)
    for _ in range(MAX_DRAWS):
        shares = rng.dirichlet(np.full(num_clients, alpha), size=2)
        if not np.isfinite(shares).all():
            continue  # all gamma draws underflow for a tiny alpha
        client_of = shared_out(customers, seed, shares)
        if not _too_small(_sizes(customers, client_of, labels, num_clients), floor):
            return client_of
    raise SplitError(
        f"no draw of Dirichlet({alpha:g}) in {MAX_DRAWS} gave each of {num_clients} clients "
        f"what it needs: {floor}",
        where="scheme dirichlet",
        next_step="use fewer clients or a larger alpha, or lower dataset.min_rows and "
        "dataset.min_positives in the contract",
    )


def _sizes(
    customers: Customers, client_of: NDArray[np.intp], labels: NDArray[np.int8], num_clients: int
) -> NDArray[np.int64]:
    """Per client: rows of no churn and of churn, then customers of either class."""
    sizes = np.zeros((num_clients, 4), dtype=np.int64)
    for label in (0, 1):
        rows = client_of[customers.of_row[labels == label]]
        sizes[:, label] = np.bincount(rows, minlength=num_clients)
        members = client_of[customers.of_class(bool(label))]
        sizes[:, 2 + label] = np.bincount(members, minlength=num_clients)
    return sizes


def _too_small(sizes: NDArray[np.int64], floor: Floor) -> list[int]:
    """Places of the clients below the floor."""
    small = sizes[:, :2].sum(axis=1) < floor.rows
    small |= sizes[:, :2].min(axis=1) < floor.class_rows
    small |= sizes[:, 2:].min(axis=1) < floor.class_customers
    return np.flatnonzero(small).tolist()


def _check_clients(names: list[str], sizes: NDArray[np.int64], floor: Floor, scheme: str) -> None:
    small = _too_small(sizes, floor)
    if small:
        others, churn, other_customers, churn_customers = sizes[small[0]].tolist()
        raise SplitError(
            f"the client would get {others + churn} rows: {churn} of churn from {churn_customers} "
            f"customers and {others} of no churn from {other_customers} customers; "
            f"needed: {floor} (clients too small: {len(small)})",
            where=f"client {names[small[0]]}",
            next_step="use fewer clients or another silo column, or lower dataset.min_rows and "
            f"dataset.min_positives in the contract (rows were dealt by {scheme})",
        )


def _check_num_clients(num_clients: int, customers: Customers) -> None:
    if num_clients < 1 or num_clients > len(customers):
        raise SplitError(
            f"{len(customers.of_row)} rows hold {len(customers)} different customers, which cannot "
            f"be dealt to {num_clients} clients",
            where="num_clients",
            next_step="look for duplicated rows in the source, or give a number from 1 to the "
            "number of customers",
        )
