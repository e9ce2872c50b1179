"""Messages travel as trees of parts; the head may arrive before its parts do."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

from flwr.app import Message
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

POLL_SECONDS = 0.02


def inflated(
    tree: ObjectTree, pull_object: Callable[[str], bytes | None], seconds: float
) -> Message | None:
    """The message of a tree; None if parts are still missing after ``seconds``.

    Args:
        tree: ids of the message and of its parts.
        pull_object: the part with an id; None while it is not there.
        seconds: how long to wait for parts.
    """
    deadline = time.monotonic() + seconds
    contents: dict[str, bytes] = {}
    for part in iterate_object_tree(tree):
        while part.object_id not in contents:
            content = pull_object(part.object_id)
            if content is not None:
                contents[part.object_id] = content
            elif time.monotonic() > deadline:
                return None
            else:
                time.sleep(POLL_SECONDS)
    return cast(Message, inflate_object_from_contents(tree.object_id, contents))
