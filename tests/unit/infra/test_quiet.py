"""The quiet settings have one content in two places, and never override the user."""

from __future__ import annotations

from pathlib import Path

from fedchurn.quiet import QUIET_ENVIRONMENT, apply_quiet_environment

ENV_FILE = Path(__file__).resolve().parents[3] / "infra" / "quiet.env"


def test_the_shell_file_equals_the_table() -> None:
    lines = [line for line in ENV_FILE.read_text().splitlines() if not line.startswith("#")]
    assert dict(line.split("=", 1) for line in lines) == dict(QUIET_ENVIRONMENT)


def test_what_the_user_has_set_stays() -> None:
    environ = {"DO_NOT_TRACK": "false"}
    apply_quiet_environment(environ)
    assert environ["DO_NOT_TRACK"] == "false"
    assert environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
