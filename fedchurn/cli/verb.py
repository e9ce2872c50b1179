"""What every verb shares: options, one JSON object as the last line, and exit codes."""

from __future__ import annotations

import functools
import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedchurn.errors import FedchurnError

if TYPE_CHECKING:
    from fedchurn.settings import Settings

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object as the last line of output.")
]
Config = Annotated[
    Path | None, typer.Option("--config", help="YAML file with settings.", show_default=False)
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set one setting, for example seed=7."),
]

Result = dict[str, Any]


def verb(work: Callable[..., Result]) -> Callable[..., None]:
    """Runs a verb's work and turns its result, or its error, into output and an exit code.

    The work prints what people read and returns what programs read; ``exit_code`` in the result
    becomes the exit code.
    """

    @functools.wraps(work)
    def run(*args: Any, **kwargs: Any) -> None:
        as_json = bool(kwargs.get("json_output"))
        try:
            result = work(*args, **kwargs)
        except FedchurnError as error:
            _fail(f"{error}", error.to_dict(), as_json)
            raise typer.Exit(error.exit_code) from None
        except BrokenPipeError:  # the reader (head, less) has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None
        except Exception as error:
            told = _unexpected(error)
            _fail(f"{told['what']}\n  next: {told['next_step']}", told, as_json)
            raise typer.Exit(1) from None
        if as_json:
            print(_json_line(result))
        if code := int(result.get("exit_code", 0)):
            raise typer.Exit(code)

    # ``from __future__ import annotations`` makes them texts; typer resolves them in our module.
    run.__annotations__ = {k: v for k, v in work.__annotations__.items() if k != "return"}
    return run


def _json_line(result: Result) -> str:
    """One line of strict JSON: what is not a finite number is null."""
    plain = json.dumps(result, default=str)
    return json.dumps(json.loads(plain, parse_constant=lambda _constant: None))


def _fail(message: str, told: Result, as_json: bool) -> None:
    print(f"fedchurn: {message}", file=sys.stderr)
    if as_json:
        print(_json_line(told))


def _unexpected(error: Exception) -> Result:
    """An error that Fedchurn did not foresee: the traceback goes to a file, not to the user."""
    log = Path.cwd() / "fedchurn-error.log"
    try:
        log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        place = f"send {log} with your report"
    except OSError:
        place = "run again in a folder that can be written to get the details"
    return {
        "error": type(error).__name__,
        "what": f"unexpected {type(error).__name__}: {error}",
        "where": "",
        "next_step": f"this is a defect of Fedchurn; {place}",
        "exit_code": 1,
    }


def settings_from(
    config: Path | None, assignments: list[str] | None, values: dict[str, Any] | None = None
) -> Settings:
    """Settings of a verb; see ``fedchurn.settings_files.load_settings``."""
    from fedchurn.settings_files import load_settings

    return load_settings(config, assignments or [], values)
