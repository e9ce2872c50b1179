"""What each feature of an additive model adds to the churn logit, for plots and people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.columns import MISSING, Feature
from fedchurn.encoding.encoder import CategoryEncoding, NumberEncoding
from fedchurn.encoding.from_contract import no_statistics
from fedchurn.encoding.statistics import Statistics, pool_statistics
from fedchurn.evaluation.curves import FeatureCurve, strongest_first
from fedchurn.release.scorer import Scorer

NUM_POINTS = 64


def feature_curves(
    model: Scorer, known: Sequence[Feature], statistics: Mapping[str, Statistics]
) -> tuple[FeatureCurve, ...]:
    """Curves of the linear path, strongest first; none for a model with a network in it.

    Args:
        model: encoder and weights.
        known: the contract's features.
        statistics: per client; their sum gives range and most common label. None at all after a
            private training: the contract's range and first label stand in.
    """
    if not model.spec.linear or model.spec.hidden:
        return ()
    parts = list(statistics.values())
    pooled = pool_statistics(parts) if parts else no_statistics(model.contract)
    kernel = model.weights[0][:, 0].astype(np.float64)
    names = {feature.name for feature in known}
    curves = []
    for encoding in model.encoder.encodings:
        weights = kernel[model.encoder.slices()[encoding.name]]
        if encoding.name not in names:
            continue
        if isinstance(encoding, NumberEncoding):
            curves.append(_number_curve(encoding, weights, pooled, model))
        else:
            curves.append(_category_curve(encoding, weights, pooled))
    return strongest_first(curves)


def _number_curve(
    encoding: NumberEncoding, weights: NDArray[np.float64], pooled: Statistics, model: Scorer
) -> FeatureCurve:
    sums = pooled.numbers[encoding.name]
    # Where no client had k values, nobody told a range: low is the largest float then.
    low, high = (sums.low, sums.high) if sums.low <= sums.high else (0.0, 1.0)
    grid = np.linspace(low, high, NUM_POINTS)
    values = np.concatenate([grid, [encoding.fill, np.nan]])
    added = _added(encoding, weights, values)
    column = model.contract.columns.get(encoding.name)
    return FeatureCurve(
        encoding.name,
        added[:-2] - added[-2],
        grid,
        missing=float(added[-1] - added[-2]) if encoding.missing_flag else None,
        unit=(column.unit or "") if column else "",
    )


def _category_curve(
    encoding: CategoryEncoding, weights: NDArray[np.float64], pooled: Statistics
) -> FeatureCurve:
    codes = np.array([*range(len(encoding.labels)), MISSING], dtype=np.int32)
    added = _added(encoding, weights, codes)
    common = int(np.argmax(pooled.categories[encoding.name].cells))
    return FeatureCurve(
        encoding.name,
        added[:-1] - added[common],
        np.zeros(0),
        labels=encoding.labels,
        missing=float(added[-1] - added[common]) if encoding.missing_flag else None,
    )


def _added(
    encoding: NumberEncoding | CategoryEncoding,
    weights: NDArray[np.float64],
    values: NDArray[np.float64] | NDArray[np.int32],
) -> NDArray[np.float64]:
    inputs = np.zeros((len(values), encoding.width), dtype=np.float32)
    encoding.write(values, inputs)
    return np.asarray(inputs @ weights, dtype=np.float64)
