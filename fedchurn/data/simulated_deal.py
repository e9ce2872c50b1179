"""One split table dealt to many simulated clients, most of which hold a handful of rows.

``deal.py`` gives every client enough rows to be split by itself. That cannot be asked of a thousand
clients, so here the table is split first, by one rule for all rows, and customers are dealt with
the part that they are in: the parts are right in sum, and a client may have no row in some of them.
Every client has at least one customer to train on.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fedchurn.data.client_table import TRAIN, ClientTable
from fedchurn.data.customers import customers_of
from fedchurn.data.deal import MAX_DRAWS, shared_out
from fedchurn.errors import SplitError


def deal_split_table(
    table: ClientTable, scheme: str, *, num_clients: int, seed: int, alpha: float = 0.5
) -> tuple[ClientTable, ...]:
    """Tables of ``client_1`` and so on; together they hold all rows, each once.

    Args:
        table: split rows.
        scheme: ``iid`` or ``dirichlet``; see ``deal.deal_rows``.
        num_clients: how many clients.
        seed: of the Dirichlet draw and of the order in which customers are dealt.
        alpha: Dirichlet concentration.

    Raises:
        SplitError: fewer customers to train on than clients.
    """
    customers = customers_of(table.customer_groups, table.target, table.group_keys)
    part = np.empty(len(customers), dtype=np.int8)
    part[customers.of_row] = table.split
    _check_enough(int((part == TRAIN).sum()), num_clients)
    shares = _shares(scheme, num_clients, seed, alpha)
    client_of = shared_out(customers, seed, shares)
    _fill_up(client_of, part == TRAIN, num_clients)
    return _tables(table, client_of[customers.of_row], num_clients)


def _check_enough(num_customers: int, num_clients: int) -> None:
    if num_clients > num_customers:
        raise SplitError(
            f"{num_customers} customers to train on cannot be dealt to {num_clients} clients",
            where="data.num_clients",
            next_step="give fewer clients, or more customers; copies of one customer count once",
        )


def _shares(scheme: str, num_clients: int, seed: int, alpha: float) -> NDArray[np.float64]:
    if scheme == "iid":
        return np.full((2, num_clients), 1 / num_clients)
    generator = np.random.default_rng(seed)
    for _ in range(MAX_DRAWS):
        shares = generator.dirichlet(np.full(num_clients, alpha), size=2)
        if np.isfinite(shares).all():
            return shares
    raise SplitError(
        f"Dirichlet({alpha:g}) gives no finite shares in {MAX_DRAWS} draws",
        where="data.alpha",
        next_step="give a larger alpha: 0.1 is a strong skew, 0.5 usual",
    )


def _fill_up(client_of: NDArray[np.intp], trains: NDArray[np.bool_], num_clients: int) -> None:
    """Move one training customer from the largest client to each that has none."""
    counts = np.bincount(client_of[trains], minlength=num_clients)
    for client in np.flatnonzero(counts == 0):
        richest = int(counts.argmax())
        moved = np.flatnonzero(trains & (client_of == richest))[-1]
        client_of[moved] = client
        counts[richest] -= 1
        counts[client] += 1


def _tables(
    table: ClientTable, client_of_row: NDArray[np.intp], num_clients: int
) -> tuple[ClientTable, ...]:
    order = np.argsort(client_of_row, kind="stable")
    ends = np.cumsum(np.bincount(client_of_row, minlength=num_clients))[:-1]
    return tuple(
        replace(table.take(rows), client=f"client_{number}")
        for number, rows in enumerate(np.split(order, ends), start=1)
    )
