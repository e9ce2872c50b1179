"""The report about one window: a self-contained HTML page without any row in it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jinja2 import Environment, StrictUndefined

from fedchurn.drift.histogram import Histogram
from fedchurn.drift.promise.calibration import Calibration
from fedchurn.drift.reference import DriftReference
from fedchurn.drift.verdict import SCORE_COLUMN, ColumnDrift, DriftVerdict, Verdict
from fedchurn.loop.watching.bars import Bar, bars_of
from fedchurn.loop.watching.report_layout import PAGE
from fedchurn.loop.watching.verdicts import WindowLine
from fedchurn.loop.watching.words import column_name

MAX_PLOTS = 12
_WIDTH, _TOP, _BOTTOM = 340.0, 16.0, 150.0
_CALLED_OUT = (Verdict.DRIFT, Verdict.WARNING)


@dataclass(frozen=True)
class DrawnBar:
    """A bar in the picture's own units; the window's stands inside the reference's."""

    label: str
    reference: float
    window: float
    x: float
    width: float
    inner_x: float
    inner_width: float
    reference_y: float
    reference_height: float
    window_y: float
    window_height: float


@dataclass(frozen=True)
class Plot:
    """Histograms of one column.

    Attributes:
        title, description: what is seen, in words.
        bars: from left to right.
        first, last: labels of the outermost bars.
        highest: share that the highest bar stands for (0-1).
    """

    title: str
    description: str
    bars: tuple[DrawnBar, ...]
    first: str
    last: str
    highest: float


@dataclass(frozen=True)
class Shown:
    """What a page is made of.

    Attributes:
        record: the window's record.
        found: its verdict.
        reference: what it was compared with.
        histograms: the window's, by column.
        labels: of categories, by column (``reference.json``).
        earlier: windows before it, oldest first.
        clients: ``summary`` and ``rows``, or None.
        performance: ``lines`` and ``rows``, or None.
    """

    record: Mapping[str, Any]
    found: DriftVerdict
    reference: DriftReference
    histograms: Mapping[str, Histogram]
    labels: Mapping[str, Sequence[str]]
    earlier: Sequence[WindowLine]
    clients: Mapping[str, Any] | None = None
    performance: Mapping[str, Any] | None = None


def report_page(shown: Shown) -> str:
    """The page as HTML; no outside address is in it."""
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters.update(_FILTERS)
    return environment.from_string(PAGE).render(
        record=shown.record,
        drift=shown.found,
        plots=_plots(shown),
        history=_history(shown.found, shown.earlier),
        num_history=len(shown.earlier) + 1,
        clients=shown.clients,
        performance=shown.performance,
        promise=_promise(shown.reference.calibration, shown.found),
    )


def _plots(shown: Shown) -> list[Plot]:
    """Columns that were called out, the largest distance first, and always the score."""
    found = [*shown.found.drifted, *shown.found.warned][:MAX_PLOTS]
    found += [c for c in shown.found.columns if c.column == SCORE_COLUMN and c not in found]
    columns = {one.name: one for one in shown.reference.columns}
    return [
        draw(one, bars_of(columns[one.column], shown.histograms[one.column], labels))
        for one in found
        for labels in [shown.labels.get(one.column)]
    ]


def draw(column: ColumnDrift, bars: Sequence[Bar]) -> Plot:
    """Bars side by side, on one scale."""
    highest = max([1e-9, *(max(bar.reference, bar.window) for bar in bars)])
    step = _WIDTH / max(len(bars), 1)
    said = "" if column.verdict not in _CALLED_OUT else f" ({column.verdict})"
    apart = f"distance {_figure(column.effects.distance)}"
    return Plot(
        title=f"{_first_capital(column_name(column.column))}{said}",
        description=f"window against training rows, {apart}",
        bars=tuple(_drawn(bar, place * step, step, highest) for place, bar in enumerate(bars)),
        first=bars[0].label if bars else "",
        last=bars[-1].label if len(bars) > 1 else "",
        highest=highest,
    )


def _drawn(bar: Bar, x: float, step: float, highest: float) -> DrawnBar:
    heights = [
        round((_BOTTOM - _TOP) * share / highest, 2) for share in (bar.reference, bar.window)
    ]
    return DrawnBar(
        label=bar.label,
        reference=bar.reference,
        window=bar.window,
        x=round(x + 0.05 * step, 2),
        width=round(0.9 * step, 2),
        inner_x=round(x + 0.27 * step, 2),
        inner_width=round(0.46 * step, 2),
        reference_y=_BOTTOM - heights[0],
        reference_height=heights[0],
        window_y=_BOTTOM - heights[1],
        window_height=heights[1],
    )


def _history(found: DriftVerdict, earlier: Sequence[WindowLine]) -> dict[str, str]:
    """Per column a sign for each window, oldest first: ``x`` flagged, ``.`` not."""
    flags = [*(set(one.flagged) for one in earlier), set(found.flagged)]
    return {
        column.column: " ".join("x" if column.column in one else "." for one in flags)
        for column in found.columns
    }


def _promise(calibration: Calibration | None, found: DriftVerdict) -> dict[str, Any] | None:
    if calibration is None or found.rule.name != "calibrated":
        return None
    window = calibration.nearest(found.num_window_rows)
    facts = asdict(window)
    return {
        **{name: getattr(calibration, name) for name in _PROMISED},
        **facts,
        "shifts": facts["smallest_shifts"],
    }


_PROMISED = ("promised_per_year", "checks_per_year", "power", "num_resampled")


def _first_capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _figure(number: float | None) -> str:
    if number is None or not math.isfinite(number):
        return "-"
    return f"{number + 0.0:.3f}" if abs(number) < 10 else f"{number:,.1f}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _signed_percent(share: float) -> str:
    return "-" if not share else f"{100 * share:+.1f} %"


def _chance(p_value: float | None) -> str:
    if p_value is None:
        return "-"
    return f"{p_value:.1e}" if 0 < p_value < 0.001 else f"{p_value:.4f}"


_FILTERS: dict[str, Callable[..., str]] = {
    "count": _count,
    "figure": _figure,
    "percent": _percent,
    "signed_percent": _signed_percent,
    "chance": _chance,
}
