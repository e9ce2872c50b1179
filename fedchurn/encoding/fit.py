"""From pooled statistics to an encoder."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from fedchurn.contract.columns import features
from fedchurn.contract.schema import Contract
from fedchurn.encoding.encoder import CategoryEncoding, Encoder, NumberEncoding
from fedchurn.encoding.ranges import are_whole, histogram_edges
from fedchurn.encoding.statistics import NumberSums, Statistics


class EncoderSettings(BaseModel):
    """How numbers are encoded.

    Attributes:
        basis: ``piecewise`` (lines with slopes that change at quantiles) or ``linear``.
        num_knots: number of inner quantiles where a slope may change.
        scaling: ``standard`` (mean 0, deviation 1) or ``minmax`` (0 to 1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    basis: Literal["piecewise", "linear"] = "piecewise"
    num_knots: int = Field(default=8, ge=1, le=64)
    scaling: Literal["standard", "minmax"] = "standard"


def fit_encoder(statistics: Statistics, contract: Contract, settings: EncoderSettings) -> Encoder:
    """The encoder for all clients, from the sum of their statistics (training rows only)."""
    edges = histogram_edges(contract)
    encodings: list[NumberEncoding | CategoryEncoding] = []
    for feature in features(contract):
        if feature.labels is None:
            sums = statistics.numbers[feature.name]
            flag = sums.missing > 0 or _nullable(contract, feature.name)
            encodings.append(_number(feature.name, sums, edges[feature.name], flag, settings))
        else:
            counts = statistics.categories[feature.name]
            flag = counts.missing > 0 or _nullable(contract, feature.name)
            encodings.append(CategoryEncoding(feature.name, feature.labels, flag))
    return Encoder(tuple(encodings))


def _nullable(contract: Contract, name: str) -> bool:
    return name in contract.columns and contract.columns[name].nullable


def _number(
    name: str,
    sums: NumberSums,
    edges: NDArray[np.float64],
    missing_flag: bool,
    settings: EncoderSettings,
) -> NumberEncoding:
    if sums.count == 0:
        return NumberEncoding(name, 0.0, 1.0, 0.0, (), missing_flag)
    mean = sums.total / sums.count
    deviation = float(np.sqrt(max(sums.total_squares / sums.count - mean**2, 0.0)))
    center, scale = (mean, deviation)
    if settings.scaling == "minmax":
        center, scale = sums.low, sums.high - sums.low
    median = float(histogram_quantiles(sums.cells, edges, np.array([0.5]))[0])
    knots = _knots(sums, edges, settings) if settings.basis == "piecewise" else ()
    return NumberEncoding(
        name, center, scale if scale > 1e-12 else 1.0, median, knots, missing_flag
    )


def _knots(
    sums: NumberSums, edges: NDArray[np.float64], settings: EncoderSettings
) -> tuple[float, ...]:
    shares = np.linspace(0, 1, settings.num_knots + 2)[1:-1]
    quantiles = np.round(histogram_quantiles(sums.cells, edges, shares), 6)
    inner = quantiles[(quantiles > sums.low) & (quantiles < sums.high)]
    # A knot at the lowest value would repeat the line itself.
    return tuple(float(q) for q in np.unique(inner))


def histogram_quantiles(
    cells: NDArray[np.float64], edges: NDArray[np.float64], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Quantiles of a histogram with outer cells below ``edges[0]`` and above ``edges[-1]``.

    Cells of width 1 around whole numbers give that number; wider ones are interpolated linearly.
    The outer cells are taken to sit on the outermost edges.
    """
    cumulative = np.cumsum(cells)
    wanted = np.asarray(shares) * cumulative[-1]
    cell = np.minimum(np.searchsorted(cumulative, wanted, side="left"), len(cells) - 1)
    low = np.concatenate([[edges[0]], edges])[cell]
    high = np.concatenate([edges, [edges[-1]]])[cell]
    before = cumulative[cell] - cells[cell]
    inside = (wanted - before) / np.maximum(cells[cell], 1e-12)
    share = np.full(len(cell), 0.5) if are_whole(edges) else inside
    return np.asarray(low + np.clip(share, 0, 1) * (high - low), dtype=np.float64)
