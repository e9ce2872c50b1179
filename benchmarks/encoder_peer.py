"""The peer of ``benchmarks.encoder``: sklearn's ColumnTransformer that gives the same inputs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.compose import ColumnTransformer
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler

from benchmarks.encoder_job import FIT_ROWS, Job
from fedchurn.encoding.encoder import NumberEncoding

Matrix = NDArray[np.floating[Any]]


def fitted_transformer(job: Job, basis: str) -> ColumnTransformer:
    """Scaled numbers (or splines of degree 1), missing flags and one-hot categories.

    Scaling before imputing makes mean and deviation those of the known values, as ours are.
    """
    flagged = [e.name for e in job.numbers if e.missing_flag]
    labels = [e.labels if job.has_labels else range(len(e.labels)) for e in job.categories]
    one_hot = OneHotEncoder(
        categories=[list(known) for known in labels],
        handle_unknown="ignore",
        sparse_output=False,
        dtype=np.float32,
    )
    parts = [
        *(_splines(job) if basis == "piecewise" else _lines(job)),
        ("flags", MissingIndicator(features="all"), flagged),
        ("categories", one_hot, [e.name for e in job.categories]),
    ]
    transformer = ColumnTransformer(parts, sparse_threshold=0)
    return transformer.fit(job.rows.head(FIT_ROWS))


def _lines(job: Job) -> list[tuple[str, Any, list[str]]]:
    scaled = make_pipeline(StandardScaler(), SimpleImputer(strategy="median"))
    return [("numbers", scaled, [e.name for e in job.numbers])]


def _splines(job: Job) -> list[tuple[str, Any, list[str]]]:
    """One transformer per number of knots: the fewest that can hold knots per feature.

    ``continue`` is linear at degree 1; sklearn 1.9.1's ``linear`` takes wrong limits from the
    second feature on (it raises the degree inside its loop over features).
    """
    parts = []
    for count, group in groupby(_by_num_knots(job), key=lambda e: len(e.knots)):
        features = list(group)
        splines = SplineTransformer(
            degree=1,
            knots=np.array([base_knots(e, job) for e in features]).T,
            extrapolation="continue",
        )
        pipeline = make_pipeline(SimpleImputer(strategy="median"), splines)
        parts.append((f"numbers with {count} knots", pipeline, [e.name for e in features]))
    return parts


def _by_num_knots(job: Job) -> list[NumberEncoding]:
    return sorted(job.numbers, key=lambda e: len(e.knots))


def base_knots(encoding: NumberEncoding, job: Job) -> list[float]:
    """Our knots between the extremes of the rows that both sides were fitted on."""
    values = job.fitted[encoding.name]
    return [float(values.min()), *encoding.knots, float(values.max())]


def largest_difference(job: Job, basis: str, peer: Matrix, ours: NDArray[np.float32]) -> float:
    """Largest difference of the inputs that both sides give, in units of the input.

    Splines of degree 1 and truncated lines with the same knots span the same functions: a line is
    the splines weighted by its values at the knots.
    """
    names = job.encoder.input_names()
    known = [place for place, name in enumerate(names) if not name.endswith(" unknown")]
    return float(np.abs(_in_our_order(job, basis, peer) - ours[:, known]).max())


def _in_our_order(job: Job, basis: str, peer: Matrix) -> Matrix:
    blocks = dict(_blocks(job, basis, peer))
    ordered = [blocks[key] for e in job.encoder.encodings for key in (f"{e.name}?", e.name)
               if key in blocks]  # fmt: skip
    return np.concatenate(ordered, axis=1)


def _blocks(job: Job, basis: str, peer: Matrix) -> Iterator[tuple[str, Matrix]]:
    """Columns of the peer by feature, in the peer's order; ``name?`` are missing flags."""
    start = 0
    for encoding in _by_num_knots(job) if basis == "piecewise" else job.numbers:
        width = len(encoding.knots) + 2 if basis == "piecewise" else 1
        block = peer[:, start : start + width]
        yield encoding.name, block @ _line_weights(encoding, job) if width > 1 else block
        start += width
    for encoding in job.numbers:
        if encoding.missing_flag:
            yield f"{encoding.name}?", peer[:, start : start + 1]
            start += 1
    for category in job.categories:
        yield category.name, peer[:, start : start + len(category.labels)]
        start += len(category.labels)


def _line_weights(encoding: NumberEncoding, job: Job) -> NDArray[np.float64]:
    """Values of our lines at the base knots, (num_knots + 2, num_knots + 1)."""
    slopes, offsets, floors = encoding.lines()
    at = np.array(base_knots(encoding, job))[:, None]
    return np.maximum(at * slopes - offsets, floors)
