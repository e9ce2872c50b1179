"""A client's secrets in what Flower keeps for a node between messages.

Ray answers each message in any of its processes, so a dict there would forget.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import cast

from flwr.app import ConfigRecord, Context

from fedchurn.federation.exchange import ClientHandler
from fedchurn.federation.secure.client import SecureHandler

_RECORD = "secure"


class ContextStore(MutableMapping[str, str]):
    """Texts in a record of a context's state.

    Args:
        context: the node's.
    """

    def __init__(self, context: Context) -> None:
        records = context.state.config_records
        if _RECORD not in records:
            records[_RECORD] = ConfigRecord()
        self._record = records[_RECORD]

    def __getitem__(self, key: str) -> str:
        return cast(str, self._record[key])

    def __setitem__(self, key: str, value: str) -> None:
        self._record[key] = value

    def __delitem__(self, key: str) -> None:
        del self._record[key]

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._record))

    def __len__(self) -> int:
        return len(self._record)


def with_context(handler: ClientHandler, context: Context) -> ClientHandler:
    """The handler, its secrets kept by Flower if it has any."""
    if isinstance(handler, SecureHandler):
        return handler.with_store(ContextStore(context))
    return handler
