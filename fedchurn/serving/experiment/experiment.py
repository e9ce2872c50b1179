"""What an experiment has shown so far: arms of an A/B split, and a challenger in the shadow.

All figures are sums, so those of several workers add up. They begin with the worker; for the long
run there are the metrics.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fedchurn.serving.live import Live
from fedchurn.serving.records import CHALLENGER, CHAMPION, PredictionRecord
from fedchurn.serving.reload.worker_states import WorkerState

Sums = dict[str, float]
_MAX_KEYS = 8  # releases seen in a worker; older ones are forgotten
_ARM = ("num_answers", "num_by_model", "num_churners", "probability_sum")
_SHADOW = (
    "num_compared",
    "num_decisions_differ",
    "difference_sum",
    "difference_largest",
    "num_failed",
    "num_skipped",
)


class Experiment:
    """Sums of one worker; a sink of records, which also holds what the shadow adds."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._lock = threading.Lock()
        self._arms: dict[tuple[str, ...], Sums] = {}
        self._shadows: dict[tuple[str, ...], Sums] = {}

    def take(self, records: Sequence[PredictionRecord]) -> None:
        """Count answers by arm and release; only while there is a challenger."""
        if self._live.state.challenger is None:
            return
        with self._lock:
            for record in records:
                served = record.served
                sums = _of(self._arms, (served.role, served.release_id), _ARM)
                sums["num_answers"] += 1
                if record.model_used == served.role:
                    sums["num_by_model"] += 1
                    sums["num_churners"] += record.prediction
                    sums["probability_sum"] += record.probability

    def close(self) -> None:
        """Nothing is held open."""

    def add_shadow(self, champion: str, challenger: str, **added: float) -> None:
        """Add what a challenger (a release id) gave beside a champion; fields as in ``_SHADOW``."""
        with self._lock:
            _add(_of(self._shadows, (champion, challenger), _SHADOW), added)

    def sums(self) -> dict[str, Any]:
        """JSON-ready sums of this worker."""
        with self._lock:
            return {
                "arms": [{"arm": a, "release": r, **s} for (a, r), s in self._arms.items()],
                "shadow": [
                    {"champion": a, "challenger": b, **s} for (a, b), s in self._shadows.items()
                ],
            }

    def report(
        self, states: Iterable[WorkerState] = (), own_pid: int | None = None
    ) -> dict[str, Any]:
        """What the experiment of the present champion and challenger has shown in all workers.

        Args:
            states: of all workers; this worker's own is replaced by what it knows now.
            own_pid: process id of this worker.
        """
        others = [state.experiment for state in states if state.pid != own_pid]
        every = [self.sums(), *others]
        state = self._live.state
        champion, challenger = state.champion, state.challenger
        ids = {CHAMPION: champion.release_id}
        if challenger is not None:
            ids[CHALLENGER] = challenger.release_id
        return {
            "champion": champion.release_id,
            "challenger": ids.get(CHALLENGER),
            "challenger_fault": state.challenger_fault,
            "ab_fraction": state.ab_fraction if challenger else 0.0,
            "shadow_fraction": state.shadow_fraction if challenger else 0.0,
            "num_workers": len(every),
            "arms": [_arm(every, arm, release) for arm, release in ids.items()],
            "shadow": _shadow(every, champion.release_id, ids.get(CHALLENGER)),
        }


def _arm(every: Sequence[Mapping[str, Any]], arm: str, release: str) -> dict[str, Any]:
    total = _total(every, "arms", {"arm": arm, "release": release}, _ARM)
    num = total["num_by_model"]
    return {
        "arm": arm,
        "release": release,
        "num_answers": int(total["num_answers"]),
        "num_by_fallbacks": int(total["num_answers"] - num),
        "mean_probability": total["probability_sum"] / num if num else None,
        "churn_fraction": total["num_churners"] / num if num else None,
    }


def _shadow(
    every: Sequence[Mapping[str, Any]], champion: str, challenger: str | None
) -> dict[str, Any]:
    which = {"champion": champion, "challenger": challenger}
    total = _total(every, "shadow", which, _SHADOW)
    num = total["num_compared"]
    return {
        "num_compared": int(num),
        "num_decisions_differ": int(total["num_decisions_differ"]),
        "decisions_differ_fraction": total["num_decisions_differ"] / num if num else None,
        "mean_difference": total["difference_sum"] / num if num else None,
        "largest_difference": total["difference_largest"] if num else None,
        "num_failed": int(total["num_failed"]),
        "num_skipped": int(total["num_skipped"]),
    }


def _total(
    every: Sequence[Mapping[str, Any]], kind: str, which: Mapping[str, Any], names: Sequence[str]
) -> Sums:
    total = dict.fromkeys(names, 0.0)
    for sums in every:
        for one in sums.get(kind, ()):
            if which.items() <= one.items():
                _add(total, {name: float(one.get(name, 0.0)) for name in names})
    return total


def _add(sums: Sums, added: Mapping[str, float]) -> None:
    for name, value in added.items():
        largest = name == "difference_largest"
        sums[name] = max(sums[name], value) if largest else sums[name] + value


def _of(all_sums: dict[tuple[str, ...], Sums], key: tuple[str, ...], names: Sequence[str]) -> Sums:
    if key not in all_sums:
        while len(all_sums) >= _MAX_KEYS:
            del all_sums[next(iter(all_sums))]
        all_sums[key] = dict.fromkeys(names, 0.0)
    return all_sums[key]
