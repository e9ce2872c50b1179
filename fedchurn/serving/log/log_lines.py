"""Lines of the prediction log: valid JSON, and a reader can tell a whole one from a damaged one.

A line is ``[BODY,CHECKSUM]`` and a newline; CHECKSUM is the CRC-32 of BODY's bytes. The first line
of a file is its schema (``LogSchema``), every other one a prediction: an array in the order of
``LoggedPrediction``, whose last element holds the values in the order of the schema's columns.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec

from fedchurn.contract.conditions import Value
from fedchurn.errors import SourceError

FORMAT = "fedchurn-predictions-1"
CUSTOMER_ID = "customer_id"

_encode = msgspec.json.Encoder().encode


class LogSchema(msgspec.Struct, frozen=True):
    """What the lines of one file hold.

    Attributes:
        format: name and version of the format.
        fields: names of a line's elements.
        contract: name of the contract.
        contract_version: its version.
        columns: contract columns whose values are logged, in order.
        masked: contract columns, and ``customer_id``, that are left out on purpose.
    """

    format: str
    fields: tuple[str, ...]
    contract: str
    contract_version: str
    columns: tuple[str, ...]
    masked: tuple[str, ...]


class LoggedPrediction(msgspec.Struct, array_like=True, gc=False):
    """One prediction as logged; fields as in ``records.PredictionRecord``.

    Attributes:
        release: release that was asked first.
        model_version: its version in the registry, or None.
        role: ``champion`` or ``challenger``.
        values: in the order of ``schema.columns``; None is missing.
        schema: of the file that the line stands in.
    """

    time_seconds: float
    prediction_id: str
    customer_id: str | None
    release: str
    model_version: str | None
    role: str
    model_used: str
    fallback_reason: str | None
    probability: float
    prediction: int
    risk_level: str
    latency_seconds: float
    endpoint: str
    warnings: tuple[tuple[str, str], ...]
    values: tuple[Value, ...]
    schema: LogSchema | None = None

    def row(self) -> dict[str, Value]:
        """Values by column; masked columns are absent."""
        columns = self.schema.columns if self.schema else ()
        return dict(zip(columns, self.values, strict=True))


FIELDS = LoggedPrediction.__struct_fields__[:-1]
_decode_prediction = msgspec.json.Decoder(LoggedPrediction).decode


def sealed(body: bytes) -> bytes:
    """The line of a JSON text, newline included."""
    return b"[%b,%d]\n" % (body, zlib.crc32(body))


def unsealed(line: bytes) -> bytes | None:
    """The JSON text of a line without its newline, or None when the line is damaged."""
    comma = line.rfind(b",")
    checksum = line[comma + 1 : -1]
    if comma < 1 or line[:1] != b"[" or line[-1:] != b"]" or not checksum.isdigit():
        return None
    body = line[1:comma]
    return body if zlib.crc32(body) == int(checksum[:11]) else None


def line_of(record: Any) -> bytes:
    """A sealed line of anything that JSON can hold; half characters (lone surrogates) are spelled
    out as ``\\udXXX``, since no file could hold them."""
    try:
        return sealed(_encode(record))
    except UnicodeEncodeError:
        return sealed(_encode(_whole_characters(record)))


def read_schema(line: bytes, path: object) -> LogSchema | None:
    """The schema in the first line of a file (without newline), or None when it is damaged.

    Raises:
        SourceError: the file is of a format that this version does not know.
    """
    body = unsealed(line)
    if body is None:
        return None
    header = msgspec.json.decode(body)
    found = header.get("format") if isinstance(header, dict) else None
    if found != FORMAT:
        raise SourceError(
            f"format {found!r} is not known; this version of Fedchurn reads {FORMAT!r}",
            where=str(path),
            next_step="read it with the version of Fedchurn that wrote it, or move it elsewhere",
        )
    return msgspec.convert(header, LogSchema)


def read_prediction(line: bytes, schema: LogSchema) -> LoggedPrediction | None:
    """The prediction in a line (without newline), or None when it is damaged."""
    body = unsealed(line)
    if body is None:
        return None
    try:
        found = _decode_prediction(body)
    except msgspec.DecodeError:
        return None
    if len(found.values) != len(schema.columns):
        return None
    found.schema = schema
    return found


def _whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_whole_characters(k): _whole_characters(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_whole_characters(item) for item in value]
    return value
