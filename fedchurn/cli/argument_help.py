"""Help of arguments, which Typer 0.20 loses beside Click 8.4 and later.

Click's own ``Argument`` learned about help, and sets it to None after Typer has set it.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperArgument


def keep_argument_help() -> None:
    """Have ``--help`` say what arguments are."""
    set_up = TyperArgument.__init__

    def keeping(self: TyperArgument, *args: Any, help: str | None = None, **rest: Any) -> None:
        set_up(self, *args, help=help, **rest)
        self.help = help

    TyperArgument.__init__ = keeping  # type: ignore[method-assign]
