"""Whether a link can listen where it is told to, before Flower tries and says it its own way."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping

from fedchurn.errors import FederationError, SettingsError
from fedchurn.settings_superlink import ADDRESS


def check_can_listen(addresses: Mapping[str, str]) -> None:
    """Return if every address is free on this machine.

    Args:
        addresses: HOST:PORT by the option that names it, for errors.

    Raises:
        SettingsError: an address is not HOST:PORT.
        FederationError: another program has the port, or the host is none of this machine.
    """
    for option, address in addresses.items():
        if not re.match(ADDRESS, address):
            raise SettingsError(
                f"{address!r} is not HOST:PORT", where=option, next_step=f"{option} 127.0.0.1:9092"
            )
        try:
            _listen(address)
        except (OSError, OverflowError) as error:
            raise FederationError(
                f"the link cannot listen there: {getattr(error, 'strerror', None) or error}",
                where=f"{option} {address}",
                next_step="end the program that has this port (another `fedchurn federate up`?), "
                f"or give another address: {option} HOST:PORT",
            ) from error


def _listen(address: str) -> None:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        # A port whose last owner has just ended is free; gRPC sees it so too.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
        listener.listen()
