"""The thread that keeps a worker up to date: releases, golden rows, and word to other workers."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time

from fedchurn.errors import ReleaseError
from fedchurn.serving.experiment.experiment import Experiment
from fedchurn.serving.reload.reloader import Reloader
from fedchurn.serving.reload.worker_states import (
    WorkerState,
    process_start,
    remove_state,
    write_state,
)
from fedchurn.serving.serving_settings import ServingSettings

logger = logging.getLogger("bentoml.churn.watch")

ALIVE_SECONDS = 60.0  # a state is written at least this often, as a sign of life
_REQUESTS_SECONDS = 1.0  # between looks for requests alone, when the interval is 0


class Watcher:
    """Looks around every ``settings.reload_interval_seconds`` until it is stopped.

    Attributes:
        watch_seconds: how long the last look around took.
        num_errors: looks around that ended in an error, which is logged and otherwise ignored.
    """

    def __init__(self, settings: ServingSettings, reloader: Reloader, experiment: Experiment):
        self._folder = settings.workers_folder
        self._interval_seconds = settings.reload_interval_seconds or _REQUESTS_SECONDS
        self._golden_seconds = settings.golden_interval_seconds
        self._reloader = reloader
        self._experiment = experiment
        self._started_seconds = time.time()
        self._golden_at = time.monotonic() + self._golden_seconds
        self._written: tuple[object, float] = (None, 0.0)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.watch_seconds = 0.0
        self.num_errors = 0

    def start(self) -> None:
        """Tell the other workers of this one, and begin to watch."""
        self._tell()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after a look around that is under way, and take this worker off."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
        remove_state(self._folder, os.getpid())

    def look(self) -> None:
        """One look around; also right after a reload that a person asked for."""
        self._reloader.follow()
        if self._golden_seconds and time.monotonic() >= self._golden_at:
            self._golden_at = time.monotonic() + self._golden_seconds
            self._reloader.check_golden()
        self._tell()

    def state(self) -> WorkerState:
        """What this worker serves."""
        reloader = self._reloader
        serving, last = reloader.live.state, reloader.last
        return WorkerState(
            host=socket.gethostname(),
            pid=os.getpid(),
            process_start=process_start(os.getpid()) or 0,
            started_seconds=self._started_seconds,
            release=serving.champion.release_id,
            version=serving.champion.version,
            release_folder=str(serving.champion.release.folder.resolve()),
            swapped_seconds=reloader.swapped_seconds,
            chosen_by=reloader.chosen_by,
            champion_fault=serving.champion_fault,
            reload_fault=reloader.fault,
            challenger=serving.challenger.release_id if serving.challenger else None,
            challenger_fault=serving.challenger_fault,
            last_reload=last.to_dict() if last else None,
            experiment=self._experiment.sums(),
        )

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_seconds):
            began = time.perf_counter()
            try:
                self.look()
            except Exception:  # the next look may do better; without a watcher none would
                self.num_errors += 1
                logger.exception("looking around failed")
            self.watch_seconds = time.perf_counter() - began

    def _tell(self) -> None:
        """Write this worker's state where it has changed, and now and then as a sign of life."""
        state = self.state()
        before, when = self._written
        if state == before and time.monotonic() - when < ALIVE_SECONDS:
            return
        self._written = (state, time.monotonic())
        try:
            write_state(self._folder, state)
        except ReleaseError as error:  # nobody is told, but answers go on
            logger.warning("%s", error)
