"""Requests and replies as Flower records.

Arrays keep their dtype and shape (Flower stores the npy format, pickles refused), settings keep
their type. An envelope record says what a message answers, so that a late one is recognised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MessageType, MetricRecord, RecordDict

from fedchurn.federation.exchange import Arrays, Reply, Request, Scalar

HELLO = "hello"
ARRAYS, CONFIG, NUMBERS, ENVELOPE = "arrays", "config", "numbers", "envelope"

# What Flower's mods (privacy, clipping) see as training and as evaluation; all else is a query.
_MESSAGE_TYPES = {
    "newton": MessageType.TRAIN,
    "local_epochs": MessageType.TRAIN,
    "evaluate": MessageType.EVALUATE,
}


def message_type(task: str) -> str:
    """Flower's message type for a task: ``train``, ``evaluate`` or ``query``."""
    return _MESSAGE_TYPES.get(task, MessageType.QUERY)


def packed_arrays(arrays: Arrays) -> dict[str, Array]:
    """Arrays as Flower stores them: immutable bytes, so that many messages can share them."""
    return {name: Array(np.asarray(array)) for name, array in arrays.items()}


def request_content(request: Request, packed: Mapping[str, Array] | None = None) -> RecordDict:
    """A request as message content; ``packed`` saves packing its arrays once per client."""
    arrays = packed_arrays(request.arrays) if packed is None else dict(packed)
    envelope = {"task": request.task, "round_num": request.round_num}
    return RecordDict(
        {
            ARRAYS: ArrayRecord(arrays),
            CONFIG: ConfigRecord(dict(request.config)),
            ENVELOPE: ConfigRecord(envelope),
        }
    )


def request_of(content: RecordDict) -> Request:
    """The request behind ``request_content``."""
    envelope = content.config_records[ENVELOPE]
    return Request(
        task=str(envelope["task"]),
        round_num=int(cast(int, envelope["round_num"])),
        arrays=_unpacked(content),
        config=cast(dict[str, Scalar], dict(content.config_records[CONFIG])),
    )


def reply_content(reply: Reply, request: Request) -> RecordDict:
    """A reply to ``request`` as message content."""
    envelope = {
        "task": request.task,
        "round_num": request.round_num,
        "client": reply.client,
        "error": reply.error,
    }
    numbers = {name: float(value) for name, value in reply.numbers.items()}
    return RecordDict(
        {
            ARRAYS: ArrayRecord(packed_arrays(reply.arrays)),
            NUMBERS: MetricRecord(numbers),
            ENVELOPE: ConfigRecord(envelope),
        }
    )


def reply_of(content: RecordDict, request: Request) -> Reply:
    """The reply behind ``reply_content``; one to another request comes back as an error."""
    envelope = content.config_records[ENVELOPE]
    client = str(envelope["client"])
    answered = (envelope["task"], envelope["round_num"])
    if answered != (request.task, request.round_num):
        return Reply(
            client,
            error=f"stale reply: answers {answered[0]} of round {answered[1]}, "
            f"asked was {request.task} of round {request.round_num}",
        )
    numbers = cast(dict[str, float], dict(content.metric_records[NUMBERS]))
    return Reply(client, _unpacked(content), numbers, str(envelope["error"]))


def _unpacked(content: RecordDict) -> Arrays:
    return {name: array.numpy() for name, array in content.array_records[ARRAYS].items()}
