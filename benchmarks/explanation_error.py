"""How far our contributions are from Shapley values by their definition, over all coalitions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.explanation_job import Job, Row
from fedchurn.release.canonical import values_to_columns
from fedchurn.serving.explaining.explanation import Explainer
from fedchurn.serving.explaining.shapley_coalitions import MAX_EXACT, all_coalitions
from fedchurn.serving.explaining.shapley_players import Player, find_players
from fedchurn.serving.predictor import Predictor

MAX_PLAYERS = 15


def sampled_rows(job: Job) -> list[Row]:
    """Customers with more players than are enumerated, and few enough to enumerate them here."""
    typical = Explainer(Predictor(job.scorer), job.reference).typical_customer
    return [r for r in job.rows if MAX_EXACT < len(_players(job, r, typical)) <= MAX_PLAYERS]


def largest_error(job: Job, row: Row) -> float:
    """Largest difference of a contribution to its value over all coalitions, as a probability."""
    explainer = Explainer(Predictor(job.scorer), job.reference)
    found = {c.field: c.contribution for c in explainer.explain(row).contributions}
    typical = explainer.typical_customer
    players = _players(job, row, typical)
    exact = _by_definition(job, row, typical, players)
    return max(abs(found[names[0]] - value) for names, value in zip(players, exact, strict=True))


def _players(job: Job, row: Row, typical: Row) -> tuple[Player, ...]:
    differing = [n for n, value in typical.items() if value != row[n]]
    return find_players(row, typical, differing, job.contract)


def _by_definition(job: Job, row: Row, typical: Row, players: tuple[Player, ...]) -> list[float]:
    """Shapley values from every coalition, each scored as a row of its own."""
    coalitions, sizes = all_coalitions(len(players))
    frame = {name: np.full(len(coalitions), typical[name], dtype=object) for name in typical}
    for player, names in enumerate(players):
        for name in names:
            frame[name][coalitions[:, player]] = row[name]
    scores = _scores(job, frame)
    count = len(players)
    share = np.array([1 / count / math.comb(count - 1, k) for k in range(count)] + [0.0])
    return [
        float(np.sum(np.where(joins, share[sizes - 1], -share[sizes]) * scores))
        for joins in coalitions.T
    ]


def _scores(job: Job, frame: dict[str, Any]) -> Any:
    return job.scorer.score(values_to_columns(frame, job.contract))
