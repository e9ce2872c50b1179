"""``fedchurn api-key``: a key for the caller, an entry for the settings of the service."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from fedchurn.cli.main import app
from fedchurn.serving.access.api_keys import read_api_keys
from fedchurn.serving.serving_settings import read_serving_settings

RUNNER = CliRunner()


def test_the_printed_entry_opens_the_service_to_the_printed_key() -> None:
    done = RUNNER.invoke(app, ["api-key", "shop", "--scope", "admin", "--json"])
    assert done.exit_code == 0, done.output
    *told, answer = done.stdout.splitlines()
    key, entry = told[1].strip(), told[3].strip()
    assert json.loads(answer) == {"name": "shop", "key": key, "entry": entry}
    settings = read_serving_settings({"FEDCHURN_SERVE_API_KEYS": entry})
    holder = read_api_keys(settings.api_keys).holder(key.encode())
    assert holder is not None
    assert holder.scopes == {"admin"}


def test_a_key_may_score_unless_told_otherwise() -> None:
    done = RUNNER.invoke(app, ["api-key", "shop"])
    assert "shop:predict:" in done.stdout


def test_a_bad_name_is_a_settings_error() -> None:
    assert RUNNER.invoke(app, ["api-key", "a:b"]).exit_code == 2
