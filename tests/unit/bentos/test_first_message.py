"""Looking for the first message never waits, and nothing of the request is lost by it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from bentos.churn.lane.first_message import first_message

FIRST = {"type": "http.request", "body": b"{", "more_body": True}
SECOND = {"type": "http.request", "body": b"}"}


def queue_of(*messages: Any) -> tuple[asyncio.Queue[Any], Callable[[], Awaitable[Any]]]:
    queue: asyncio.Queue[Any] = asyncio.Queue()
    for message in messages:
        queue.put_nowait(message)

    async def receive() -> Any:
        return await queue.get()

    return queue, receive


def test_what_is_there_is_found_and_given_again() -> None:
    async def look() -> None:
        _, receive = queue_of(FIRST, SECOND)
        found, again = first_message(receive)
        assert found == FIRST
        assert [await again(), await again()] == [FIRST, SECOND]

    asyncio.run(look())


def test_what_comes_later_is_waited_for_by_whoever_receives() -> None:
    async def look() -> None:
        queue, receive = queue_of()
        found, again = first_message(receive)
        assert found is None
        waiting = asyncio.create_task(again())  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        assert not waiting.done()
        queue.put_nowait(FIRST)
        queue.put_nowait(SECOND)
        assert [await waiting, await again()] == [FIRST, SECOND]

    asyncio.run(look())


def test_waiting_can_be_cut_off() -> None:
    async def look() -> str:
        _, receive = queue_of()
        _, again = first_message(receive)
        try:
            await asyncio.wait_for(again(), 0.01)
        except TimeoutError:
            return "timed out"
        return "answered"

    assert asyncio.run(look()) == "timed out"
