"""``fedchurn federate ...``: keys, up, client, status: a federation on separate hosts."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from fedchurn.cli.verb import Config, Json, Set, settings_from, verb

app = typer.Typer(help="Run a federation on separate hosts: keys, link, clients.")

Contract = Annotated[
    str | None, typer.Option("--contract", help="Name or path of the contract.", show_default=False)
]
KeyFolder = Annotated[
    Path | None,
    typer.Option("--keys", help="Folder with the keys of this side, of `federate keys`."),
]


@app.command("keys")
@verb
def keys_verb(
    folder: Annotated[Path, typer.Option("--folder", help="Where to write the key files.")],
    clients: Annotated[
        str, typer.Option("--clients", help="Names of clients, with commas between.")
    ] = "",
    hosts: Annotated[
        list[str] | None,
        typer.Option("--host", help="Name or address of the link's host; several allowed."),
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Make new keys of these clients and of the link.")
    ] = False,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Make certificates and keys: who may take part, and how the link proves who it is."""
    from fedchurn.federation.superlink.keys import make_keys

    settings_from(config, assignments)
    names = [name.strip() for name in clients.split(",") if name.strip()]
    made = make_keys(folder, names, hosts or (), replace=replace)
    print(f"wrote {len(made.made)} files, kept {len(made.kept)}; all readable by you alone")
    print(f"  {folder}/link            to the link's host:  fedchurn federate up --keys link")
    print(f"  {folder}/driver          to the host that trains: federation.superlink.keys=driver")
    for name in names:
        print(f"  {folder}/clients/{name}  to that client's host, and nobody else's")
    print(f"  {folder}/authority.key   to a safe: it signs link certificates")
    return {"folder": str(folder), "made": list(made.made), "kept": list(made.kept)}


@app.command("up")
@verb
def up_verb(
    keys: KeyFolder = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", help="On one machine: a client per file, keys made as needed."),
    ] = None,
    fleet: Annotated[
        str | None, typer.Option("--fleet", help="HOST:PORT to listen on for clients.")
    ] = None,
    control: Annotated[
        str, typer.Option("--control", help="HOST:PORT to listen on for the driver.")
    ] = "127.0.0.1:9093",
    serverappio: Annotated[
        str, typer.Option("--serverappio", help="HOST:PORT to listen on for the driver's runs.")
    ] = "127.0.0.1:9091",
    contract: Contract = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Start a link and keep it up until Ctrl-C; with --data its clients too."""
    from fedchurn.data.sources import check_file_exists
    from fedchurn.errors import SettingsError
    from fedchurn.federation.superlink.keys import client_key, make_keys
    from fedchurn.federation.superlink.link import LinkPlace
    from fedchurn.loop.federation_up import FOLDER, clients_up, link_up, watch

    settings = settings_from(config, assignments, {"contract": contract} if contract else None)
    files = {Path(file).stem: file for file in data or ()}
    if len(files) < len(data or ()):
        raise SettingsError(
            "two files have the same name", where="--data", next_step="a client is named after it"
        )
    if keys is None and not files:
        raise SettingsError(
            "neither keys nor files are named",
            where="--keys, --data",
            next_step="make keys with `fedchurn federate keys` and give its link folder, or give "
            "--data FILE for each client of a federation on this machine",
        )
    for file in files.values():
        check_file_exists(file)
    made = settings.home / FOLDER / "keys"
    if files and keys is None:
        make_keys(made, [name for name in files if not client_key(made, name).exists()])
    place = LinkPlace(
        keys=keys or made / "link",
        state=settings.home / FOLDER / "state.db",
        fleet=fleet or ("127.0.0.1:9092" if files else LinkPlace.fleet),
        control=control,
        serverappio=serverappio,
    )
    same = [*(("--contract", contract) if contract else ()), *_set_again(config, assignments)]
    with _until_ended() as is_ended, ExitStack() as stack:
        link = stack.enter_context(link_up(place, settings.home, _tell))
        _tell(f"link is up: clients at {place.fleet}, driver at {control} and {serverappio}")
        children = stack.enter_context(
            clients_up(files, place.keys.parent, _local(place.fleet), settings.home, same)
        )
        if files:
            _tell(
                "train with: fedchurn train --set federation.engine=superlink"
                f" --set federation.superlink.keys={place.keys.parent / 'driver'}"
                f" --set federation.superlink.control_address={control}"
                f" --set federation.superlink.serverappio_address={serverappio}"
            )
        watch(link, children, _tell, is_ended)
    return {"state": str(place.state)}


@app.command("client")
@verb
def client_verb(
    name: Annotated[str, typer.Option("--name", help="This client's name, as in its key.")],
    data: Annotated[
        str, typer.Option("--data", help="xlsx, csv or parquet file, SQLAlchemy URL or env:NAME.")
    ],
    link: Annotated[str, typer.Option("--link", help="HOST:PORT of the link for clients.")],
    key: Annotated[Path, typer.Option("--key", help="client.key of this client.")],
    roots: Annotated[
        Path | None,
        typer.Option("--roots", help="roots.crt; that beside the key by default."),
    ] = None,
    contract: Contract = None,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Check this host's file, then answer the driver until Ctrl-C; no row leaves this process."""
    from fedchurn.federation.superlink.keys import ROOTS
    from fedchurn.loop.federated_client import ClientOptions, serve_own_file

    settings = settings_from(config, assignments, {"contract": contract} if contract else None)
    options = ClientOptions(name, data, link, key, roots or key.with_name(ROOTS))
    with _until_ended() as is_ended:
        serve_own_file(options, settings, _tell, is_ended)
    return {"client": name}


@app.command("status")
@verb
def status_verb(
    keys: KeyFolder = None,
    timeout_seconds: Annotated[
        float, typer.Option("--timeout-seconds", help="How long to wait for link and clients.")
    ] = 10.0,
    config: Config = None,
    assignments: Set = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Show which clients are connected, with contract and number of rows."""
    from fedchurn.federation.superlink.status import federation_status

    place = settings_from(config, assignments).federation.superlink
    if keys is not None:
        place = place.model_copy(update={"keys": keys})
    found = federation_status(place, timeout_seconds)
    for client in found:
        state = "connected" if client.is_connected else "away"
        about = client.problem or (
            f"{client.num_rows} rows, contract {client.contract} ({client.contract_digest[:12]})"
            if client.is_connected
            else f"last connected {client.since}"
            if client.since
            else "never connected"
        )
        print(f"{client.name:20} {state:10} {about}")
    return {"clients": [asdict(client) for client in found]}


def _tell(text: str) -> None:
    print(text, flush=True)


class _Ended(BaseException):
    """Ctrl-C or SIGTERM: leave, wherever we are."""


@contextmanager
def _until_ended() -> Iterator[Callable[[], bool]]:
    """Leaves the block at Ctrl-C or SIGTERM, after what the block wants to tidy up."""
    is_over = False

    def end(_number: int, _frame: object) -> None:
        nonlocal is_over
        if not is_over:  # a second signal must not stop the tidying up
            is_over = True
            raise _Ended

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: is_over
    except _Ended:
        _tell("ended")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _local(address: str) -> str:
    """Where a client on this machine finds a link that listens on all addresses."""
    host, _, port = address.rpartition(":")
    return f"127.0.0.1:{port}" if host in ("0.0.0.0", "[::]") else address  # noqa: S104


def _set_again(config: Path | None, assignments: list[str] | None) -> list[str]:
    """The same settings for another process."""
    files = ["--config", str(config.resolve())] if config else []
    return [*files, *(part for given in assignments or () for part in ("--set", given))]
