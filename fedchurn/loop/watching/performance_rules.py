"""Settings of feedback as the rules that judge it."""

from __future__ import annotations

from fedchurn.drift.performance.decay import DecayRule
from fedchurn.serving.feedback.performance_record import PerformanceRule
from fedchurn.settings import FeedbackSettings, Settings

_DAYS_PER_YEAR = 365.0
_WARNING_FACTOR = 10.0
_MAX_LEVEL = 0.05


def performance_rule(feedback: FeedbackSettings) -> PerformanceRule:
    """Which labels count."""
    return PerformanceRule(feedback.maturity_days, feedback.window_days, feedback.min_figure_labels)


def decay_rule(settings: Settings) -> DecayRule:
    """The rule that keeps the yearly promise at the runner's schedule.

    Checks of one day see nearly the same labels, so the promise is kept with room to spare.
    """
    feedback = settings.feedback
    checks_per_year = settings.drift.checks_per_day * _DAYS_PER_YEAR
    level = min(feedback.false_alarms_per_year / checks_per_year, _MAX_LEVEL)
    return DecayRule(
        level=level,
        warning_level=min(_WARNING_FACTOR * level, _MAX_LEVEL),
        min_drop=feedback.min_drop,
        min_labels=feedback.min_labels,
    )
