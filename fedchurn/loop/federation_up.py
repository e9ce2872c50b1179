"""A link of our own, and on one machine its clients too, for as long as somebody watches."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from fedchurn.errors import FederationError
from fedchurn.federation.flower.environment import apply_flower_settings
from fedchurn.federation.superlink.channel import LinkAway
from fedchurn.federation.superlink.control import Control
from fedchurn.federation.superlink.keys import client_key
from fedchurn.federation.superlink.link import LinkPlace, admit_keys, await_link, link_command
from fedchurn.federation.superlink.ports import check_can_listen
from fedchurn.loop.tied_children import TiedChild

WATCH_SECONDS = 2.0
FOLDER = "federation"  # under home
# What the script fedchurn runs, whether or not it is on the path.
_FEDCHURN = (sys.executable, "-c", "from fedchurn.cli.main import main; main()")


@dataclass(frozen=True)
class RunningLink:
    """A link that answers."""

    place: LinkPlace
    child: TiedChild
    control: Control


def federation_environment(home: Path) -> dict[str, str]:
    """The environment of the federation's processes: quiet, Flower's files under home."""
    environ = dict(os.environ)
    apply_flower_settings(environ, home.resolve() / "flower")
    environ["FLWR_LOG_LEVEL"] = "WARNING"
    return environ


@contextmanager
def link_up(place: LinkPlace, home: Path, tell: Callable[[str], None]) -> Iterator[RunningLink]:
    """A link inside the block; it ends with it, and with this process.

    Args:
        place: where it listens and what it keeps.
        home: its log is ``HOME/federation/link.log``.
        tell: takes lines for whoever watches.

    Raises:
        SettingsError: key files are missing, or an address is wrong.
        FederationError: a port is taken, or it does not start.
    """
    command = link_command(place)
    check_can_listen(
        {"--fleet": place.fleet, "--control": place.control, "--serverappio": place.serverappio}
    )
    place.state.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    log = home / FOLDER / "link.log"
    child = TiedChild("link", command, log, federation_environment(home))
    try:
        try:
            control = await_link(place, child.is_running)
        except FederationError as error:
            told = child.last_lines()
            raise FederationError(
                f"{error.what}: {told}", where=error.where, next_step=error.next_step
            ) from error
        try:
            _tell_changes(admit_keys(control, place.keys), tell)
            yield RunningLink(place, child, control)
        finally:
            control.close()
    finally:
        child.end()


@contextmanager
def clients_up(
    files: Mapping[str, str],
    keys: Path,
    link: str,
    home: Path,
    arguments: Sequence[str] = (),
) -> Iterator[list[TiedChild]]:
    """A client process per file inside the block.

    Args:
        files: client name -> file of its rows.
        keys: folder that ``make_keys`` wrote.
        link: HOST:PORT of the link for clients.
        home: each client's own home is ``HOME/federation/clients/NAME``.
        arguments: more arguments of ``fedchurn federate client``.
    """
    environ = federation_environment(home)
    with ExitStack() as stack:
        children = []
        for name, data in files.items():
            command = [
                *(*_FEDCHURN, "federate", "client"),
                *("--name", name, "--data", data, "--link", link),
                *("--key", str(client_key(keys, name)), *arguments),
                *("--set", f"home={home.resolve() / FOLDER / 'clients' / name}"),
            ]
            child = TiedChild(name, command, home / FOLDER / f"client-{name}.log", environ)
            stack.callback(child.end)
            children.append(child)
        yield children


def watch(
    link: RunningLink,
    clients: Sequence[TiedChild],
    tell: Callable[[str], None],
    is_ended: Callable[[], bool],
) -> None:
    """Return when ``is_ended``; until then take up new keys and tell who connects and who leaves.

    Raises:
        FederationError: the link ended.
    """
    connected: set[int] = set()
    gone: set[str] = set()
    while not is_ended():
        if not link.child.is_running():
            raise FederationError(
                f"the link ended with code {link.child.exit_code}: {link.child.last_lines()}",
                where=str(link.child.log),
                next_step="start it again; its state is kept",
            )
        for client in clients:
            if not client.is_running() and client.name not in gone:
                gone.add(client.name)
                tell(f"client {client.name} ended ({client.exit_code}): {client.last_lines()}")
        try:
            _tell_changes(admit_keys(link.control, link.place.keys), tell)
            connected = _tell_connected(link, connected, tell)
        except LinkAway:
            tell("the link is slow to answer")
        time.sleep(WATCH_SECONDS)


def _tell_connected(link: RunningLink, before: set[int], tell: Callable[[str], None]) -> set[int]:
    from fedchurn.federation.superlink.keys import read_public_keys

    names = {key: name for name, key in read_public_keys(link.place.keys).items()}
    nodes = {n.number: n for n in link.control.nodes()}
    now = {number for number, node in nodes.items() if node.is_online}
    for number in sorted(now - before):
        tell(f"client {names.get(nodes[number].public_key, number)} connected")
    for number in sorted(before - now):
        key = nodes[number].public_key if number in nodes else b""
        tell(f"client {names.get(key, number)} left")
    return now


def _tell_changes(changes: Mapping[str, str], tell: Callable[[str], None]) -> None:
    for name, change in sorted(changes.items()):
        tell(f"key of {name} {change}")
