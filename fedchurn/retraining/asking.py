"""A note that somebody has asked for a run of ``retrain`` already.

A hundred triggers in a minute need one run that looks at them all. Whoever adds a trigger asks for
a run only if he can put up the note; the run takes it down before it reads the inbox. So a trigger
that comes too late for that reading asks again, and none is overlooked.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

STALE_SECONDS = 300.0  # whoever asked may have been killed before he did, or the run was lost
_NOTE = "asked"


def claim_asking(folder: Path) -> bool:
    """Whether the caller is to ask for a run now; False when somebody did in the last 5 minutes.

    In the rare case that two find the same old note, both may be told to ask; that does no harm.

    Args:
        folder: ``places.retraining_folder``.

    Raises:
        OSError: the folder cannot be written.
    """
    note = folder / _NOTE
    folder.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if abs(time.time() - note.stat().st_mtime) > STALE_SECONDS:
            note.unlink()
    try:
        os.close(os.open(note, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
    except FileExistsError:
        return False
    return True


def forget_asking(folder: Path) -> None:
    """Take the note down: before the inbox is read, or when asking did not succeed.

    Raises:
        OSError: the folder cannot be written.
    """
    (folder / _NOTE).unlink(missing_ok=True)
