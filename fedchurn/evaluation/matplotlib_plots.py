"""Every plot of an evaluation; the only module that meets matplotlib, and only when it draws.

Each ``draw_*`` returns a ``Figure`` of its own (no pyplot, no global state kept); ``save_figure``
writes it as PNG and SVG. Equal input gives equal bytes.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fedchurn.evaluation.artifact import write_artifact
from fedchurn.evaluation.curves import (
    FeatureCurve,
    calibration_points,
    coarse_histogram,
    pr_points,
    roc_points,
    smoothed,
    strongest_first,
)
from fedchurn.evaluation.metrics import Metrics, metrics, pr_auc, roc_auc
from fedchurn.evaluation.round_table import ROUND_METRICS, RoundRow
from fedchurn.evaluation.sums import ScoreSums

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY, PALE, INK = "#1f5fa8", "#d1570b", "#8a8f98", "#c9ced6", "#22262b"
SAMPLE_NOTE = "generated sample: not real figures"
METRIC_NAMES = {
    "train_loss": "Training loss",
    "train_accuracy": "Training accuracy",
    "train_auc": "Training ROC-AUC",
    "eval_accuracy": "Accuracy",
    "eval_precision": "Precision",
    "eval_recall": "Recall",
    "eval_f1": "F1",
    "eval_roc_auc": "ROC-AUC",
    "roc_auc": "ROC-AUC",
    "f1": "F1",
    "accuracy": "Accuracy",
    "recall": "Recall",
}
CLIENT_BARS = ("roc_auc", "f1", "recall", "accuracy")
MAX_LABELS = 8


@contextmanager
def _style() -> Iterator[None]:
    """Matplotlib's defaults and ours, whatever the user's own settings are."""
    import matplotlib as mpl
    from matplotlib import style

    ours: dict[str, Any] = {
        "font.size": 10,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": GREY,
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "text.color": INK,
        "xtick.color": GREY,
        "ytick.color": GREY,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "svg.hashsalt": "fedchurn",
    }
    with style.context("default"), mpl.rc_context(ours):
        yield


def _figure(width_inches: float, height_inches: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width_inches, height_inches), layout="constrained")


def figure_bytes(figure: Figure, kind: str, *, is_sample: bool) -> bytes:
    """The figure as ``"png"`` (150 dpi) or ``"svg"``, marked when it shows a generated sample."""
    stream = io.BytesIO()
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with _style():
        note = SAMPLE_NOTE if is_sample else ""
        figure.supxlabel(note, x=0.995, ha="right", fontsize=8, color=ORANGE, style="italic")
        figure.savefig(stream, format=kind, dpi=150, metadata=metadata, facecolor="white")
    return stream.getvalue()


def save_figure(figure: Figure, folder: Path, name: str, *, is_sample: bool) -> tuple[Path, Path]:
    """Write ``name.png`` and ``name.svg`` in ``folder``.

    Raises:
        ReleaseError: the folder cannot be written.
    """
    png, svg = (figure_bytes(figure, kind, is_sample=is_sample) for kind in ("png", "svg"))
    return (
        write_artifact(folder / f"{name}.png", png),
        write_artifact(folder / f"{name}.svg", svg),
    )


def draw_round_metric(rows: Sequence[RoundRow], metric: str) -> Figure:
    """One metric (a field of ``RoundRow``) against the round: raw, smoothed over 3, and band."""
    with _style():
        figure = _figure(6.4, 3.6)
        _rounds(figure.add_subplot(), rows, metric)
        figure.axes[0].set_xlabel("round")
    return figure


def draw_rounds(rows: Sequence[RoundRow]) -> Figure:
    """All metrics of all rounds as small multiples, without metrics that were never measured."""
    known = [m for m in ROUND_METRICS if not all(math.isnan(getattr(r, m)) for r in rows)]
    columns = 4 if len(known) > 3 else max(len(known), 1)
    lines = max(math.ceil(len(known) / columns), 1)
    with _style():
        figure = _figure(2.9 * columns, 2.4 * lines)
        for place, metric in enumerate(known, start=1):
            axes = figure.add_subplot(lines, columns, place)
            _rounds(axes, rows, metric)
            if place > len(known) - columns:
                axes.set_xlabel("round")
    return figure


def _rounds(axes: Axes, rows: Sequence[RoundRow], metric: str) -> None:
    from matplotlib.ticker import MaxNLocator

    numbers = [row.round_num for row in rows]
    values = [getattr(row, metric) for row in rows]
    curve = smoothed(values)
    axes.fill_between(numbers, curve.low, curve.high, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(numbers, curve.centre, color=BLUE, linewidth=1.8)
    axes.plot(numbers, values, "o", color=INK, markersize=2.8)
    axes.set_title(METRIC_NAMES[metric])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
    if values and not math.isnan(values[-1]):
        axes.annotate(
            f"{values[-1]:.3f}", (numbers[-1], values[-1]), (4, 0), textcoords="offset points",
            va="center", fontsize=8,
        )  # fmt: skip


def draw_roc(sums: ScoreSums, clients: Mapping[str, ScoreSums] | None = None) -> Figure:
    """ROC curve of all rows in colour, of each client in grey."""
    with _style():
        figure = _figure(5.0, 5.0)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=PALE, linewidth=1, linestyle=(0, (4, 3)))
        for part in (clients or {}).values():
            axes.plot(*roc_points(part), color=GREY, linewidth=0.8, alpha=0.7)
        axes.plot(*roc_points(sums), color=BLUE, linewidth=2.2)
        _inside(axes, f"AUC of all clients: {_number(roc_auc(sums))}", clients, roc_auc, low=True)
        _unit_square(axes, "ROC curve", "false positive rate", "true positive rate")
    return figure


def draw_pr(sums: ScoreSums, clients: Mapping[str, ScoreSums] | None = None) -> Figure:
    """Precision against recall of all rows in colour, of each client in grey."""
    with _style():
        figure = _figure(5.0, 5.0)
        axes = figure.add_subplot()
        rate = sums.num_positive / max(sums.num_rows, 1)
        axes.axhline(rate, color=PALE, linewidth=1, linestyle=(0, (4, 3)))
        axes.text(0.01, rate + 0.01, f"churn rate {rate:.1%}", fontsize=8, color=GREY)
        for part in (clients or {}).values():
            _steps(axes, part, color=GREY, linewidth=0.8, alpha=0.7)
        _steps(axes, sums, color=BLUE, linewidth=2.2)
        _inside(
            axes,
            f"average precision of all clients: {_number(pr_auc(sums))}",
            clients,
            pr_auc,
            low=False,
        )
        _unit_square(axes, "Precision and recall", "recall", "precision")
    return figure


def _steps(axes: Axes, sums: ScoreSums, **look: Any) -> None:
    recall, precision = pr_points(sums)
    if len(recall):
        axes.step([0, *recall], [precision[0], *precision], where="pre", **look)


def _inside(
    axes: Axes,
    pooled: str,
    clients: Mapping[str, ScoreSums] | None,
    area: Any,
    *,
    low: bool,
) -> None:
    """The areas, written where the curve is not: low right (ROC) or high right (PR)."""
    shown = sorted((clients or {}).items())
    lines = [f"{name}: {_number(area(part))}" for name, part in shown[:MAX_LABELS]]
    if len(shown) > MAX_LABELS:
        lines.append(f"and {len(shown) - MAX_LABELS} more clients")
    height = 0.04 + 0.045 * len(lines) if low else 0.96
    axes.text(
        0.97, height, pooled, color=BLUE, weight="bold", ha="right", va="bottom" if low else "top"
    )
    axes.text(
        0.97, height - (0.01 if low else 0.05), "\n".join(lines), color=GREY, ha="right", va="top",
        fontsize=8,
    )  # fmt: skip


def _unit_square(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=across, ylabel=up, title=title)
    axes.set_aspect("equal")


def _number(value: float) -> str:
    return "not defined" if math.isnan(value) else f"{value:.3f}"


def draw_calibration(sums: ScoreSums) -> Figure:
    """Observed churn rate against predicted probability in 10 groups of equal size."""
    points = calibration_points(sums)
    spread = np.sqrt(points.observed * (1 - points.observed) / points.num_rows)
    with _style():
        figure = _figure(5.0, 5.0)
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=PALE, linewidth=1, linestyle=(0, (4, 3)))
        axes.errorbar(
            points.predicted, points.observed, yerr=1.96 * spread, fmt="o-", color=BLUE,
            ecolor=PALE, linewidth=1.8, markersize=4.5,
        )  # fmt: skip
        error = metrics(sums).calibration_error
        text = f"calibration error {_number(error)}\nbars: 95 % interval of the rate"
        axes.text(0.03, 0.97, text, va="top", fontsize=8)
        _unit_square(axes, "Calibration", "predicted probability", "observed churn rate")
    return figure


def draw_confusion(result: Metrics) -> Figure:
    """Counts and row shares of the confusion matrix at the chosen threshold."""
    counts = np.asarray(
        [
            [result.num_true_negatives, result.num_false_positives],
            [result.num_false_negatives, result.num_true_positives],
        ]
    )
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    with _style():
        from matplotlib.colors import LinearSegmentedColormap

        figure = _figure(5.0, 4.4)
        axes = figure.add_subplot()
        shades = LinearSegmentedColormap.from_list("blues", ["#f3f6fa", BLUE])
        axes.imshow(shares, cmap=shades, vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            text = f"{count:,}\n{shares[row, column]:.1%} of row"
            colour = "white" if shares[row, column] > 0.55 else INK
            axes.text(column, row, text, ha="center", va="center", color=colour)
        axes.set_xticks([0, 1], ["called to stay", "called to churn"])
        axes.set_yticks([0, 1], ["stayed", "churned"])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set_title(f"Confusion at threshold {result.threshold:.3f}")
    return figure


def draw_probabilities(sums: ScoreSums, threshold: float) -> Figure:
    """Share of each class per predicted probability, and the decision threshold."""
    edges, stayed, churned = coarse_histogram(sums)
    with _style():
        figure = _figure(5.0, 4.4)
        axes = figure.add_subplot()
        for shares, colour, label in ((stayed, BLUE, "stayed"), (churned, ORANGE, "churned")):
            axes.stairs(shares, edges, fill=True, color=colour, alpha=0.25)
            axes.stairs(shares, edges, color=colour, linewidth=1.6, label=label)
        axes.axvline(threshold, color=INK, linewidth=1, linestyle=(0, (4, 3)))
        top = max(float(stayed.max()), float(churned.max()), 0.01)
        axes.text(threshold + 0.01, top, f"threshold {threshold:.3f}", va="top", fontsize=8)
        axes.legend(frameon=False, loc="upper right", labelcolor="linecolor")
        axes.set(xlim=(0, 1), xlabel="predicted probability of churn", ylabel="share of its class")
        axes.set_title("Predicted probability by class")
    return figure


def draw_client_bars(clients: Mapping[str, Metrics], pooled: Metrics) -> Figure:
    """Metrics of each client as bars, beside the pooled value as a line."""
    names = sorted(clients, reverse=True)
    with _style():
        figure = _figure(10.0, 1.3 + 0.32 * len(names))
        panels = figure.subplots(1, len(CLIENT_BARS), sharey=True)
        for axes, metric in zip(panels, CLIENT_BARS, strict=True):
            values = [getattr(clients[name], metric) for name in names]
            axes.barh(names, np.nan_to_num(values), color=BLUE, height=0.62)
            for place, value in enumerate(values):
                inside = value > 0.25
                axes.text(
                    0.02 if inside else 0.02 + np.nan_to_num(value), place,
                    "one class only" if math.isnan(value) else f"{value:.3f}", va="center",
                    fontsize=8, color="white" if inside else INK,
                )  # fmt: skip
            level = getattr(pooled, metric)
            axes.axvline(level, color=ORANGE, linewidth=1.2)
            axes.set(xlim=(0, 1), xlabel=f"all clients: {_number(level)}")
            axes.xaxis.label.set_color(ORANGE)
            axes.set_title(METRIC_NAMES[metric])
            axes.tick_params(axis="y", length=0)
    return figure


def draw_feature(curve: FeatureCurve) -> Figure:
    """What one feature adds to the churn logit of the additive model."""
    with _style():
        figure = _figure(5.6, 3.6)
        axes = figure.add_subplot()
        _feature(axes, curve, _reach([curve]))
        (axes.set_xlabel if curve.labels else axes.set_ylabel)(
            "adds to the churn logit", fontsize=8
        )
    return figure


def draw_features(curves: Sequence[FeatureCurve]) -> Figure:
    """All features, strongest first, on one scale of contribution."""
    columns = min(4, max(len(curves), 1))
    lines = max(math.ceil(len(curves) / columns), 1)
    with _style():
        figure = _figure(3.1 * columns, 2.5 * lines)
        for place, curve in enumerate(strongest_first(curves), start=1):
            _feature(figure.add_subplot(lines, columns, place), curve, _reach(curves))
        figure.suptitle(
            "What each feature adds to the churn logit (above 0: more churn)",
            x=0.01, ha="left", fontsize=11,
        )  # fmt: skip
    return figure


def _reach(curves: Sequence[FeatureCurve]) -> float:
    seen = [np.abs(c.contribution).max() for c in curves if len(c.contribution)]
    seen += [abs(c.missing) for c in curves if c.missing is not None]
    return 1.08 * max([float(v) for v in seen], default=1.0) or 1.0


def _feature(axes: Axes, curve: FeatureCurve, reach: float) -> None:
    axes.set_title(_short(curve.feature, 30), fontsize=9)
    axes.tick_params(labelsize=8)
    if curve.labels:
        _category(axes, curve, reach)
        return
    axes.axhline(0, color=PALE, linewidth=1)
    axes.plot(curve.grid, curve.contribution, color=BLUE, linewidth=1.8)
    if curve.missing is not None and len(curve.grid):
        axes.axhline(curve.missing, color=ORANGE, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            "missing", (curve.grid[-1], curve.missing), (0, 2), textcoords="offset points",
            ha="right", fontsize=7, color=ORANGE,
        )  # fmt: skip
    axes.set_ylim(-reach, reach)
    axes.set_xlabel(curve.unit, fontsize=8)


def _category(axes: Axes, curve: FeatureCurve, reach: float) -> None:
    pairs = list(zip(curve.labels, curve.contribution.tolist(), strict=True))
    shown = sorted(sorted(pairs, key=lambda p: -abs(p[1]))[:MAX_LABELS], key=lambda p: p[1])
    if curve.missing is not None:
        shown.insert(0, ("missing", curve.missing))
    axes.axvline(0, color=PALE, linewidth=1)
    heights = range(len(shown))
    colours = [ORANGE if label == "missing" else BLUE for label, _ in shown]
    axes.hlines(heights, 0, [value for _, value in shown], colors=colours, linewidth=1.4)
    axes.scatter([value for _, value in shown], heights, c=colours, s=18, zorder=3)
    axes.set_yticks(heights, [_short(label, 18) for label, _ in shown])
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.tick_params(axis="y", length=0)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
