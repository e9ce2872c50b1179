"""Which clients' local models rank the rows of most other clients in reverse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from fedchurn.evaluation.metrics import roc_auc
from fedchurn.evaluation.sums import ScoreSums

REVERSED = -3.0  # standard errors below one half
MIN_VOTERS = 2


def reversing_clients(
    clients: Sequence[str], sums: Sequence[Mapping[str, ScoreSums]]
) -> dict[str, str]:
    """Clients whose models are worse than none at most others, one voice each, with the figures.

    A model speaks against its maker where its ROC-AUC is below one half; named is who has more than
    half of the other clients' rows against itself, by three standard errors of the AUCs together.
    Churn rates play no part in an AUC, so clients may differ in them. The clearest is named first
    and has no voice any more.

    Args:
        clients: makers of the models.
        sums: per model, each client's score sums.
    """
    scores = {
        maker: {c: _score(one) for c, one in by_client.items() if _has_both(one) and c != maker}
        for maker, by_client in zip(clients, sums, strict=True)
    }
    found: dict[str, str] = {}
    while True:
        judged = {m: _judged(s, found) for m, s in scores.items() if m not in found}
        against = {m: z for m, (z, _, _) in judged.items() if z < REVERSED}
        if not against:
            return found
        worst = min(sorted(against), key=lambda maker: against[maker])
        score, num_against, num_voters = judged[worst]
        found[worst] = (
            f"its model turns others' round: {num_against} of {num_voters} other clients' rows are"
            f" ranked in reverse, together by {-score:.1f} standard errors"
        )


def _judged(scores: Mapping[str, float], found: Mapping[str, str]) -> tuple[float, int, int]:
    voices = [score for client, score in sorted(scores.items()) if client not in found]
    against = sum(score < 0 for score in voices)
    if len(voices) < MIN_VOTERS or 2 * against <= len(voices):
        return 0.0, against, len(voices)
    # Stouffer's sum over the median half of voices: one liar moves it little.
    middle = sorted(voices)[: len(voices) // 2 + 1][-1]
    return float(middle * np.sqrt(against)), against, len(voices)


def _score(sums: ScoreSums) -> float:
    """(AUC - 1/2) in standard errors under no relation at all (Mann and Whitney 1947)."""
    positive, negative = float(sums.num_positive), float(sums.num_negative)
    error = np.sqrt((positive + negative + 1) / (12 * positive * negative))
    return float((float(roc_auc(sums)) - 0.5) / error)


def _has_both(sums: ScoreSums) -> bool:
    return sums.num_positive > 0 and sums.num_negative > 0
