"""Shares of checks, their errors, and levels that make two rules alarm equally often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_NUM_BOOTSTRAPS = 400


@dataclass(frozen=True)
class Share:
    """A share of checks (0-1) and its standard error; ``±`` in tables is one such error."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.error:.3f}"


def share(alarms: NDArray[np.generic]) -> Share:
    """Share of checks with an alarm, binomial error (Agresti and Coull 1998, so never 0)."""
    hits, num = float(np.sum(alarms)), np.size(alarms)
    smoothed = (hits + 2) / (num + 4)
    return Share(hits / num, float(np.sqrt(smoothed * (1 - smoothed) / (num + 4))))


def matched_level(calm: Floats, rate: float) -> float:
    """Largest level at which p-values below it come in at most ``rate`` of the calm checks.

    Args:
        calm: smallest p-value of each check without drift (n,).
        rate: share of checks that may alarm (0-1).
    """
    ordered = np.sort(calm)
    num_allowed = int(np.floor(rate * len(ordered) + 1e-9))
    return float(ordered[num_allowed]) if num_allowed < len(ordered) else 1.0


@dataclass(frozen=True)
class Power:
    """Power at the false-alarm rate of an anchor, and how far it is above the anchor's.

    Attributes:
        ours, theirs: shares of shifted checks with an alarm.
        above: ours minus theirs, on the same windows; the error knows that the level, too, was
            learned from calm windows (bootstrap over both).
    """

    ours: Share
    theirs: Share
    above: Share


def power_at(calm: Floats, rate: float, shifted: Floats, theirs: NDArray[np.int64]) -> Power:
    """Compare on shifted windows, at most the anchor's rate on calm ones.

    Args:
        calm: our smallest p-value of each calm check (n,).
        rate: the anchor's share of false alarms.
        shifted: our smallest p-value of each shifted check (s,).
        theirs: the anchor's alarms on the same shifted windows (s,).
    """
    ours = shifted < matched_level(calm, rate)
    generator = np.random.default_rng(0)
    differences = []
    for _ in range(_NUM_BOOTSTRAPS):
        level = matched_level(generator.choice(calm, len(calm)), rate)
        chosen = generator.integers(len(shifted), size=len(shifted))
        differences.append(np.mean((shifted[chosen] < level) - theirs[chosen].astype(np.float64)))
    difference = float(np.mean(ours - theirs.astype(np.float64)))
    return Power(share(ours), share(theirs), Share(difference, float(np.std(differences))))
