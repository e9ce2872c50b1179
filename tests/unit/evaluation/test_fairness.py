"""Fairness: figures and intervals from sums, the worst client, spread beyond chance."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest

from fedchurn.evaluation.fairness import Fairness, between, fairness
from fedchurn.evaluation.fairness_page import MOST_CLIENTS, fairness_section
from fedchurn.evaluation.sums import NUM_BINS, ScoreSums, score_sums
from fedchurn.registry.delong import paired_auc


def rows(num_rows: int, seed: int, noise: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Targets and scores on bin edges, so that areas agree to rounding."""
    generator = np.random.default_rng(seed)
    truth = generator.random(num_rows)
    score = np.clip(truth + generator.normal(0, noise, num_rows), 0, 0.999)
    target = (generator.random(num_rows) < truth).astype(int)
    return target, np.floor(score * NUM_BINS) / NUM_BINS


def sums(num_rows: int, seed: int, noise: float = 0.2) -> ScoreSums:
    return score_sums(*rows(num_rows, seed, noise))


def test_auc_and_its_error_are_delongs() -> None:
    target, score = rows(80, 1)
    one = fairness({"a": score_sums(target, score), "b": sums(60, 2)}, 0.5)
    areas, covariance = paired_auc(target == 1, np.stack([score, score]), np.arange(80))
    figure = one.spreads["roc_auc"].clients["a"]
    assert figure.value == pytest.approx(areas[0])
    assert figure.error == pytest.approx(math.sqrt(covariance[0, 0]), rel=0.02)


def test_log_loss_error_is_the_standard_error_of_the_rows() -> None:
    target, score = rows(200, 3)
    score = np.clip(score, 0.02, 0.98)
    losses = -np.where(target == 1, np.log(score), np.log1p(-score))
    one = fairness({"a": score_sums(target, score), "b": sums(60, 2)}, 0.5)
    figure = one.spreads["log_loss"].clients["a"]
    assert figure.value == pytest.approx(losses.mean(), abs=1e-6)
    assert figure.error == pytest.approx(losses.std() / math.sqrt(200), rel=0.02)


def test_gap_and_recall_by_hand() -> None:
    # Four rows at .25, one of them a churner; and two at .75, both churners: 3/6 churn, mean 2.5/6.
    client = score_sums(np.array([1, 0, 0, 0, 1, 1]), np.array([0.25] * 4 + [0.75] * 2))
    one = fairness({"a": client, "b": client}, 0.5)
    gap, recall = (one.spreads[name].clients["a"] for name in ("calibration_gap", "recall"))
    assert gap.value == pytest.approx(0.5 - 2.5 / 6, abs=2e-4)
    assert gap.error == pytest.approx(math.sqrt(6 * 0.25 * 0.75) / 6, abs=1e-4)
    assert recall.value == pytest.approx(2 / 3)
    # Wilson's interval of 2 of 3
    assert (recall.low, recall.high) == pytest.approx((0.2077, 0.9385), abs=1e-3)


def test_worst_means_low_for_shares_high_for_losses_and_far_for_gaps() -> None:
    good, bad = sums(400, 5, noise=0.05), sums(400, 6, noise=0.9)
    spreads = fairness({"good": good, "bad": bad}, 0.5).spreads
    assert spreads["roc_auc"].worst == spreads["log_loss"].worst == "bad"
    calm = score_sums(np.array([0, 1]), np.array([0.5, 0.5]))
    bold = score_sums(np.array([0, 0]), np.array([0.75, 0.75]))
    gaps = fairness({"calm": calm, "bold": bold}, 0.5).spreads["calibration_gap"]
    assert gaps.worst == "bold"
    assert gaps.clients["bold"].value < 0
    assert gaps.range == pytest.approx(0.75, abs=1e-3)


def test_copies_of_customers_widen_every_interval() -> None:
    clients = {"a": sums(100, 1), "b": sums(100, 2)}
    plain, copied = fairness(clients, 0.5), fairness(clients, 0.5, {"a": 4.0})
    for name in ("roc_auc", "log_loss", "calibration_gap"):
        errors = [one.spreads[name].clients["a"].error for one in (plain, copied)]
        assert errors[1] == pytest.approx(2 * errors[0])
        assert copied.spreads[name].clients["b"] == plain.spreads[name].clients["b"]
    recalls = [one.spreads["recall"].clients["a"] for one in (plain, copied)]
    assert recalls[1].high - recalls[1].low > recalls[0].high - recalls[0].low


def test_equal_clients_of_few_rows_differ_by_chance_only() -> None:
    generator = np.random.default_rng(8)
    spreads = [between(generator.normal(0, 0.1, 30).tolist(), [0.1] * 30) for _ in range(200)]
    assert np.median(spreads) < 0.03
    real = generator.normal(0, 0.3, 4000) + generator.normal(0, 0.1, 4000)
    assert between(real.tolist(), [0.1] * 4000) == pytest.approx(0.3, abs=0.02)


def test_a_client_without_one_class_has_no_auc_and_one_client_no_spread() -> None:
    loyal = score_sums(np.zeros(5), np.full(5, 0.25))
    one = fairness({"a": sums(50, 1), "b": sums(50, 2), "loyal": loyal}, 0.5)
    assert set(one.spreads["roc_auc"].clients) == {"a", "b"}
    assert set(one.spreads["recall"].clients) == {"a", "b"}
    assert "loyal" in one.spreads["log_loss"].clients
    assert fairness({"a": sums(50, 1)}, 0.5).spreads == {}
    assert fairness({"a": ScoreSums.zero(), "b": ScoreSums.zero()}, 0.5).spreads == {}


def test_record_and_summary_survive_json() -> None:
    one = fairness({"a": sums(50, 1), "b": sums(50, 2)}, 0.5)
    stored = json.loads(json.dumps(one.to_dict(), allow_nan=False))
    assert Fairness.from_dict(stored) == one
    told = one.summary()["roc_auc"]
    assert told["value"] == one.spreads["roc_auc"].clients[str(told["worst"])].value


def test_the_section_names_the_worst_escapes_names_and_ends_at_fifty_clients() -> None:
    one = fairness({"<b>": sums(50, 1, 0.9), "fine": sums(50, 2, 0.01)}, 0.5)
    page = fairness_section(one)
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    figure = one.spreads["roc_auc"].clients["<b>"]
    assert f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]" in page
    many = fairness({f"client_{n}": sums(30, n) for n in range(60)}, 0.5)
    page = fairness_section(many)
    assert "50 of\n60" in page
    worst = many.spreads["roc_auc"].worst
    best = max(
        many.spreads["roc_auc"].clients, key=lambda c: many.spreads["roc_auc"].clients[c].value
    )
    assert f"<td>{worst}</td>" in page
    assert f"<td>{best}</td>" not in page
    assert page.count("<tr><td>client_") == MOST_CLIENTS
    assert not fairness_section(None)
    assert not fairness_section(dataclasses.replace(one, spreads={}))
