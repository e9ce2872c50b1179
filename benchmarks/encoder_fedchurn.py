"""Our side of ``benchmarks.encoder``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.encoder_job import Job, columns_of
from fedchurn.contract.customer_rows import row_columns
from fedchurn.data.frames import frame_columns
from fedchurn.encoding.row_encoder import RowEncoder

Call = Callable[[], object]


def one_row_calls(job: Job, basis: str, num_rows: int) -> list[Call]:  # noqa: ARG001
    """Calls that encode one row each, of values that are canonical already."""
    encoder = RowEncoder(job.encoder)
    if not job.has_labels:
        rows = job.rows.head(num_rows).to_dict("records")
        return [partial(encoder.encode, row) for row in rows]
    frame = job.rows.head(num_rows)
    known = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return [partial(_encode_labels, encoder, job, row) for row in known]


def _encode_labels(encoder: RowEncoder, job: Job, row: dict[str, Any]) -> object:
    columns = row_columns(row, job.contract)
    return encoder.encode({name: values[0] for name, values in columns.items()})


def table_call(job: Job, basis: str, chunk_rows: int) -> Call:  # noqa: ARG001
    """A call that encodes all rows."""

    def encode() -> None:
        columns = frame_columns(job.rows, job.contract) if job.has_labels else columns_of(job.rows)
        for _ in job.encoder.encode_chunks(columns, chunk_rows):
            pass

    return encode
