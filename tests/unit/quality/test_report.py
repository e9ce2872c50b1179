"""Reports: the equation of the rows, JSON there and back, the table, the page."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fedchurn.errors import ValidationFailed
from fedchurn.quality.html import quality_page
from fedchurn.quality.report import (
    CheckResult,
    CopiesSummary,
    QualityReport,
    failure_table,
    raise_if_failed,
    report_text,
)

WARNING = CheckResult("usual_range", "price", "warning", False, 3, 0.3, (1, 2, 3), "odd", "look")
ERROR = CheckResult(
    "categories", "plan", "error", False, 7, 0.7, (1, 2, 3, 4, 5, 6, 7), "no 'x'", "mend"
)
HELD = CheckResult("row_count", "", "error", True)


def report(*results, **changes):
    made = QualityReport(
        client="north",
        contract="shop",
        source="shop.csv",
        sha256="ab" * 32,
        is_sample=False,
        mode="block",
        rows_in=10,
        rows_used=7,
        rows_quarantined=2,
        rows_dropped_duplicates=1,
        results=results or (HELD,),
        copies=CopiesSummary(6, 1, 2, ("1 rows equal an earlier row in every column",)),
    )
    return replace(made, **changes)


def test_rows_must_add_up():
    with pytest.raises(AssertionError, match="10 rows in, but 8 used"):
        report(rows_used=8)


def test_warnings_do_not_fail_a_report_and_errors_come_first():
    assert report(WARNING, HELD).passed
    failed = report(WARNING, HELD, ERROR)
    assert not failed.passed
    assert failed.failures() == (ERROR, WARNING)


def test_a_report_survives_json():
    original = report(WARNING, ERROR, set_aside=(ERROR,), aliased={"plan": 4})
    assert QualityReport.from_dict(json.loads(json.dumps(original.to_dict()))) == original


def test_the_table_shows_column_rule_count_and_first_rows():
    lines = failure_table([report(WARNING, ERROR)]).splitlines()
    assert " ".join(lines[0].split()) == "client column rule rows first rows what is wrong"
    assert lines[1].split("  ")[0] == "north"
    assert "plan" in lines[1]
    assert "categories" in lines[1]
    assert "1, 2, 3, 4, 5, ..." in lines[1]
    assert "usual_range (warning)" in lines[2]


def test_raise_if_failed_names_place_table_and_next_step():
    raise_if_failed([report(WARNING)])
    with pytest.raises(ValidationFailed) as caught:
        raise_if_failed([report(), report(ERROR)])
    assert "1 error-level check failed" in caught.value.what
    assert "no 'x'" in caught.value.what
    assert caught.value.where == "client north (shop.csv)"
    assert "mend" in caught.value.next_step
    assert "quality.mode=quarantine" in caught.value.next_step


def test_text_says_when_rows_are_generated():
    assert "generated sample: figures are not real" in report_text(report(is_sample=True))
    assert "generated" not in report_text(report())


def test_the_page_stands_alone_and_escapes():
    page = quality_page([report(replace(ERROR, detail="no '<script>'")), report(is_sample=True)])
    assert "http" not in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "generated sample: figures are not real" in page
    assert page.index("failed") < page.index("Checks that hold")
    assert "10 rows in = 7 used + 2 quarantined + 1 dropped duplicates" in page


def test_the_page_of_passed_reports_says_so():
    page = quality_page([report()])
    assert 'class="passed">passed' in page
    assert "generated" not in page
