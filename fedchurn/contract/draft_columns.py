"""A column of a contract from observed cells."""

from __future__ import annotations

import math
import re

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.draft_cells import Cells
from fedchurn.contract.schema import Column, Range, SampleShape

_MAX_LABELS = 50
_MAX_WHOLE_LABELS = 5
_MAX_EFFECT = 2.0
_SENSITIVE = frozenset(
    {"gender", "sex", "race", "ethnicity", "religion", "nationality", "marital", "disability"}
)


def draft_column(name: str, cells: Cells, target: NDArray[np.float64]) -> Column:
    """What ``cells`` (n rows) show of a column; ``target`` (n rows, 1, 0 or NaN) for the sample."""
    if is_category(cells):
        return _category(name, cells, target)
    if cells.is_number:
        return _number(name, cells, target)
    return _text(name, cells)


def is_category(cells: Cells) -> bool:
    """Few labels, or few whole numbers, each many times."""
    num_labels, num_rows = len(cells.labels), sum(cells.counts.values())
    if num_labels <= 2:
        return True
    if cells.is_number:
        values = sorted(float(t) for t in cells.labels) if num_labels <= _MAX_WHOLE_LABELS else []
        close = bool(values) and values[-1] - values[0] <= 4 * num_labels
        return close and cells.is_whole and num_rows >= 10 * num_labels
    return num_labels <= min(_MAX_LABELS, num_rows / 3)


def _common(name: str, cells: Cells) -> dict[str, object]:
    fraction = round(float(cells.missing.mean()), 4)
    nullable = bool(cells.missing.any())
    label = words_of(name)
    return {
        "label": label if label != name else None,
        "nullable": nullable,
        "null_fraction": fraction if nullable else None,
        "null_fraction_warn": round(min(1.0, max(0.01, 2 * fraction)), 4) if nullable else None,
        "null_tokens": cells.used_tokens,
        "sensitive": bool(_SENSITIVE & set(label.lower().split())),
    }


def _category(name: str, cells: Cells, target: NDArray[np.float64]) -> Column:
    labels = cells.labels
    if cells.is_number:
        labels = tuple(sorted(labels, key=float))
    shares = np.asarray([cells.counts[label] for label in labels], dtype=np.float64)
    shares /= shares.sum()
    effects = {label: _effect_where(cells.holds(label), target) for label in labels}
    shape = SampleShape(
        weights=tuple(round(float(s), 4) for s in shares),
        effects={label: effect for label, effect in effects.items() if effect},
        null_effect=_effect_where(cells.missing, target),
    )
    return Column.model_validate(
        {
            **_common(name, cells),
            "kind": "category",
            "categories": labels,
            "drift": "chi_squared",
            "sample": shape,
        }
    )


def _number(name: str, cells: Cells, target: NDArray[np.float64]) -> Column:
    seen = cells.numbers[~np.isnan(cells.numbers)]
    low, high = float(seen.min()), float(seen.max())
    decimals = None if cells.is_whole else _decimals(cells)
    return Column.model_validate(
        {
            **_common(name, cells),
            "kind": "integer" if cells.is_whole else "number",
            "hard": _hard_limits(low, high),
            "usual": (low, high) if low < high else (low, low + 1.0),
            "decimals": decimals,
            "drift": "ks",
            "sample": _number_shape(cells, seen, target),
        }
    )


def _text(name: str, cells: Cells) -> Column:
    buckets = 2 ** math.ceil(math.log2(min(max(len(cells.labels), 32), 256)))
    return Column.model_validate(
        {**_common(name, cells), "kind": "text", "buckets": buckets, "drift": "chi_squared"}
    )


def _hard_limits(low: float, high: float) -> Range:
    """Ten times what was seen, rounded up to 1, 2 or 5 times a power of ten; 0 stays a limit."""
    reach = _rounded_up(10 * max(abs(low), abs(high)))
    return (0.0 if low >= 0 else -reach, reach)


def _rounded_up(value: float) -> float:
    if value <= 1:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((m * power for m in (1.0, 2.0, 5.0) if m * power >= value), 10 * power)


def _decimals(cells: Cells) -> int | None:
    """The most digits after the point of any number, if no more than four."""
    most = max((len(t.partition(".")[2]) for t in cells.labels if "e" not in t.lower()), default=9)
    return most if most <= 4 and not any("e" in t.lower() for t in cells.labels) else None


def _number_shape(
    cells: Cells, seen: NDArray[np.float64], target: NDArray[np.float64]
) -> SampleShape:
    mean, spread = float(seen.mean()), float(seen.std())
    both = ~np.isnan(cells.numbers) & ~np.isnan(target)
    values, labels = cells.numbers[both], target[both]
    effect = 0.0
    if spread > 0 and 0 < labels.sum() < len(labels):
        gap = values[labels == 1].mean() - values[labels == 0].mean()
        effect = float(np.clip(gap / spread, -_MAX_EFFECT, _MAX_EFFECT))
    return SampleShape.model_validate(
        {
            "distribution": _distribution(seen, mean, spread),
            "mean": _short(mean),
            "spread": _short(spread),
            "effect": round(effect, 2),
            "null_effect": _effect_where(cells.missing, target),
        }
    )


def _distribution(seen: NDArray[np.float64], mean: float, spread: float) -> str:
    if spread == 0:
        return "normal"
    scaled = (seen - mean) / spread
    skew, kurtosis = float((scaled**3).mean()), float((scaled**4).mean())
    if skew > 0.8 and seen.min() > 0:
        return "lognormal"
    if skew > 0.8 and seen.min() == 0:
        return "exponential" if spread > 0.6 * mean else "normal"
    return "uniform" if kurtosis < 2.0 else "normal"


def _effect_where(where: NDArray[np.bool_], target: NDArray[np.float64]) -> float:
    """Change of the churn logit in the rows ``where``, drawn to 0 by ten rows of the base rate."""
    known = ~np.isnan(target)
    rate = float(target[known].mean())
    rows = target[known & where]
    if len(rows) == 0 or not 0 < rate < 1:
        return 0.0
    shrunk = (float(rows.sum()) + 10 * rate) / (len(rows) + 10)
    change = math.log(shrunk / (1 - shrunk)) - math.log(rate / (1 - rate))
    return round(min(max(change, -_MAX_EFFECT), _MAX_EFFECT), 2)


def _short(value: float) -> float:
    return float(f"{value:.6g}")


def words_of(name: str) -> str:
    """A readable label: ``HourSpendOnApp`` and ``hour_spend_on_app`` are ``Hour spend on app``."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[_\s]+", " ", name).split()
    words = [word if word.isupper() and len(word) > 1 else word.lower() for word in split]
    text = " ".join(words)
    return text[:1].upper() + text[1:]
