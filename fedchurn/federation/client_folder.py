"""A checked client on its own disk: what its Flower app reads before it answers.

Whoever starts the client checks the rows once (``fedchurn.loop.client_rows``); the app, which may
be started anew by Flower at any time, reads the result.
"""

from __future__ import annotations

import os
from pathlib import Path

from fedchurn.data.client_table import ClientTable, load_client_table, save_client_table
from fedchurn.errors import SourceError
from fedchurn.federation.join_facts import ClientValidation

_TABLE = "client.npz"
_VALIDATION = "validation.json"


def write_client(table: ClientTable, validation: ClientValidation, folder: Path) -> None:
    """Keep a client's rows and their validation; each file is replaced in one step."""
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{os.getpid()}.npz"
    save_client_table(table, partial)
    partial.replace(folder / _TABLE)
    text = folder / f".{os.getpid()}.json"
    text.write_text(validation.model_dump_json(indent=1), encoding="utf-8")
    text.replace(folder / _VALIDATION)


def read_client(folder: Path) -> tuple[ClientTable, ClientValidation]:
    """What ``write_client`` kept.

    Raises:
        SourceError: nothing was kept there, or it cannot be read.
    """
    try:
        table = load_client_table(folder / _TABLE)
        text = (folder / _VALIDATION).read_text(encoding="utf-8")
        return table, ClientValidation.model_validate_json(text)
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(
            f"the client's checked rows cannot be read: {error}",
            where=str(folder),
            next_step="start the client again: it checks its file and keeps the rows there",
        ) from error
