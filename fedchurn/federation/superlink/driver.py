"""The driver's side of the ``superlink`` engine: it runs in the process that trains."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from flwr.app import Message

from fedchurn.errors import FederationError, SettingsError
from fedchurn.federation.exchange import Exchange
from fedchurn.federation.superlink.channel import LinkRefused, RunOver
from fedchurn.federation.superlink.control import Control
from fedchurn.federation.superlink.keys import DRIVER_SECRET, ROOTS, read_file, read_public_keys
from fedchurn.federation.superlink.link_exchange import LinkExchange, Session
from fedchurn.federation.superlink.run import LinkAddresses, LinkRun
from fedchurn.settings_superlink import SuperlinkSettings

T = TypeVar("T")

_awaited: set[SuperlinkSettings] = set()  # links whose clients this process has waited for


class DrivenLink:
    """A link with a run of ours on it; the run is made when it is first needed.

    Args:
        control: of the link.
        addresses: of the link.
        names: client name by public key; others' nodes are not seen.
    """

    def __init__(
        self, control: Control, addresses: LinkAddresses, names: Mapping[bytes, str]
    ) -> None:
        self._control = control
        self._addresses = addresses
        self._names = names
        self._run: LinkRun | None = None

    def sessions(self) -> Mapping[str, Session]:
        """See ``Link``."""
        return {
            self._names[node.public_key]: Session(node.number, node.activated_at)
            for node in self._control.nodes()
            if node.is_online and node.public_key in self._names
        }

    def push(self, messages: Sequence[Message]) -> Sequence[str]:
        """See ``Link``."""
        return self._our_run().push(messages)

    def pull(self, message_ids: Sequence[str], seconds: float) -> Sequence[Message]:
        """See ``Link``."""
        return self._our_run().pull(message_ids, seconds)

    def renew(self) -> None:
        """See ``Link``."""
        self.close(completed=False)

    def close(self, *, completed: bool) -> None:
        """End our run, if there is one."""
        if self._run is not None:
            run, self._run = self._run, None
            run.close(completed=completed)

    def _our_run(self) -> LinkRun:
        if self._run is None:
            self._run = LinkRun(self._control, self._addresses)
        return self._run


def run_on_superlink(
    settings: SuperlinkSettings,
    drive: Callable[[Exchange], T],
    *,
    quorum_fraction: float = 1.0,
) -> T:
    """What ``drive`` returns, given an exchange over a link that is up.

    Args:
        settings: where the link is, and who is waited for.
        drive: asks the clients.
        quorum_fraction: see ``LinkExchange``.

    Raises:
        SettingsError: key files are missing.
        FederationError: the link refuses us, or too few clients connected in time.
    """
    folder = driver_folder(settings)
    names = {key: name for name, key in read_public_keys(folder).items()}
    addresses = addresses_of(settings, folder)
    control = Control(addresses.control, addresses.roots)
    link = DrivenLink(control, addresses, names)
    completed = False
    try:
        with refusals_told(settings):
            control.await_answer(settings.connect_timeout_seconds)
            exchange = LinkExchange(
                link,
                num_clients=_num_awaited(settings, len(names), quorum_fraction),
                connect_timeout_seconds=settings.connect_timeout_seconds,
                quorum_fraction=quorum_fraction,
            )
            _awaited.add(settings)
            result = drive(exchange)
        completed = True
        return result
    finally:
        link.close(completed=completed)
        control.close()


@contextmanager
def refusals_told(settings: SuperlinkSettings) -> Iterator[None]:
    """What a link refuses in the block, in words for people.

    Raises:
        FederationError: it did.
    """
    try:
        yield
    except (LinkRefused, RunOver) as error:
        raise FederationError(
            f"the link refused: {error}",
            where=f"{settings.serverappio_address}, {settings.control_address}",
            next_step="the driver's folder must be made together with the link's: see "
            "`fedchurn federate keys`",
        ) from error


def _num_awaited(settings: SuperlinkSettings, num_keys: int, quorum_fraction: float) -> int:
    """Clients to wait for: all at first; later questions must not wait for one that has left."""
    num_clients = settings.num_clients or num_keys
    if settings in _awaited:
        return max(1, math.ceil(quorum_fraction * num_clients))
    return num_clients


def driver_folder(settings: SuperlinkSettings) -> Path:
    """The folder with the driver's keys.

    Raises:
        SettingsError: none is named.
    """
    if settings.keys is None:
        raise SettingsError(
            "the engine superlink needs the driver's keys",
            where="federation.superlink.keys",
            next_step="make them with `fedchurn federate keys --folder F --clients a,b`, and set "
            "federation.superlink.keys=F/driver",
        )
    return settings.keys


def addresses_of(settings: SuperlinkSettings, folder: Path) -> LinkAddresses:
    """Addresses and secrets of the link of the settings.

    Raises:
        SettingsError: a key file is missing.
    """
    return LinkAddresses(
        settings.control_address,
        settings.serverappio_address,
        read_file(folder / ROOTS, "the link's roots"),
        read_file(folder / DRIVER_SECRET, "the driver's secret"),
    )
