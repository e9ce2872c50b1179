"""Secure aggregation where settings switch it on; both sides look at their own settings."""

from __future__ import annotations

from fedchurn.federation.exchange import ClientHandler, Exchange
from fedchurn.settings_secure import SecureSettings


def secured_handler(client: str, handler: ClientHandler, settings: SecureSettings) -> ClientHandler:
    """The handler itself, or a ``SecureHandler`` around it."""
    if not settings.on:
        return handler
    # Whoever aggregates in the clear need not load cryptography.
    from fedchurn.federation.secure.client import SecureHandler

    return SecureHandler(client, handler, settings)


def secured_exchange(exchange: Exchange, settings: SecureSettings) -> Exchange:
    """The exchange itself, or a ``SecureExchange`` around it."""
    if not settings.on:
        return exchange
    from fedchurn.federation.secure.exchange import SecureExchange

    return SecureExchange(exchange, settings)
