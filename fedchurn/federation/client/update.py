"""What a client does to its update before it leaves: clip, add noise, compress, or weigh.

The rules come from the server with every request; a client may hold stricter ones of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fedchurn.errors import SettingsError
from fedchurn.federation.updates import PLACES, UPDATE, VALUES

Noise = Callable[[int], NDArray[np.float64]]
"""Standard normal numbers, so many of them."""


@dataclass(frozen=True)
class UpdateRules:
    """See the module docstring.

    Attributes:
        clip_norm: longest update that leaves, in the L2 norm; None leaves its length alone.
        noise_std: standard deviation of the normal noise that the client adds to every number.
        compression: ``fp16`` halves the bytes; ``top_k`` sends the largest numbers only.
        keep_fraction: share of the numbers (0-1) that ``top_k`` sends.
        weighting: what an update counts in the mean: ``rows`` or ``clients`` (all alike).
        summed: the update is multiplied by its weight, so that a sum over clients means something.
    """

    clip_norm: float | None = None
    noise_std: float = 0.0
    compression: Literal["none", "fp16", "top_k"] = "none"
    keep_fraction: float = 0.1
    weighting: Literal["rows", "clients"] = "rows"
    summed: bool = False

    def __post_init__(self) -> None:
        if self.summed and self.compression == "top_k":
            raise SettingsError(
                "top_k sends other places for every client, and masked sums need the same",
                where="compression",
                next_step="choose fp16 or none with secure aggregation",
            )

    def to_json(self) -> str:
        """For a request's config, under ``update``."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> UpdateRules:
        """The rules behind ``to_json``."""
        plain: dict[str, Any] = json.loads(text)
        return cls(**plain)

    def weight(self, num_rows: float) -> float:
        """What an update counts in the mean."""
        return float(num_rows) if self.weighting == "rows" else 1.0


def leaving(
    update: NDArray[np.floating], rules: UpdateRules, num_rows: float, noise: Noise | None = None
) -> Mapping[str, NDArray[np.generic]]:
    """The arrays of a reply, from an update (size,).

    Args:
        update: weights after minus weights before.
        rules: what is done to it.
        num_rows: rows trained on.
        noise: where noise is drawn; needed when the rules ask for noise.

    Raises:
        SettingsError: noise is asked for, and there is nowhere to draw it from.
    """
    vector = clipped(np.asarray(update, dtype=np.float64), rules.clip_norm)
    if rules.noise_std:
        if noise is None:
            raise SettingsError("noise is asked for without a source", next_step="give a source")
        vector = vector + rules.noise_std * noise(len(vector))
    if rules.summed:
        return {UPDATE: vector * rules.weight(num_rows)}
    return _compressed(vector, rules)


def numbers_leaving(
    update: NDArray[np.floating], rules: UpdateRules, numbers: Mapping[str, float]
) -> dict[str, float]:
    """The numbers of a reply beside an update (size,), which all add up over clients.

    A client that adds noise says nothing but its update. One that clips also says whether it had
    to (``num_short``: 1 when the update was no longer than the clip norm).
    """
    if rules.noise_std:
        return {}
    if rules.clip_norm is None:
        return dict(numbers)
    length = float(np.linalg.norm(np.asarray(update, dtype=np.float64)))
    return {**numbers, "num_short": float(length <= rules.clip_norm)}


def clipped(vector: NDArray[np.float64], clip_norm: float | None) -> NDArray[np.float64]:
    """The vector, shortened to ``clip_norm`` if it is longer.

    >>> clipped(np.array([3.0, 4.0]), 2.5).tolist()
    [1.5, 2.0]
    """
    length = float(np.linalg.norm(vector))
    if clip_norm is None or length <= clip_norm:
        return vector
    return vector * (clip_norm / length)


def _compressed(
    vector: NDArray[np.float64], rules: UpdateRules
) -> Mapping[str, NDArray[np.generic]]:
    if rules.compression == "fp16":
        return {UPDATE: np.clip(vector, -65504.0, 65504.0).astype(np.float16)}
    if rules.compression == "top_k":
        count = max(1, int(np.ceil(rules.keep_fraction * len(vector))))
        # A stable sort: equal sizes are kept in order of place, in any process.
        places = np.sort(np.argsort(-np.abs(vector), kind="stable")[:count])
        return {PLACES: places.astype(np.uint32), VALUES: vector[places].astype(np.float32)}
    return {UPDATE: vector.astype(np.float32)}
