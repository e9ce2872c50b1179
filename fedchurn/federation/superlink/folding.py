"""A message's records as one part instead of a dozen: every part costs two calls at the link."""

from __future__ import annotations

from flwr.app import ConfigRecord, RecordDict
from flwr.common.serde import recorddict_from_proto, recorddict_to_proto
from flwr.proto.recorddict_pb2 import RecordDict as RecordDictProto

FOLDED = "folded"


def folded(content: RecordDict) -> RecordDict:
    """The same records as bytes in one record; equal records give equal bytes."""
    text = recorddict_to_proto(content).SerializeToString(deterministic=True)
    return RecordDict({FOLDED: ConfigRecord({FOLDED: text})})


def unfolded(content: RecordDict) -> RecordDict:
    """The records behind ``folded``.

    Raises:
        ValueError: the content is not folded.
    """
    record = content.config_records.get(FOLDED)
    text = None if record is None else record.get(FOLDED)
    if not isinstance(text, bytes):
        raise ValueError("the message is not one of Fedchurn's engine superlink")
    return recorddict_from_proto(RecordDictProto.FromString(text))
