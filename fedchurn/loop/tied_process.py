"""Runs a command that ends when whoever started it is gone, however that came about.

    python -m fedchurn.loop.tied_process COMMAND...

The starter holds the other end of this process's standard input: it closes it to end the command,
and the system closes it when the starter is killed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress

GRACE_SECONDS = 10.0


def main(command: Sequence[str]) -> int:
    """Run ``command``; returns its exit code."""
    process = subprocess.Popen(list(command), stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_input, args=(process,), daemon=True).start()
    return process.wait()


def _end_with_input(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the command; SIGKILL to the whole session, which is ours, if it does not end."""
    while os.read(0, 4096):
        pass
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_SECONDS)
        return
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
