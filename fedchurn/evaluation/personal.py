"""What clients tell about models of their own: figures beside those of the model of all, and noise.

A gain is called one only where it stands out of the noise of the rows it was measured on, with the
level shared between all clients (Bonferroni): nobody is told a gain that is luck.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

FALSE_ALARMS = 0.05  # chance that any client at all is told of a difference that is none


@dataclass(frozen=True)
class Gain:
    """A difference on the same rows, above 0 where the client's own model is better.

    Attributes:
        value: of ROC-AUC, or fall of the mean log loss.
        error: its standard error; NaN or infinite where rows are too few to tell.
    """

    value: float
    error: float


@dataclass(frozen=True)
class PersonalFigures:
    """One client.

    Attributes:
        strength: how strongly its model is held near that of all; None: it stays with that model.
        threshold: its own.
        num_rows: test rows; 0 where they are too few to tell figures.
        of_all, own: metrics on its test rows of the model of all (at the threshold of all) and of
            its own (at its own): ``roc_auc``, ``log_loss``, ``f1``, ``recall``, ``precision``.
        auc, log_loss: gains.
    """

    strength: float | None
    threshold: float
    num_rows: int
    of_all: Mapping[str, float | None]
    own: Mapping[str, float | None]
    auc: Gain
    log_loss: Gain

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> PersonalFigures:
        """The figures behind ``asdict``, as JSON keeps them."""
        gains = {
            name: Gain(
                *(
                    math.nan if stored[name][part] is None else stored[name][part]
                    for part in ("value", "error")
                )
            )
            for name in ("auc", "log_loss")
        }
        return cls(**{**stored, **gains})


@dataclass(frozen=True)
class Personalisation:
    """All clients.

    Attributes:
        clients: by name.
        absences: why others told nothing.
        note: why nobody was asked; empty when they were.
    """

    clients: Mapping[str, PersonalFigures]
    absences: Mapping[str, str]
    note: str = ""

    def verdict(self, client: str) -> str:
        """In words: ``better``, ``worse``, ``within noise``, ``too few rows`` or ``model of all``.

        Log loss decides; AUC must not contradict it.
        """
        figures = self.clients[client]
        if figures.strength is None:
            return "model of all"
        if not figures.num_rows or not math.isfinite(figures.log_loss.error):
            return "too few rows"
        limit = self.limit()
        loss, auc = _standing_out(figures.log_loss, limit), _standing_out(figures.auc, limit)
        if loss * auc < 0 or not (loss or auc):
            return "within noise"
        return "better" if loss + auc > 0 else "worse"

    def limit(self) -> float:
        """Standard errors that a difference must exceed."""
        asked = sum(one.strength is not None and one.num_rows > 0 for one in self.clients.values())
        return NormalDist().inv_cdf(1 - FALSE_ALARMS / 2 / max(asked, 1))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form; NaN and infinity become None."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Personalisation:
        """The record behind ``to_dict``."""
        clients = {c: PersonalFigures.from_dict(one) for c, one in stored["clients"].items()}
        return cls(clients, stored["absences"], stored["note"])


def _standing_out(gain: Gain, limit: float) -> int:
    """1 better, -1 worse, 0 noise or unknown."""
    if not (math.isfinite(gain.value) and math.isfinite(gain.error)):
        return 0
    if abs(gain.value) <= limit * gain.error:
        return 0
    return 1 if gain.value > 0 else -1


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
