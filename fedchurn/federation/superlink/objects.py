"""Messages travel as trees of parts; the head may arrive before its parts do."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from flwr.app import Message
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    iterate_object_tree,
)
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

POLL_SECONDS = 0.02
NUM_AT_ONCE = 4


class Parts:
    """Moves parts several at a time, for every one is a call, and hosts may be far apart.

    Args:
        pull_object: the part of a run with an id; None while it is not there.
        push_object: hands over a part of a run.
    """

    def __init__(
        self,
        pull_object: Callable[[int, str], bytes | None],
        push_object: Callable[[int, str, bytes], None],
    ) -> None:
        self._pull_object = pull_object
        self._push_object = push_object
        self._pool = ThreadPoolExecutor(NUM_AT_ONCE, thread_name_prefix="parts")

    def pull(self, run: int, tree: ObjectTree, seconds: float) -> Message | None:
        """The message of a tree of ids; None if parts are still missing after ``seconds``."""
        deadline = time.monotonic() + seconds
        keys = list(dict.fromkeys(part.object_id for part in iterate_object_tree(tree)))
        parts = list(self._pool.map(lambda key: self._awaited(run, key, deadline), keys))
        contents = {key: part for key, part in zip(keys, parts, strict=True) if part is not None}
        if len(contents) < len(keys):
            return None
        return cast(Message, inflate_object_from_contents(tree.object_id, contents))

    def push(self, message: Message, wanted: set[str]) -> None:
        """Hand over those parts of a message that are wanted; they are wanted no more."""
        parts = {k: p for k, p in get_all_nested_objects(message).items() if k in wanted}
        run = message.metadata.run_id

        def push_one(key: str) -> None:
            self._push_object(run, key, parts[key].deflate())

        list(self._pool.map(push_one, parts))
        wanted.difference_update(parts)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _awaited(self, run: int, key: str, deadline: float) -> bytes | None:
        while (content := self._pull_object(run, key)) is None and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return content
