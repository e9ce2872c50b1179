"""The first message of a request, if it is there: looked for without waiting.

A server usually has the whole of a small request before the application is asked. Waiting for one
that is not there is left to the long way, which has a timeout.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from typing import Any, cast

from starlette.types import Message, Receive


def first_message(receive: Receive) -> tuple[Message | None, Receive]:
    """The first message, or None; and what to receive from as if nobody had looked."""
    begun = cast(Coroutine[Any, Any, Message], receive())
    try:
        awaited = begun.send(None)
    except StopIteration as ended:
        message: Message = ended.value
        return message, _then(_Ready(message), receive)
    return None, _then(_Begun(begun, awaited), receive)


def _then(first: Awaitable[Message], receive: Receive) -> Receive:
    waiting = [first]

    async def received() -> Message:
        return await (waiting.pop() if waiting else receive())

    return received


class _Ready:
    def __init__(self, message: Message) -> None:
        self._message = message

    def __await__(self) -> Generator[Any, Any, Message]:
        return self._message
        yield  # makes this a generator


class _Begun:
    """A coroutine that waits already: what it waits for is handed to the task, then it goes on."""

    def __init__(self, begun: Coroutine[Any, Any, Message], awaited: Any) -> None:
        self._begun, self._awaited = begun, awaited

    def __await__(self) -> Generator[Any, Any, Message]:
        yield self._awaited
        return (yield from self._begun.__await__())
