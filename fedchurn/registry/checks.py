"""The checks behind a decision; each says in words what was measured and against which limit.

Why "no worse" can be enough (``refresh_on_new_data``): once a model is good, the next one is equal
within noise nearly every time. If only a significant gain counted, production would for ever keep
the model trained on the oldest rows, and a slow drift would be met too late. So a challenger
trained on other rows may take over when it is not worse beyond noise, and never by more than
``not_worse_margin``, so that many small steps down cannot hide in the noise of each. A challenger
trained on the same rows has no such claim: it must be better.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

from fedchurn.registry.comparison import PairedComparison
from fedchurn.registry.policy import ModelEvidence, PromotionPolicy, Reason


def floors(challenger: ModelEvidence, policy: PromotionPolicy) -> Iterator[Reason]:
    """Checks of the challenger by itself."""
    accuracy, majority = challenger.accuracy, challenger.majority_accuracy
    yield _floor("accuracy", "Accuracy", accuracy, policy.min_accuracy)
    if policy.above_majority:
        passed = accuracy > majority
        yield _reason(
            "majority",
            passed,
            accuracy,
            majority,
            f"Accuracy {accuracy:.4f} is {'' if passed else 'not '}above {majority:.4f}, which "
            "always answering the commoner class gives.",
        )
    yield _floor("roc_auc", "ROC-AUC", challenger.roc_auc, policy.min_auc)


def _floor(check: str, name: str, value: float, limit: float) -> Reason:
    passed = value >= limit
    side = "reaches" if passed else "is below"
    return _reason(check, passed, value, limit, f"{name} {value:.4f} {side} the floor {limit:.4f}.")


def compared_with(
    challenger: ModelEvidence,
    champion: ModelEvidence,
    comparison: PairedComparison | None,
    policy: PromotionPolicy,
) -> Iterator[Reason]:
    """Checks of the challenger against the champion."""
    yield _novelty(challenger, champion)
    if comparison is None:
        yield Reason(
            "comparison",
            False,
            None,
            None,
            f"Challenger and champion {champion.release_id} were not compared on the same rows.",
        )
        return
    new_data = challenger.data_digest != champion.data_digest
    yield _comparison(comparison, policy, new_data)
    yield _clients(comparison, policy)


def _novelty(challenger: ModelEvidence, champion: ModelEvidence) -> Reason:
    same = (challenger.data_digest, challenger.weights_digest) == (
        champion.data_digest,
        champion.weights_digest,
    )
    sentence = (
        f"It is the same model as the champion {champion.release_id}: equal rows, equal weights."
        if same
        else f"It is another model than the champion {champion.release_id}."
    )
    return Reason("same_model", not same, None, None, sentence)


def _comparison(comparison: PairedComparison, policy: PromotionPolicy, new_data: bool) -> Reason:
    if policy.mode == "not_worse":
        return _non_inferior(comparison, policy)
    refresh = new_data and policy.refresh_on_new_data
    if refresh and comparison.p_better >= policy.significance:
        return _refresh(comparison, policy)
    return _better(comparison, policy, new_data)


def _better(comparison: PairedComparison, policy: PromotionPolicy, new_data: bool) -> Reason:
    passed = comparison.p_better < policy.significance
    word = "better beyond noise" if passed else "not better beyond noise"
    why = "" if passed or new_data else ", and it was trained on the same rows"
    p_value, limit = comparison.p_better, policy.significance
    sentence = f"{_gap(comparison)}: {word} (p {p_value:.3g}, limit {limit:g}){why}."
    return _reason("better", passed, p_value, limit, sentence)


def _refresh(comparison: PairedComparison, policy: PromotionPolicy) -> Reason:
    difference, margin = comparison.difference, policy.not_worse_margin
    if comparison.p_worse < policy.significance:
        word = f"worse beyond noise (p {comparison.p_worse:.3g}, limit {policy.significance:g})"
    elif difference < -margin:
        word = f"within noise, but more than {margin:g} lower"
    else:
        sentence = f"{_gap(comparison)}: equal within noise, and it was trained on other rows."
        return _reason("refresh", True, difference, -margin, sentence)
    return _reason("refresh", False, difference, -margin, f"{_gap(comparison)}: {word}.")


def _non_inferior(comparison: PairedComparison, policy: PromotionPolicy) -> Reason:
    """Non-inferiority: the one-sided lower confidence bound stays above the margin."""
    margin = policy.not_worse_margin
    bound = comparison.difference - _quantile(policy.significance) * comparison.standard_error
    passed = bound > -margin
    verdict = f"which is {'inside' if passed else 'beyond'} the margin {margin:g}"
    sentence = (
        f"{_gap(comparison)}: with {1 - policy.significance:.0%} confidence the true difference is "
        f"at least {bound:+.4f}, {verdict}."
    )
    return _reason("not_worse", passed, bound, -margin, sentence)


def _quantile(alpha: float) -> float:
    return NormalDist().inv_cdf(1 - alpha)


def _gap(comparison: PairedComparison) -> str:
    return (
        f"On the same rows of {comparison.num_customers} customers its ROC-AUC differs by "
        f"{comparison.difference:+.4f} from the champion's {comparison.auc_champion:.4f} "
        f"(standard error {comparison.standard_error:.4f})"
    )


def _clients(comparison: PairedComparison, policy: PromotionPolicy) -> Reason:
    gains = {c: g for c, g in comparison.client_differences.items() if g is not None}
    silent = sorted(comparison.client_differences.keys() - gains.keys())
    losers = sorted((g, c) for c, g in gains.items() if g < -policy.client_margin)
    worst = min(gains.values(), default=None)
    if losers:
        named = ", ".join(f"{client} loses {-gain:.4f}" for gain, client in losers)
        sentence = f"Clients left worse by more than {policy.client_margin:g} ROC-AUC: {named}."
    else:
        sentence = f"No client loses more than {policy.client_margin:g} ROC-AUC"
        sentence += f" (the worst: {worst:+.4f})." if worst is not None else "."
    if silent:
        sentence += f" Too few customers to tell: {', '.join(silent)}."
    return _reason("clients", not losers, worst, -policy.client_margin, sentence)


def _reason(
    check: str, passed: bool, value: float | None, limit: float | None, sentence: str
) -> Reason:
    return Reason(check, passed, _finite(value), _finite(limit), sentence)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
