"""The link itself: Flower's SuperLink with TLS, node authentication and a state that survives."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fedchurn.errors import FederationError
from fedchurn.federation.superlink.channel import LinkAway
from fedchurn.federation.superlink.control import Control
from fedchurn.federation.superlink.keys import (
    DRIVER_SECRET,
    ROOTS,
    SERVER_CERTIFICATE,
    SERVER_KEY,
    read_file,
    read_public_keys,
)

START_SECONDS = 60.0
# What the script flower-superlink runs, whether or not it is on the path.
_PROGRAM = (sys.executable, "-c", "from flwr.server.app import run_superlink; run_superlink()")
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class LinkPlace:
    """Where a link listens and what it keeps.

    Attributes:
        keys: the link's key folder, made by ``make_keys``.
        state: its database file; the folder must exist.
        fleet: HOST:PORT for clients; the only one that other hosts must reach.
        control, serverappio: HOST:PORT for the driver.
    """

    keys: Path
    state: Path
    fleet: str = "0.0.0.0:9092"
    control: str = "127.0.0.1:9093"
    serverappio: str = "127.0.0.1:9091"


def link_command(place: LinkPlace) -> list[str]:
    """The command line of Flower's SuperLink, its program first.

    Raises:
        SettingsError: a key file is missing.
    """
    keys = place.keys
    for name in (ROOTS, SERVER_CERTIFICATE, SERVER_KEY, DRIVER_SECRET):
        read_file(keys / name, "a key file of the link")
    tls = {
        "certfile": keys / SERVER_CERTIFICATE,
        "keyfile": keys / SERVER_KEY,
        "ca-certfile": keys / ROOTS,
    }
    options: dict[str, Path | str] = {
        **{f"--ssl-{name}": path for name, path in tls.items()},
        **{f"--appio-ssl-{name}": path for name, path in tls.items()},
        "--superexec-auth-secret-file": keys / DRIVER_SECRET,
        "--isolation": "process",  # the driver is a process of its own
        "--database": place.state,
        "--fleet-api-address": place.fleet,
        "--control-api-address": place.control,
        "--serverappio-api-address": place.serverappio,
    }
    pairs = [str(part) for option in options.items() for part in option]
    return [
        *_PROGRAM,
        "--enable-supernode-auth",
        "--disable-runtime-dependency-installation",
        *pairs,
    ]


def await_link(place: LinkPlace, is_running: Callable[[], bool]) -> Control:
    """The Control API of a link that was just started.

    Raises:
        FederationError: it ended, or does not answer in time.
    """
    control = Control(place.control, read_file(place.keys / ROOTS, "the link's roots"))
    deadline = time.monotonic() + START_SECONDS
    while is_running() and time.monotonic() < deadline:
        try:
            control.nodes()
            return control
        except LinkAway:
            time.sleep(POLL_SECONDS)
    control.close()
    what = "does not answer" if is_running() else "did not start"
    raise FederationError(
        f"the link {what}",
        where=f"{place.control}",
        next_step="see its log; a port may be taken: `fedchurn federate up --help`",
    )


def admit_keys(control: Control, keys: Path) -> Mapping[str, str]:
    """Make the link know exactly the public keys of the link's folder.

    Returns:
        Client name -> ``added`` or ``removed``, of keys that were not so before.

    Raises:
        SettingsError: no public key is there.
    """
    names = {key: name for name, key in read_public_keys(keys).items()}
    nodes = {node.public_key: node for node in control.nodes()}
    changes = {}
    for key, name in names.items():
        if key not in nodes:
            control.register(key)
            changes[name] = "added"
    for key, node in nodes.items():
        if key not in names:
            control.unregister(node.number)
            changes[f"node {node.number}"] = "removed"
    return changes
