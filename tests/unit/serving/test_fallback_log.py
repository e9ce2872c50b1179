"""Fallbacks in the log: once per interval, never a row."""

from __future__ import annotations

import logging

import pytest

from fedchurn.serving.fallback.switch_log import SwitchLog, place

LOGGER = "bentoml.churn.fallback"


def test_one_line_per_reason_and_interval_and_what_was_kept_back_is_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    log = SwitchLog(interval_seconds=60, clock=lambda: now[0])
    with caplog.at_level(logging.WARNING, LOGGER):
        log.switched("champion", "timeout", 1)
        log.switched("champion", "timeout", 5)
        log.switched("champion", "error", 2)
        now[0] = 59.9
        log.switched("champion", "timeout", 5)
        now[0] = 60.0
        log.switched("champion", "timeout", 1)
    heads = [record.getMessage().split(" rows")[0] for record in caplog.records]
    assert heads == [
        "champion gave no answer (timeout) about 1",
        "champion gave no answer (error) about 2",
        "champion gave no answer (timeout) about 11",
    ]


def test_an_error_is_named_by_class_and_place_without_its_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    try:
        float("Mrs Secret")
    except ValueError as error:
        with caplog.at_level(logging.WARNING, LOGGER):
            SwitchLog().switched("champion", "error", 1, error)
    assert "ValueError in test_an_error_is_named" in caplog.text
    assert "Secret" not in caplog.text


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert place(KeyError("Tenure")) == "KeyError"
