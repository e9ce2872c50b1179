"""The process of an embedded Prefect server: ``python -m flows.server_process SOCKET STARTER``.

It serves on a listening socket that it inherits, so that nobody can take the port in between, and
it ends when the process that started it is gone, however that came about.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import uvicorn

LOOK_SECONDS = 1.0
GRACE_SECONDS = 3
LEAVE_SECONDS = 15.0


def main(socket_number: int, starter: int) -> None:
    """Serve until told to stop, or until ``starter`` (a process id) is no longer our parent."""
    import uvicorn
    from prefect.server.api.server import create_app

    config = uvicorn.Config(
        create_app(ephemeral=True, final=True),
        log_level="error",
        lifespan="on",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_end_with, args=(starter, server), daemon=True).start()
    server.run(sockets=[socket.socket(fileno=socket_number)])


def _end_with(starter: int, server: uvicorn.Server) -> None:
    while os.getppid() == starter:
        time.sleep(LOOK_SECONDS)
    server.should_exit = True
    time.sleep(LEAVE_SECONDS)
    os._exit(1)  # shutting down hangs, and nobody is left to wait for it


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
