"""Do the clients' rows of today look like those of training, and if not, at which client?

Every client counts its own rows and sends counts (``fedchurn.federation.drift.counts``); nothing
is trained, and no check of quality stands in the way: broken data should be seen here, too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import Columns
from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import ClientTable, save_client_table
from fedchurn.data.deal import deal_rows, silo_values
from fedchurn.data.frames import CanonicalTable, canonical_table, frame_columns
from fedchurn.data.sources import RawTable
from fedchurn.drift.clients.client_verdicts import MIN_CELL_ROWS, FederatedDrift
from fedchurn.errors import IntegrityError
from fedchurn.federation.drift.question import DriftQuestion, ask_about_drift
from fedchurn.federation.engines import run_on_engine
from fedchurn.federation.exchange import Exchange
from fedchurn.federation.joining.join import Joined, RestrictedExchange
from fedchurn.loop.federate import round_policy
from fedchurn.loop.join import ask_to_join
from fedchurn.loop.reach import rows_are_remote
from fedchurn.loop.validate import read_rows
from fedchurn.quality.copies import copy_groups, group_keys
from fedchurn.release.load import Release
from fedchurn.serving.time_text import time_text
from fedchurn.settings import Settings


def check_clients(settings: Settings, release: Release) -> dict[str, Any]:
    """Ask every client about the rows that it has now, and compare with the release's reference.

    Args:
        settings: where the rows are (``data``), engine, quorum, k and noise.
        release: its contract says what rows mean, its model scores them.

    Returns:
        JSON-ready: ``FederatedDrift`` and ``contract``, ``release``, ``timestamp``,
        ``min_cell_rows``, ``epsilon``, ``lacking`` (columns that a client's file lacks), and with
        clients on hosts of their own ``refused`` (why some were not asked).

    Raises:
        SourceError: a file cannot be read.
        SplitError: the rows of one table cannot be dealt to clients.
        QuorumError: too few clients answered.
        IntegrityError: the release has no reference by client.
    """
    if not release.reference.get("clients"):
        raise IntegrityError(
            "no reference by client in it",
            where=f"release {release.release_id}",
            next_step="train again with this version of Fedchurn",
        )
    question = question_of(settings, release)
    settings.home.mkdir(parents=True, exist_ok=True)
    ask = _ask_hosts if rows_are_remote(settings) else _ask_here
    found, facts = ask(settings, release, question)
    return {
        **found.to_dict(),
        "contract": release.contract.contract,
        "release": release.release_id,
        "timestamp": time_text(time()),
        "min_cell_rows": question.min_cell_rows,
        "epsilon": question.epsilon,
        **facts,
    }


def _ask_here(
    settings: Settings, release: Release, question: DriftQuestion
) -> tuple[FederatedDrift, dict[str, Any]]:
    """Of rows on this machine, and which columns they lack."""
    current = current_rows(read_rows(settings, release.contract), settings, release.contract)
    policy = round_policy(settings.federation)
    home = settings.home.resolve()
    with tempfile.TemporaryDirectory(dir=home, prefix="client-rows-") as folder:
        found = run_on_engine(
            settings,
            _saved([one.table for one in current], Path(folder)),
            release.contract,
            lambda exchange: ask_about_drift(exchange, policy, question),
        )
    lacking = {one.table.client: list(one.lacking) for one in current if one.lacking}
    return found, {"lacking": lacking}


def _ask_hosts(
    settings: Settings, release: Release, question: DriftQuestion
) -> tuple[FederatedDrift, dict[str, Any]]:
    """Of rows that clients on hosts of their own read when they started, and who was refused.

    Such a client answers only when its rows have passed its checks, so no column is lacking.
    """
    policy = round_policy(settings.federation)

    def drive(exchange: Exchange) -> tuple[FederatedDrift, Joined]:
        joined = ask_to_join(exchange, settings, release.contract)
        members = RestrictedExchange(exchange, joined.stamps)
        return ask_about_drift(members, policy, question), joined

    found, joined = run_on_engine(settings, {}, release.contract, drive)
    return found, {"lacking": {}, "refused": dict(joined.refused)}


def question_of(settings: Settings, release: Release) -> DriftQuestion:
    """What clients are asked about a release."""
    trained = release.card.settings.get("federation", {})
    return DriftQuestion(
        contract=release.contract,
        stored=release.reference,
        encoder=release.model.encoder,
        spec=release.model.spec,
        weights=release.model.weights,
        min_cell_rows=settings.federation.min_cell_rows,
        epsilon=settings.drift.client_epsilon,
        reference_min_cell_rows=int(trained.get("min_cell_rows", MIN_CELL_ROWS)),
    )


@dataclass(frozen=True)
class CurrentRows:
    """A client's rows of today, and the columns of the contract that its file lacks."""

    table: ClientTable
    lacking: tuple[str, ...]


def current_rows(
    tables: Sequence[RawTable], settings: Settings, contract: Contract
) -> list[CurrentRows]:
    """Every client's rows in canonical form, one table dealt as in training; labels may lack."""
    if settings.data.clients:
        return [_Rows.of(table, contract).as_client(table.client) for table in tables]
    raw = tables[0]
    rows = _Rows.of(raw, contract)
    column = settings.data.silo_column or contract.silo_column
    by_silo = settings.data.scheme == "silo" and column is not None
    places = deal_rows(
        settings.data.scheme,
        num_clients=settings.data.num_clients,
        seed=settings.split.seed,
        labels=np.maximum(rows.target, 0).astype(np.int8),
        customer_groups=rows.groups,
        silo_values=silo_values(raw, rows.canonical, str(column)) if by_silo else None,
        silo_column=column or "silo",
        alpha=settings.data.alpha,
        group_keys=group_keys(rows.columns, rows.groups),
        min_positives=0,
        min_customers=0,
    )
    return [rows.as_client(client, at) for client, at in places.items()]


@dataclass(frozen=True)
class _Rows:
    """A table on its way to clients."""

    canonical: CanonicalTable
    contract: Contract
    columns: Columns
    target: NDArray[np.int8]  # 1 churn, 0 none, -1 not known yet
    groups: NDArray[np.int64]

    @classmethod
    def of(cls, raw: RawTable, contract: Contract) -> _Rows:
        canonical = canonical_table(raw, contract)
        columns = frame_columns(canonical.frame, contract)
        labels = canonical.frame[contract.target.column].to_numpy(dtype=np.float64)
        target = np.where(np.isnan(labels), -1, labels).astype(np.int8)
        own = {name: columns[name] for name in contract.columns}
        groups = copy_groups(own, target, contract).groups
        return cls(canonical, contract, columns, target, groups)

    def as_client(self, client: str, places: NDArray[np.intp] | None = None) -> CurrentRows:
        at = np.arange(len(self.target)) if places is None else places
        columns = {name: values[at] for name, values in self.columns.items()}
        own = {name: columns[name] for name in self.contract.columns}
        groups = self.groups[at]
        table = ClientTable(
            client=client,
            columns=columns,
            target=self.target[at],
            customer_groups=groups,
            group_keys=group_keys(own, groups),
            row_numbers=self.canonical.row_numbers[at],
            split=np.empty(0, dtype=np.int8),
        )
        lacking = [n for n in self.canonical.missing_columns if n in self.contract.columns]
        return CurrentRows(table, tuple(lacking))


def _saved(tables: Sequence[ClientTable], folder: Path) -> dict[str, Path]:
    files = {}
    for number, table in enumerate(tables):
        files[table.client] = folder / f"client_{number:05d}.npz"
        save_client_table(table, files[table.client])
    return files
