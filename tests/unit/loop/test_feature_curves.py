"""Curves of the additive model against sums made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fedchurn.contract.columns import features
from fedchurn.contract.schema import Contract
from fedchurn.encoding.encoder import CategoryEncoding, Encoder, NumberEncoding
from fedchurn.encoding.statistics import CategoryCounts, NumberSums, Statistics
from fedchurn.evaluation.curves import FeatureCurve
from fedchurn.learning.spec import HiddenLayer, ModelSpec
from fedchurn.loop.feature_curves import feature_curves
from fedchurn.release.scorer import Scorer

CONTRACT = Contract.model_validate(
    {
        "contract": "small",
        "version": "1.0.0",
        "target": {"column": "left", "positive": 1, "negative": 0},
        "columns": {
            "months": {"kind": "integer", "unit": "months", "usual": [0, 60], "nullable": True},
            "plan": {"kind": "category", "categories": ["S", "M"], "nullable": True},
        },
    }
)
ENCODER = Encoder(
    (
        NumberEncoding("months", 10.0, 2.0, 12.0, (14.0,), True),
        CategoryEncoding("plan", ("S", "M"), True),
    )
)
# missing, (months - 10) / 2, max((months - 14) / 2, 0); S, M, unknown, missing
KERNEL = (0.5, 1.0, 2.0, 0.1, 0.4, 9.0, 0.7)


def scorer(kernel: tuple[float, ...] = KERNEL) -> Scorer:
    weights = (np.asarray(kernel, dtype=np.float32).reshape(-1, 1), np.zeros(1, np.float32))
    return Scorer(CONTRACT, ENCODER, ModelSpec(7), weights)


def statistics(low: float, high: float, plans: tuple[float, float], count: float = 9) -> Statistics:
    months = NumberSums(count, 0, 0, 0, low, high, np.zeros(62))
    return Statistics(9, 3, {"months": months}, {"plan": CategoryCounts(np.array(plans), 0, 0)}, 9)


def curves(*parts: Statistics, model: Scorer | None = None) -> dict[str, FeatureCurve]:
    named = {str(number): part for number, part in enumerate(parts)}
    found = feature_curves(model or scorer(), features(CONTRACT), named)
    return {curve.feature: curve for curve in found}


def test_a_number_is_measured_from_its_typical_value() -> None:
    months = curves(statistics(10, 14, (2, 7)), statistics(12, 16, (2, 7)))["months"]
    assert (months.grid[0], months.grid[-1], months.unit) == (10, 16, "months")
    # At 12 months, the fill: 1. At 10: 0. At 16: 3 + 2.
    assert months.contribution[0] == pytest.approx(-1)
    assert months.contribution[-1] == pytest.approx(4)
    by_hand = (months.grid - 10) / 2 + 2 * np.maximum((months.grid - 14) / 2, 0) - 1
    np.testing.assert_allclose(months.contribution, by_hand, atol=1e-6)
    assert months.missing == pytest.approx(0.5)


def test_a_category_is_measured_from_its_commonest_label_over_all_clients() -> None:
    plan = curves(statistics(0, 1, (5, 0)), statistics(0, 1, (1, 7)))["plan"]
    assert plan.labels == ("S", "M")
    np.testing.assert_allclose(plan.contribution, [-0.3, 0.0], atol=1e-6)
    assert plan.missing == pytest.approx(0.3)
    assert len(plan.grid) == 0


def test_the_strongest_comes_first() -> None:
    part = statistics(10, 16, (1, 7))
    assert list(curves(part)) == ["months", "plan"]
    assert list(curves(part, model=scorer((0, 0, 0, 5, 0, 0, 0)))) == ["plan", "months"]


def test_a_column_without_values_has_a_curve_all_the_same() -> None:
    largest = float(np.finfo(np.float64).max)
    months = curves(statistics(largest, -largest, (1, 7), count=0))["months"]
    assert (months.grid[0], months.grid[-1]) == (0, 1)
    assert np.isfinite(months.contribution).all()


def test_a_network_has_no_curves() -> None:
    spec = ModelSpec(7, hidden=(HiddenLayer(2),))
    shapes = [shape for _, shape in spec.weight_shapes()]
    model = Scorer(CONTRACT, ENCODER, spec, tuple(np.zeros(s, np.float32) for s in shapes))
    assert curves(statistics(0, 1, (1, 7)), model=model) == {}
