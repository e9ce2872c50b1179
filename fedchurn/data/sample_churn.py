"""Who churns in a generated sample.

Churn is drawn by a latent score: effects of the values (and of missing ones) plus logistic noise;
the intercept is the quantile at which the share of churn is ``target.rate``. A scenario keeps the
intercept: the world is disturbed, what makes customers leave is not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.schema import Column, Contract
from fedchurn.data.sample_draft import Draft, centre, shape_of, silo_labels, stream

DEFAULT_RATE = 0.25  # share of churn where the contract states none


def draw_churn(draft: Draft, calm: Draft, contract: Contract, seed: int) -> NDArray[np.bool_]:
    """Whether each customer churns; ``calm`` is the sample without scenario (or ``draft``)."""
    rng = stream(seed, "churn")
    num_rows = len(next(iter(draft.columns.values())))
    noise = contract.sample.noise * rng.standard_normal(num_rows) + rng.logistic(size=num_rows)
    rate = contract.target.rate if contract.target.rate is not None else DEFAULT_RATE
    num_churn = min(max(round(rate * num_rows), 1), num_rows - 1)
    calm_scores = np.sort(_logits(calm, calm, contract) + noise)
    threshold = (calm_scores[-num_churn - 1] + calm_scores[-num_churn]) / 2
    return np.asarray(_logits(draft, calm, contract) + noise > threshold)


def _logits(draft: Draft, calm: Draft, contract: Contract) -> NDArray[np.float64]:
    """Churn logit per row without intercept; scales come from the undisturbed sample."""
    logits = np.zeros(len(next(iter(draft.columns.values()))))
    for name, column in contract.columns.items():
        effects = _effects(name, column, draft, calm)
        logits += np.where(draft.is_missing(name), shape_of(column).null_effect, effects)
    labels = silo_labels(contract)
    if len(labels) > 1 and contract.silo_column is not None:
        offsets = contract.sample.silo_effect * np.linspace(-1, 1, len(labels))
        logits += np.append(offsets, 0.0)[draft.columns[contract.silo_column]]
    return logits


def _effects(name: str, column: Column, draft: Draft, calm: Draft) -> NDArray[np.float64]:
    shape = shape_of(column)
    if column.is_number:
        mean, spread = centre(column)
        if shape.mean is None or not shape.spread:
            known = calm.columns[name][~calm.is_missing(name)]
            mean, spread = (float(known.mean()), float(known.std())) if len(known) else (0.0, 1.0)
        return shape.effect * (draft.columns[name] - mean) / (spread or 1.0)
    table = [shape.effects.get(label, 0.0) for label in draft.labels[name]]
    return np.asarray([*table, 0.0])[draft.columns[name]]
