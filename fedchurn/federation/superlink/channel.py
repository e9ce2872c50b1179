"""Calls to a SuperLink: TLS, a deadline on every call, and errors told apart.

Flower's own wrappers try for ever, and end the whole process when a token is refused; a flow that
trains must survive both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from flwr.supercore.grpc import GRPC_MAX_MESSAGE_LENGTH
from flwr.supercore.runtime_version_compatibility import RuntimeVersionMetadata

from fedchurn.errors import FederationError

CALL_SECONDS = 10.0
_OPTIONS = [
    ("grpc.max_send_message_length", GRPC_MAX_MESSAGE_LENGTH),  # as the link itself
    ("grpc.max_receive_message_length", GRPC_MAX_MESSAGE_LENGTH),
    ("grpc.max_reconnect_backoff_ms", 5_000),  # else 120 s after a long absence of the link
]
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
_UNTRUSTED = ("handshake failed", "certificate_verify_failed", "certificate verify failed")
_OVER = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


class LinkAway(Exception):
    """The link does not answer now; it may again later."""


class RunOver(Exception):
    """The link no longer knows the run, or the node, that the call was made for."""


class LinkRefused(Exception):
    """The link understood, and said no."""


class _FlowerVersion(grpc.UnaryUnaryClientInterceptor):
    """Tells the link our Flower version, as Flower's own programs do."""

    def __init__(self, component: str) -> None:
        self._version = RuntimeVersionMetadata.from_local_component(component)

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], details: Any, request: Any
    ) -> Any:
        metadata = self._version.append_to_grpc_metadata(details.metadata)
        return continuation(details._replace(metadata=metadata), request)


def open_channel(
    address: str,
    roots: bytes,
    component: str,
    interceptors: Sequence[grpc.UnaryUnaryClientInterceptor] = (),
) -> grpc.Channel:
    """A channel to a link whose certificate ``roots`` vouches for.

    Args:
        address: HOST:PORT.
        roots: PEM certificate of the federation's authority.
        component: what we are to Flower: ``SuperNode``, ``flwr-serverapp`` ...
        interceptors: what signs our calls.
    """
    credentials = grpc.ssl_channel_credentials(roots)
    channel = grpc.secure_channel(address, credentials, options=_OPTIONS)
    return grpc.intercept_channel(channel, _FlowerVersion(component), *interceptors)


def call(method: Callable[..., Any], request: Any, seconds: float = CALL_SECONDS) -> Any:
    """The response of one call.

    Raises:
        LinkAway: no answer; trying again may help.
        RunOver: the token or the node is not known (any more).
        LinkRefused: any other refusal.
        FederationError: the link's certificate is not vouched for.
    """
    try:
        return method(request, timeout=seconds)
    except grpc.RpcError as error:
        raise told_apart(error) from error


def told_apart(error: grpc.RpcError) -> Exception:
    """The error that says what a failed call means; see ``call``."""
    details = str(error.details() or "")
    if error.code() in _AWAY:
        if any(word in details.lower() for word in _UNTRUSTED):
            return FederationError(
                "the link's certificate is not vouched for by our roots, or names another host",
                where=details.splitlines()[0][:200],
                next_step="give the roots.crt made together with the link's certificate; name the "
                "host by `fedchurn federate keys --host`",
            )
        return LinkAway(details)
    if error.code() in _OVER:
        return RunOver(details)
    return LinkRefused(f"{error.code().name}: {details}")
