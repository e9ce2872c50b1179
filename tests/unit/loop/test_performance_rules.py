"""Settings of feedback become rules, and the yearly promise a level of one check."""

from __future__ import annotations

import pytest

from fedchurn.loop.watching.performance_rules import decay_rule, performance_rule
from fedchurn.settings_files import load_settings


def test_the_promise_is_shared_out_over_the_checks_of_a_year() -> None:
    settings = load_settings(None, ["drift.checks_per_day=2", "feedback.false_alarms_per_year=0.5"])
    rule = decay_rule(settings)
    assert rule.level == pytest.approx(0.5 / 730)
    assert rule.warning_level == pytest.approx(5 / 730)
    assert (rule.min_drop, rule.min_labels) == (0.02, 100)


def test_whatever_is_promised_a_level_stays_a_level() -> None:
    rule = decay_rule(load_settings(None, ["feedback.false_alarms_per_year=1e9"]))
    assert rule.level == rule.warning_level == 0.05


def test_which_labels_count() -> None:
    feedback = load_settings(None, ["feedback.maturity_days=7"]).feedback
    rule = performance_rule(feedback)
    assert (rule.maturity_days, rule.window_days, rule.min_figure_labels) == (7.0, 90.0, 30)
