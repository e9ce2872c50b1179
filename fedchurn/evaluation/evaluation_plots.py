"""Which plots an evaluation has, saved as files and handed to the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fedchurn.evaluation import matplotlib_plots as draw
from fedchurn.evaluation.curves import FeatureCurve, strongest_first
from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.round_table import RoundRow
from fedchurn.evaluation.sums import ScoreSums, add_sums
from fedchurn.evaluation.training_report import ReportPlot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REFERENCE_METRICS = ("eval_accuracy", "eval_precision", "eval_recall", "eval_f1", "eval_roc_auc")


class _Plot(NamedTuple):
    name: str
    title: str
    description: str
    figure: Figure
    wide: bool = False


MAX_SHOWN = 30  # clients in a plot; tables and files name all of them


def save_evaluation_plots(
    folder: Path,
    *,
    rounds: Sequence[RoundRow],
    test: Mapping[str, ScoreSums],
    threshold: float,
    curves: Sequence[FeatureCurve] = (),
    is_sample: bool,
) -> tuple[ReportPlot, ...]:
    """Write every plot as PNG and SVG into ``folder``; the plots of the report, in its order.

    Args:
        folder: made when it does not exist.
        rounds: pooled metrics per round; may be empty.
        test: test sums by client.
        threshold: decision threshold, a multiple of 1/4096.
        curves: features of the additive model; empty for another model.
        is_sample: marks every plot as no real figure.

    Raises:
        ReleaseError: the folder cannot be written.
    """
    shown = []
    for plot in (*_score_plots(test, threshold), *_round_plots(rounds), *_curve_plots(curves)):
        _, svg = draw.save_figure(plot.figure, folder, plot.name, is_sample=is_sample)
        shown.append(ReportPlot(plot.title, plot.description, svg.read_bytes(), plot.wide))
    for metric in REFERENCE_METRICS if rounds else ():
        figure = draw.draw_round_metric(rounds, metric)
        draw.save_figure(figure, folder, f"round_{metric}", is_sample=is_sample)
    return tuple(shown)


def save_feature_plots(
    folder: Path, curves: Sequence[FeatureCurve], *, is_sample: bool
) -> tuple[Path, ...]:
    """One figure per feature, ``feature_<position>.png`` and ``.svg``, strongest first.

    Files carry positions, because a feature's name need not be a file name.
    """
    paths: list[Path] = []
    for position, curve in enumerate(strongest_first(curves), start=1):
        figure = draw.draw_feature(curve)
        name = f"feature_{position:02d}"
        paths.extend(draw.save_figure(figure, folder, name, is_sample=is_sample))
    return tuple(paths)


def largest(test: Mapping[str, ScoreSums]) -> dict[str, ScoreSums]:
    """The clients that plots show: those with most test rows, where there are too many to be seen.

    Names decide between clients of equal size; the order stays.
    """
    by_size = sorted(test, key=lambda client: (-test[client].num_rows, client))
    kept = set(by_size[:MAX_SHOWN])
    return {client: sums for client, sums in test.items() if client in kept}


def _score_plots(test: Mapping[str, ScoreSums], threshold: float) -> list[_Plot]:
    pooled = add_sums(test.values())
    overall = metrics(pooled, threshold)
    shown = largest(test)
    by_client = {client: metrics(sums, threshold) for client, sums in shown.items()}
    each = "of each" if len(shown) == len(test) else f"of the {len(shown)} largest of {len(test)}"
    return [
        _Plot("roc", "ROC curve", f"of all clients and {each}", draw.draw_roc(pooled, shown)),
        _Plot(
            "precision_recall",
            "Precision and recall",
            f"of all clients and {each}",
            draw.draw_pr(pooled, shown),
        ),
        _Plot(
            "calibration",
            "Calibration",
            "observed churn rate against predicted probability",
            draw.draw_calibration(pooled),
        ),
        _Plot("confusion", "Confusion matrix", "at the threshold", draw.draw_confusion(overall)),
        _Plot(
            "probabilities",
            "Predicted probability",
            "share of each class per probability",
            draw.draw_probabilities(pooled, threshold),
        ),
        _Plot(
            "clients",
            "Each client's test rows (line: all clients)",
            f"bars of ROC-AUC, F1, recall and accuracy {each}",
            draw.draw_client_bars(by_client, overall),
            wide=True,
        ),
    ]


def _round_plots(rounds: Sequence[RoundRow]) -> list[_Plot]:
    if not rounds:
        return []
    title = "Every round (dots), smoothed over 3 rounds with a band of 1.96 standard deviations"
    return [_Plot("rounds", title, "metrics by round", draw.draw_rounds(rounds), wide=True)]


def _curve_plots(curves: Sequence[FeatureCurve]) -> list[_Plot]:
    if not curves:
        return []
    title = "One curve per feature"
    return [_Plot("features", title, "share in the logit", draw.draw_features(curves), wide=True)]
