"""An encoder from the contract alone, for trainings in which no statistics may leave a client."""

from __future__ import annotations

import numpy as np

from fedchurn.contract.columns import features
from fedchurn.contract.schema import Contract
from fedchurn.encoding.encoder import CategoryEncoding, Encoder, NumberEncoding
from fedchurn.encoding.fit import EncoderSettings
from fedchurn.encoding.ranges import histogram_edges, number_ranges
from fedchurn.encoding.statistics import CategoryCounts, NumberSums, Statistics
from fedchurn.errors import ContractError


def contract_encoder(contract: Contract, settings: EncoderSettings) -> Encoder:
    """The encoder that fits values spread evenly over the usual (else the hard) ranges.

    Centers and fills are the middle of the range, scales its standard deviation (``minmax``: its
    width), knots cut it into equal parts. Every number and category has an input for "missing".

    Raises:
        ContractError: a number has no range.
    """
    ranges = number_ranges(contract)
    encodings: list[NumberEncoding | CategoryEncoding] = []
    for feature in features(contract):
        if feature.labels is not None:
            encodings.append(CategoryEncoding(feature.name, feature.labels, missing_flag=True))
            continue
        limits = ranges[feature.name]
        if limits is None:
            raise ContractError(
                f"{feature.name} has no range, and a private training may not look at its values",
                where=f"contract {contract.contract}",
                next_step=f"write columns.{feature.name}.usual, or that of the columns behind it",
            )
        encodings.append(_number(feature.name, *limits, settings))
    return Encoder(tuple(encodings))


def _number(name: str, low: float, high: float, settings: EncoderSettings) -> NumberEncoding:
    width = max(high - low, 1e-9)
    middle = (low + high) / 2
    center, scale = (low, width) if settings.scaling == "minmax" else (middle, width / 12**0.5)
    shares = np.linspace(0, 1, settings.num_knots + 2)[1:-1]
    cuts = (
        np.unique(np.round(low + shares * width, 6))
        if settings.basis == "piecewise"
        else shares[:0]
    )
    knots = tuple(float(cut) for cut in cuts)
    return NumberEncoding(name, center, scale, middle, knots, missing_flag=True)


def no_statistics(contract: Contract) -> Statistics:
    """Statistics of no rows at all; ``low`` and ``high`` are the contract's range."""
    edges, ranges = histogram_edges(contract), number_ranges(contract)
    numbers: dict[str, NumberSums] = {}
    categories: dict[str, CategoryCounts] = {}
    for feature in features(contract):
        if feature.labels is None:
            low, high = ranges[feature.name] or (0.0, 1.0)
            cells = np.zeros(len(edges[feature.name]) + 1)
            numbers[feature.name] = NumberSums(0.0, 0.0, 0.0, 0.0, low, high, cells)
        else:
            categories[feature.name] = CategoryCounts(np.zeros(len(feature.labels)), 0.0, 0.0)
    return Statistics(0.0, 0.0, numbers, categories, 0.0)
