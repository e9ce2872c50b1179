"""Plots: written, equal for equal input, marked when they show a sample, never an exception."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fedchurn.errors import ReleaseError
from fedchurn.evaluation import matplotlib_plots as plots
from fedchurn.evaluation.curves import FeatureCurve
from fedchurn.evaluation.evaluation_plots import (
    MAX_SHOWN,
    largest,
    save_evaluation_plots,
    save_feature_plots,
)
from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.round_table import RoundRow
from fedchurn.evaluation.sums import ScoreSums, score_sums

RANDOM = np.random.default_rng(0)
SCORE = RANDOM.random(300)
SUMS = score_sums((RANDOM.random(300) < SCORE).astype(int), SCORE)
STAYERS = score_sums(np.zeros(20), np.linspace(0, 0.4, 20))
NAN = float("nan")
ROUNDS = [RoundRow(n, 0.5, 0.8, NAN, 0.8, 0.6, 0.5, 0.55, 0.7 + n / 100) for n in range(1, 5)]
CURVES = [
    FeatureCurve("Tenure", np.linspace(1, -1, 5), np.arange(5.0), missing=0.4, unit="months"),
    FeatureCurve("Plan", np.array([0.2, -0.1]), np.empty(0), ("basic", "a very long label " * 3)),
    FeatureCurve("Flat", np.zeros(3), np.arange(3.0)),
]


def texts(figure):
    return {text.get_text() for text in figure.findobj(match=lambda a: hasattr(a, "get_text"))}


def test_every_plot_is_written_twice_and_handed_to_the_report(tmp_path):
    shown = save_evaluation_plots(
        tmp_path / "plots",
        rounds=ROUNDS,
        test={"a": SUMS, "b": STAYERS},
        threshold=0.5,
        curves=CURVES,
        is_sample=False,
    )
    names = {p.stem for p in (tmp_path / "plots").iterdir()}
    assert names >= {
        "roc", "precision_recall", "calibration", "confusion", "probabilities", "clients",
        "rounds", "features", "round_eval_roc_auc",
    }  # fmt: skip
    for name in names:
        png = (tmp_path / "plots" / f"{name}.png").read_bytes()
        svg = (tmp_path / "plots" / f"{name}.svg").read_bytes()
        assert png.startswith(b"\x89PNG")
        assert b"<svg" in svg
    assert [p.title for p in shown][:2] == ["ROC curve", "Precision and recall"]
    assert len(shown) == 8


def test_a_model_without_curves_or_rounds_has_fewer_plots(tmp_path):
    shown = save_evaluation_plots(
        tmp_path, rounds=(), test={"a": SUMS}, threshold=0.5, is_sample=True
    )
    assert len(shown) == 6


def test_feature_files_carry_positions_strongest_first(tmp_path):
    paths = save_feature_plots(tmp_path, CURVES[:2], is_sample=False)
    assert [p.name for p in paths] == [
        "feature_01.png", "feature_01.svg", "feature_02.png", "feature_02.svg",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_equal_input_gives_equal_bytes(kind):
    first, second = (
        plots.figure_bytes(plots.draw_roc(SUMS, {"a": SUMS}), kind, is_sample=False)
        for _ in range(2)
    )
    assert first == second


def test_a_sample_is_marked_on_the_picture():
    figure = plots.draw_calibration(SUMS)
    marked = plots.figure_bytes(figure, "png", is_sample=True)
    assert plots.SAMPLE_NOTE in texts(figure)
    assert marked != plots.figure_bytes(figure, "png", is_sample=False)


def test_areas_are_written_on_the_curves():
    result = metrics(SUMS)
    assert f"AUC of all clients: {result.roc_auc:.3f}" in texts(plots.draw_roc(SUMS))
    shown = texts(plots.draw_confusion(result))
    assert any(text.startswith(f"{result.num_true_positives}\n") for text in shown)


@pytest.mark.parametrize("sums", [STAYERS, ScoreSums.zero()])
def test_one_class_or_no_rows_still_draw(sums):
    result = metrics(sums)
    figures = [
        plots.draw_roc(sums, {"x": sums}),
        plots.draw_pr(sums, {"x": sums}),
        plots.draw_calibration(sums),
        plots.draw_confusion(result),
        plots.draw_probabilities(sums, 0.5),
        plots.draw_client_bars({"x": result}, result),
        plots.draw_rounds([]),
        plots.draw_features([]),
    ]
    for figure in figures:
        assert plots.figure_bytes(figure, "svg", is_sample=False)
    assert "not defined" in " ".join(texts(figures[0]))
    assert "one class only" in texts(figures[5])


def test_rounds_that_were_never_measured_are_left_out():
    titles = {axes.get_title(loc="left") for axes in plots.draw_rounds(ROUNDS).axes}
    assert "Training ROC-AUC" not in titles
    assert "ROC-AUC" in titles


def test_many_clients_are_counted_instead_of_listed():
    clients = {f"client_{n:02d}": SUMS for n in range(12)}
    shown = " ".join(texts(plots.draw_roc(SUMS, clients)))
    assert "and 4 more clients" in shown


def test_an_unwritable_folder_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(ReleaseError, match=r"roc\.png"):
        plots.save_figure(plots.draw_roc(SUMS), tmp_path / "taken", "roc", is_sample=False)


def test_frameworks_are_imported_only_when_they_work():
    """Also: drawing never touches pyplot, whose state is global."""
    program = (
        "import sys\n"
        "import fedchurn.evaluation.evaluation_plots as e\n"
        "import fedchurn.evaluation.pooled_baselines_sklearn\n"
        "import fedchurn.evaluation.matplotlib_plots as p\n"
        "from fedchurn.evaluation.sums import ScoreSums\n"
        "assert not {'matplotlib', 'sklearn', 'pandas', 'scipy'} & set(sys.modules)\n"
        "p.figure_bytes(p.draw_roc(ScoreSums.zero()), 'svg', is_sample=False)\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    project = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=project)


def test_plots_show_the_largest_clients_where_there_are_too_many() -> None:
    sums = {
        f"client_{number}": score_sums(np.zeros(number % 50 + 1), np.zeros(number % 50 + 1))
        for number in range(200)
    }
    shown = largest(sums)
    assert len(shown) == MAX_SHOWN
    assert min(one.num_rows for one in shown.values()) >= 43  # 4 clients of each size, 50 and down
    few = dict(list(sums.items())[:5])
    assert largest(few) == few
