"""The same apps in Flower's Ray simulation: clients in processes of their own.

Every process reads the files of the clients it is given and keeps their handlers, so that no rows
pass through the driver.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flwr.app import Context

from fedchurn.data.client_bundle import load_client
from fedchurn.data.client_table import ClientTable
from fedchurn.errors import SettingsError
from fedchurn.federation.exchange import ClientHandler, Exchange
from fedchurn.federation.flower.app import make_client_app, make_server_app
from fedchurn.federation.secure.store_flower import with_context

MakeHandler = Callable[[ClientTable], ClientHandler]
OBJECT_STORE_BYTES = 256 * 2**20  # models are small; Ray would take a third of the memory

# One per process of the simulation. The run id keeps two runs apart; make_handler cannot be part of
# the key, as Ray hands over a new copy of it with every message.
_kept_handlers: dict[tuple[int, Path], ClientHandler] = {}


@dataclass(frozen=True)
class _ClientFiles:
    """What travels to Ray's processes: where the clients' rows are, never the rows."""

    files: tuple[tuple[str, Path], ...]
    make_handler: MakeHandler

    def name_of(self, context: Context) -> str:
        return self._of(context)[0]

    def handler_of(self, context: Context) -> ClientHandler:
        path = self._of(context)[1]
        key = (context.run_id, path)
        if key not in _kept_handlers:
            _kept_handlers[key] = self.make_handler(load_client(path))
        return with_context(_kept_handlers[key], context)

    def _of(self, context: Context) -> tuple[str, Path]:
        return self.files[int(context.node_config["partition-id"])]


def run_in_ray(
    drive: Callable[[Exchange, Context], None],
    client_files: Mapping[str, Path],
    make_handler: MakeHandler,
    *,
    num_processes: int | None = None,
    connect_timeout_seconds: float = 180.0,
) -> None:
    """Run ``drive`` as a ``ServerApp`` in Flower's simulation, one ``ClientApp`` node per file.

    Call ``apply_flower_settings`` first: Ray's processes inherit the environment.

    Args:
        drive: what to do; runs in this process. Its exceptions end the simulation and come through.
        client_files: per client name the npz file that ``save_client_table`` wrote.
        make_handler: builds a client's handler from its rows, once per process that serves it;
            must be picklable, as ``functools.partial(ClientSession, contract=contract)`` is.
        num_processes: how many processes serve the clients; by default one per processor.
        connect_timeout_seconds: how long Ray's processes may take to come up.

    Raises:
        SettingsError: Ray is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise SettingsError(
            "the ray engine needs Ray, which is not installed",
            where="engine=ray",
            next_step="pip install 'flwr[simulation]', or choose engine=inprocess",
        )
    import ray
    from flwr.simulation import run_simulation

    clients = _ClientFiles(tuple(sorted(client_files.items())), make_handler)
    server_app = make_server_app(
        drive,
        num_clients=len(client_files),
        connect_timeout_seconds=connect_timeout_seconds,
    )
    try:
        run_simulation(
            server_app,
            make_client_app(clients.handler_of, clients.name_of),
            num_supernodes=len(client_files),
            backend_config={
                "client_resources": {"num_cpus": 1.0, "num_gpus": 0.0},
                "init_args": {
                    "object_store_memory": OBJECT_STORE_BYTES,
                    "log_to_driver": False,
                    **({"num_cpus": num_processes} if num_processes else {}),
                },
            },
        )
    finally:
        ray.shutdown()
