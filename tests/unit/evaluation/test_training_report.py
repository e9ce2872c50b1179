"""The training report: complete, self-contained, escaped, honest about samples."""

from __future__ import annotations

import dataclasses
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from fedchurn.errors import ReleaseError
from fedchurn.evaluation.comparison import Comparison
from fedchurn.evaluation.costs import ClientCost, CostSheet, RoundCost
from fedchurn.evaluation.fairness import fairness
from fedchurn.evaluation.personal import Gain, PersonalFigures, Personalisation
from fedchurn.evaluation.round_table import RoundRow
from fedchurn.evaluation.sums import score_sums
from fedchurn.evaluation.training_report import (
    Absence,
    ClientReport,
    ReportPlot,
    TrainingReport,
    Verdict,
    price_of_privacy,
    render_report,
    write_report,
)


def values(auc):
    return {"roc_auc": auc, "accuracy": 0.894, "majority_accuracy": 0.832, "f1": 0.633}


CLIENT = ClientReport(
    "tier_1", "shop.xlsx, sheet E Comm", "ab" * 32, 100, 95, 3, 2, 60, 15, 20, values(0.881)
)
REPORT = TrainingReport(
    title="Churn <b>model</b>",
    contract="ecommerce",
    contract_version="1.0.0",
    created_at="2025-01-01T00:00:00+00:00",
    is_sample=False,
    recipe="additive",
    seed=7,
    settings={"num_clients": 3},
    threshold=0.25,
    objective="F1",
    federated=Comparison("federated", "Rows stay where they are.", values(0.897)),
    baselines=(
        Comparison("majority", "Learned nothing.", values(0.5)),
        Comparison("pooled gradient boosting", "Sees all rows.", values(0.899), {"num_trees": 300}),
        Comparison("undefined", "One class.", values(None)),
    ),
    clients=(CLIENT,),
    rounds=(RoundRow(1, 0.4, float("nan"), 0.9, 0.89, 0.6, 0.5, 0.55, 0.88),),
    best_round=1,
    absences=(Absence(1, "tier_2", "no answer within 600 s"),),
    decision=Verdict("refused", ("Not above the champion beyond noise.",), "shop-1"),
    release="shop-2",
    notes=("a note for the reader",),
)


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [v for k, v in attrs if k in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def test_the_page_says_what_a_reader_needs():
    text = " ".join(Page(render_report(REPORT)).text.split())
    for words in (
        "0.897", "majority 0.832", "pooled gradient boosting", "−0.002", "+0.397", "refused",
        "Not above the champion beyond noise.", "shop-1", "tier_1", "no answer within 600 s",
        "probability of 0.250", "for F1", "abababab", "num_trees 300", "a note for the reader",
    ):  # fmt: skip
        assert words in text, words


def test_texts_of_the_data_are_escaped():
    page = render_report(REPORT)
    assert "<b>model</b>" not in page
    assert "&lt;b&gt;model&lt;/b&gt;" in page


@pytest.mark.parametrize("is_sample", [True, False])
def test_a_sample_is_said_to_be_one(is_sample):
    page = render_report(dataclasses.replace(REPORT, is_sample=is_sample))
    assert ("not real figures" in page) == is_sample


def test_the_page_needs_no_other_file():
    plots = [ReportPlot("ROC", "curve", b"<svg/>"), ReportPlot("PR", "curve", b"\x89PNG", True)]
    page = Page(render_report(REPORT, plots))
    assert page.addresses == [
        "data:image/svg+xml;base64,PHN2Zy8+",
        "data:image/png;base64,iVBORw==",
    ]
    assert not {"script", "link"} & set(page.tags)
    assert not re.search(r"https?://|@import|url\(", render_report(REPORT, plots))


def test_without_decision_absences_and_plots():
    bare = dataclasses.replace(REPORT, decision=None, absences=())
    page = render_report(bare)
    assert "none yet" in page
    assert "Every client took part in every round." in page
    assert "<img" not in page


def test_fairness_costs_and_own_models_are_in_the_page_and_in_the_record():
    client = score_sums(np.array([0, 1, 0, 1]), np.array([0.25, 0.5, 0.5, 0.75]))
    gain = Gain(0.02, 0.005)
    own = PersonalFigures(30.0, 0.25, 40, {"roc_auc": 0.7}, {"roc_auc": 0.8}, gain, gain)
    whole = dataclasses.replace(
        REPORT,
        fairness=fairness({"a": client, "b": client}, 0.5),
        costs=CostSheet((RoundCost(1, "newton", 1, 8, 4),), {"a": ClientCost(1, 8, 4)}),
        personal=Personalisation({"a": own}, {}),
    )
    again = TrainingReport.from_dict(json.loads(json.dumps(whole.to_dict(), allow_nan=False)))
    page = render_report(again)
    assert page == render_report(whole)
    for title in ("Fairness across clients", "Clients' own models", "Cost sheet"):
        assert f"<h2>{title}</h2>" in page
        assert title not in render_report(REPORT)


def test_the_record_survives_json():
    stored = json.loads(json.dumps(REPORT.to_dict(), allow_nan=False))
    again = TrainingReport.from_dict(stored)
    assert again.to_dict() == REPORT.to_dict()
    assert render_report(again) == render_report(REPORT)


def test_the_price_is_the_difference_of_auc_where_both_are_defined():
    assert price_of_privacy(REPORT) == pytest.approx(
        {"majority": 0.397, "pooled gradient boosting": -0.002}
    )


def test_it_is_written_whole_or_not_at_all(tmp_path):
    path = write_report(REPORT, tmp_path / "made")
    assert path.read_text("utf-8") == render_report(REPORT)
    (tmp_path / "taken").write_text("")
    with pytest.raises(ReleaseError, match=r"training_report\.html"):
        write_report(REPORT, tmp_path / "taken")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made", "taken"]
