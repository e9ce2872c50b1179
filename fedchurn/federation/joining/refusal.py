"""Tells clients that take no part why, so that whoever looks after them need not ask the driver."""

from __future__ import annotations

from collections.abc import Mapping

from fedchurn.federation.exchange import Exchange, Request

REFUSED, WHY = "refused", "why"
TELL_SECONDS = 5.0


def tell_refused(exchange: Exchange, refused: Mapping[str, str]) -> None:
    """Send each refused client its reason; one that does not hear it changes nothing.

    Args:
        exchange: reaches clients that are connected.
        refused: reason by client.
    """
    for client, why in sorted(refused.items()):
        exchange.ask(Request(REFUSED, 0, config={WHY: why}), [client], TELL_SECONDS)
