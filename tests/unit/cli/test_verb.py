"""What every verb shares: the last line, the exit code, and no traceback for people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from fedchurn.cli.verb import Config, Json, Set, settings_from, verb
from fedchurn.errors import FedchurnError, PromotionRefused, SourceError

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def invoke(answer: dict[str, Any] | Exception, *arguments: str) -> Result:
    """A verb that returns, or raises, ``answer``."""
    app = typer.Typer()

    @app.command()
    @verb
    def work(
        config: Config = None, assignments: Set = None, json_output: Json = False
    ) -> dict[str, Any]:
        """Does its work."""
        typer.echo("for people")
        if isinstance(answer, Exception):
            raise answer
        return answer

    return RUNNER.invoke(app, list(arguments))


def test_people_get_words_and_programs_one_object_in_the_last_line() -> None:
    assert invoke({"rows": 3}).stdout == "for people\n"
    done = invoke({"rows": 3, "place": Path("a")}, "--json")
    assert done.exit_code == 0
    assert done.stdout == 'for people\n{"rows": 3, "place": "a"}\n'
    assert done.stderr == ""


def test_the_object_is_strict_json() -> None:
    done = invoke({"auc": float("nan"), "top": [float("inf"), 0.5]}, "--json")
    assert json.loads(done.stdout.splitlines()[-1]) == {"auc": None, "top": [None, 0.5]}


def test_a_result_may_set_the_exit_code() -> None:
    done = invoke({"exit_code": PromotionRefused.exit_code}, "--json")
    assert done.exit_code == 20
    assert json.loads(done.stdout.splitlines()[-1]) == {"exit_code": 20}


def test_an_error_says_what_where_and_what_next() -> None:
    error = SourceError("no such file", where="a.csv", next_step="check the name")
    done = invoke(error, "--json")
    assert done.exit_code == 4
    assert done.stderr == "fedchurn: a.csv: no such file\n  next: check the name\n"
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "error": "SourceError",
        "what": "no such file",
        "where": "a.csv",
        "next_step": "check the name",
        "exit_code": 4,
    }
    assert invoke(error).stdout == "for people\n"


def every_error(base: type[FedchurnError] = FedchurnError) -> list[type[FedchurnError]]:
    return [base, *(found for sub in base.__subclasses__() for found in every_error(sub))]


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.__name__)
def test_every_error_has_its_exit_code(kind: type[FedchurnError]) -> None:
    assert invoke(kind("it happened")).exit_code == kind.exit_code > 0


def test_a_defect_goes_to_a_file_and_not_to_the_terminal(tmp_path: Path) -> None:
    done = invoke(ZeroDivisionError("division by zero"), "--json")
    assert done.exit_code == 1
    assert "unexpected ZeroDivisionError: division by zero" in done.stderr
    assert str(tmp_path / "fedchurn-error.log") in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    log = (tmp_path / "fedchurn-error.log").read_text()
    assert log.startswith("Traceback")
    assert "ZeroDivisionError: division by zero" in log
    assert json.loads(done.stdout.splitlines()[-1])["error"] == "ZeroDivisionError"


def test_a_defect_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "fedchurn-error.log").mkdir()
    done = invoke(ZeroDivisionError("division by zero"))
    assert done.exit_code == 1
    assert "run again in a folder that can be written" in done.stderr


def test_an_option_that_does_not_exist_is_a_wrong_setting() -> None:
    assert invoke({}, "--jsn").exit_code == 2


def test_settings_come_from_file_and_assignments() -> None:
    Path("mine.yaml").write_text("seed: 1\nrecipe: reference\n")
    settings = settings_from(Path("mine.yaml"), ["seed=3"], {"contract": "telco"})
    assert (settings.seed, settings.recipe, settings.contract) == (3, "reference", "telco")
