"""Runs the driver of a federation on the engine that the settings name."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import load_client_table
from fedchurn.errors import SettingsError, nearest
from fedchurn.federation.client_session import ClientSession
from fedchurn.federation.exchange import Exchange

if TYPE_CHECKING:
    from flwr.app import Context

T = TypeVar("T")

ENGINES = ("inprocess", "ray")


def run_on_engine(
    engine: str,
    client_files: dict[str, Path],
    contract: Contract,
    home: Path,
    drive: Callable[[Exchange], T],
) -> T:
    """What ``drive`` returns, given an exchange that reaches all clients.

    The same Flower apps run on every engine, so equal seeds give equal weights.

    Args:
        engine: ``inprocess`` or ``ray``.
        client_files: per client the file of its rows.
        contract: the contract that the rows obey.
        home: folder for what Flower writes.
        drive: asks the clients.

    Raises:
        SettingsError: the engine is unknown, or its package is not installed.
    """
    from fedchurn.federation.flower_settings import apply_flower_settings

    apply_flower_settings(os.environ, home / "flower")
    results: list[T] = []

    def keep(exchange: Exchange, _context: Context) -> None:
        results.append(drive(exchange))

    if engine == "inprocess":
        from fedchurn.federation.flower_grid import run_in_process

        _quiet_flower()
        tables = {client: load_client_table(path) for client, path in client_files.items()}
        run_in_process(keep, {c: ClientSession(table, contract) for c, table in tables.items()})
    elif engine == "ray":
        from fedchurn.federation.flower_ray import run_in_ray

        _quiet_flower()
        run_in_ray(keep, client_files, partial(ClientSession, contract=contract))
    else:
        raise SettingsError(
            f"unknown engine {engine!r}",
            where="federation.engine",
            next_step=nearest(engine, ENGINES),
        )
    return results[0]


def _quiet_flower() -> None:
    """Flower tells every aggregation at INFO; its own level setting is read before ours is made."""
    logging.getLogger("flwr").setLevel(logging.WARNING)
