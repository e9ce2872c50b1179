"""What BentoML's arbiter does before it opens the port, and when a worker cannot start.

Callers wait for the arbiter before a worker begins, so it imports little: it verifies settings and
the bytes of the release. Golden rows are the worker's business, which computes them before it
answers anything; where they disagree, it ends the whole server (``end_server``), for BentoML would
start such a worker again and again, with the port open and nobody behind it.
"""

from __future__ import annotations

import atexit
import logging
import os
import signal
import sys
from collections.abc import Mapping, MutableMapping
from types import FrameType

from bentos.churn.bento_release import BundledRelease
from fedchurn.errors import SettingsError
from fedchurn.release.manifest import read_verified
from fedchurn.serving.reload.release_source import wanted_release
from fedchurn.serving.reload.worker_states import worker_states
from fedchurn.serving.serving_settings import read_serving_settings

PID = "FEDCHURN_ARBITER_PID"

logger = logging.getLogger("bentoml.churn")


def check_start(environ: Mapping[str, str], bundled: BundledRelease | None) -> None:
    """Settings, and every file of the release that they name.

    Raises:
        FedchurnError: a setting is wrong, or there is no release whose files can be trusted.
    """
    settings = read_serving_settings(environ)
    read_verified(wanted_release(settings, bundled.wanted if bundled else None).folder)


def await_refusals(environ: MutableMapping[str, str]) -> None:
    """In the arbiter: workers may end the server from now on."""
    environ[PID] = str(os.getpid())
    signal.signal(signal.SIGUSR2, _end)


def end_server(reason: Exception, environ: Mapping[str, str]) -> None:
    """In a worker that cannot start: tell why, and end the server with exit code 1.

    Returns where this process is no worker of a server, or where other workers answer.
    """
    if environ.get(PID) != str(os.getppid()) or _others_answer(environ):
        return
    logger.error("the service cannot start: %s", reason)
    os.kill(os.getppid(), signal.SIGUSR2)
    sys.stderr.flush()
    os._exit(1)


def _others_answer(environ: Mapping[str, str]) -> bool:
    try:
        return bool(worker_states(read_serving_settings(environ).workers_folder))
    except SettingsError:
        return False


def _end(_number: int, _frame: FrameType | None) -> None:
    atexit.register(os._exit, 1)  # BentoML would end with 0
    os.kill(os.getpid(), signal.SIGTERM)
