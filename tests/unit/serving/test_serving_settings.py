"""Settings of the service from the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedchurn.errors import SettingsError
from fedchurn.serving.serving_settings import (
    PREFIX,
    ServingSettings,
    read_serving_settings,
)
from fedchurn.serving.settings_table import with_table

PROJECT = Path(__file__).resolve().parents[3]


def test_an_empty_environment_gives_the_defaults() -> None:
    assert read_serving_settings({"PATH": "/bin", "FEDCHURN_SERVE_LOG": ""}) == ServingSettings()


def test_values_are_read_and_converted() -> None:
    settings = read_serving_settings(
        {
            "FEDCHURN_HOME": "/tmp/home",
            "FEDCHURN_CONTRACT": "telco",
            "FEDCHURN_SERVE_LOG": "false",
            "FEDCHURN_SERVE_RELOAD_INTERVAL_SECONDS": "0.5",
            "FEDCHURN_SERVE_LOG_MASKED_FIELDS": "Gender, MaritalStatus",
        }
    )
    assert settings.home == Path("/tmp/home")
    assert settings.contract == "telco"
    assert not settings.log
    assert settings.reload_interval_seconds == 0.5
    assert settings.log_masked_fields == ("Gender", "MaritalStatus")
    assert settings.predictions_folder == Path("/tmp/home/service/telco/predictions").resolve()


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(SettingsError, match="did you mean 'FEDCHURN_SERVE_SHADOW_FRACTION'"):
        read_serving_settings({"FEDCHURN_SERVE_SHADOW_FRACTIONS": "0.1"})


def test_a_value_that_does_not_fit_is_named_with_its_variable() -> None:
    with pytest.raises(SettingsError, match=r"FEDCHURN_SERVE_AB_FRACTION is '2'"):
        read_serving_settings({"FEDCHURN_SERVE_AB_FRACTION": "2"})


def test_keys_are_never_shown() -> None:
    entry = f"shop:predict:{'ab' * 32}"
    settings = read_serving_settings({PREFIX + "API_KEYS": entry})
    assert settings.api_keys == (entry,)
    assert "abab" not in repr(settings)


def test_the_documented_table_is_the_one_of_the_code() -> None:
    page = (PROJECT / "docs" / "serving.md").read_text(encoding="utf-8")
    assert with_table(page) == page
    assert "`FEDCHURN_SERVE_AB_FRACTION` | `0.0` |" in page
