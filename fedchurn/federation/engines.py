"""Runs the driver of a federation on the engine that the settings name."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fedchurn.contract.schema import Contract
from fedchurn.data.client_bundle import load_client
from fedchurn.data.client_table import ClientTable
from fedchurn.errors import SettingsError, nearest
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.exchange import ClientHandler, Exchange
from fedchurn.federation.privacy.noise_floor import with_noise_floor
from fedchurn.federation.secure.switch import secured_handler
from fedchurn.release.personal import own_folder
from fedchurn.settings import Settings

if TYPE_CHECKING:
    from flwr.app import Context

T = TypeVar("T")
Drive = Callable[[Exchange, "Context | None"], None]
MakeHandler = Callable[[ClientTable], ClientHandler]


def run_on_engine(
    settings: Settings,
    client_files: Mapping[str, Path],
    contract: Contract,
    drive: Callable[[Exchange], T],
) -> T:
    """What ``drive`` returns, given an exchange that reaches all clients.

    The same Flower apps run on ``inprocess``, ``ray`` and ``superlink``, so equal seeds give equal
    weights; ``simulation`` differs from them by rounding (float32).

    Args:
        settings: engine, and where clients are; Flower writes under home.
        client_files: per client the file of its rows; not used by ``superlink``, whose clients have
            their own.
        contract: the contract that the rows obey.
        drive: asks the clients.

    Raises:
        SettingsError: the engine is unknown, or its package is not installed.
    """
    from fedchurn.federation.flower.environment import apply_flower_settings

    run = ENGINES.get(settings.engine)
    if run is None:
        raise SettingsError(
            f"unknown engine {settings.engine!r}",
            where="federation.engine",
            next_step=nearest(settings.engine, ENGINES),
        )
    apply_flower_settings(os.environ, settings.home / "flower")
    _quiet_flower()
    results: list[T] = []

    def keep(exchange: Exchange, _context: Context | None) -> None:
        results.append(drive(exchange))

    run(settings, client_files, partial(client_handler, settings=settings, contract=contract), keep)
    return results[0]


def client_handler(table: ClientTable, settings: Settings, contract: Contract) -> ClientHandler:
    """What answers for a client in engines that have its rows here."""
    personal = own_folder(settings.home, contract.contract, table.client)
    session = ClientSession(table, contract, personal=personal)
    guarded = with_noise_floor(table.client, session, settings.privacy)
    return secured_handler(table.client, guarded, settings.federation.secure)


def _inprocess(
    settings: Settings,  # noqa: ARG001
    client_files: Mapping[str, Path],
    make_handler: MakeHandler,
    drive: Drive,
) -> None:
    from fedchurn.federation.flower.grid import run_in_process

    tables = {client: load_client(path) for client, path in client_files.items()}
    run_in_process(drive, {client: make_handler(table) for client, table in tables.items()})


def _simulation(
    settings: Settings,  # noqa: ARG001
    client_files: Mapping[str, Path],
    make_handler: MakeHandler,
    drive: Drive,
) -> None:
    from fedchurn.federation.simulation.exchange import SimulationExchange
    from fedchurn.federation.simulation.rows import SimulatedRows
    from fedchurn.federation.simulation.tasks import bulk_tasks

    def load(client: str) -> ClientTable:
        return load_client(client_files[client])

    plain = type(make_handler(load(min(client_files)))) is ClientSession
    bulk = bulk_tasks(SimulatedRows(load)) if plain else None  # else clients do more than we know
    drive(SimulationExchange(tuple(client_files), lambda c: make_handler(load(c)), bulk=bulk), None)


def _ray(
    settings: Settings,  # noqa: ARG001
    client_files: Mapping[str, Path],
    make_handler: MakeHandler,
    drive: Drive,
) -> None:
    from fedchurn.federation.flower.ray_simulation import run_in_ray

    run_in_ray(drive, client_files, make_handler)


def _superlink(
    settings: Settings,
    client_files: Mapping[str, Path],  # noqa: ARG001
    make_handler: MakeHandler,  # noqa: ARG001
    drive: Drive,
) -> None:
    from fedchurn.federation.superlink.driver import run_on_superlink

    federation = settings.federation
    run_on_superlink(
        federation.superlink,
        lambda exchange: drive(exchange, None),
        quorum_fraction=federation.quorum_fraction,
    )


ENGINES: Mapping[str, Callable[[Settings, Mapping[str, Path], MakeHandler, Drive], None]] = {
    "inprocess": _inprocess,
    "simulation": _simulation,
    "ray": _ray,
    "superlink": _superlink,
}


def _quiet_flower() -> None:
    """Flower tells every aggregation at INFO; its own level setting is read before ours is made."""
    logging.getLogger("flwr").setLevel(logging.WARNING)
