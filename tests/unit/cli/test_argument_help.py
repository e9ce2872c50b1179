"""``--help`` says what arguments are, and not only options."""

from __future__ import annotations

import pytest
from typer.core import TyperArgument
from typer.testing import CliRunner

from fedchurn.cli.argument_help import keep_argument_help
from fedchurn.cli.main import app


@pytest.mark.parametrize(
    ("verb", "words"), [("personal", "Folder of the release"), ("promote", "Registered version")]
)
def test_help_of_arguments(monkeypatch: pytest.MonkeyPatch, verb: str, words: str) -> None:
    monkeypatch.setattr(TyperArgument, "__init__", TyperArgument.__init__)  # undone afterwards
    keep_argument_help()
    shown = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "120"}).output
    assert words in shown
