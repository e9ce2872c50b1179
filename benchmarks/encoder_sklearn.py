"""sklearn's side of ``benchmarks.encoder``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd

from benchmarks.encoder_job import Job
from benchmarks.encoder_peer import fitted_transformer

Call = Callable[[], object]


def one_row_calls(job: Job, basis: str, num_rows: int) -> list[Call]:
    """Calls that encode one row each: a frame of codes at hand, or made from a dict of labels."""
    transform = fitted_transformer(job, basis).transform
    if not job.has_labels:
        return [partial(transform, job.rows.iloc[[i]]) for i in range(num_rows)]
    rows = job.rows.head(num_rows).to_dict("records")
    return [partial(_encode_labels, transform, row) for row in rows]


def _encode_labels(transform: Callable[..., object], row: dict[str, Any]) -> object:
    return transform(pd.DataFrame([row]))


def table_call(job: Job, basis: str, chunk_rows: int) -> Call:
    """A call that encodes all rows."""
    transform = fitted_transformer(job, basis).transform

    def encode() -> None:
        for start in range(0, len(job.rows), chunk_rows):
            transform(job.rows.iloc[start : start + chunk_rows])

    return encode
