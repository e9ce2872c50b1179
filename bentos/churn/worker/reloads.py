"""Reloads as the API asks for them, and the state of all workers as ``/health`` tells it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedchurn.serving.reload.reloader import Reloader
from fedchurn.serving.reload.result import ReloadResult
from fedchurn.serving.reload.watch import Watcher
from fedchurn.serving.reload.worker_states import worker_states, workers_report
from fedchurn.serving.serving_settings import ServingSettings


class Reloads:
    """The reloader of this worker, and what other workers have written down."""

    def __init__(self, settings: ServingSettings, reloader: Reloader, watcher: Watcher) -> None:
        self._folder = settings.workers_folder
        self._reloader = reloader
        self._watcher = watcher

    def reload(self, release: str | None = None) -> ReloadResult:
        """Answer with ``release``, or with what is in production; other workers follow."""
        result = self._reloader.reload(release)
        self._watcher.look()  # so that /health knows at once
        return result

    def condition(self) -> Mapping[str, Any]:
        """Golden rows, the last reload's failure, and every worker; JSON-ready."""
        state = self._reloader.live.state
        states = worker_states(self._folder)
        return {
            "golden_rows": state.champion_fault is None,
            "last_reload_failure": self._reloader.fault,  # a mistyped name in a call is none
            **workers_report(states, state.champion.release_id),
        }
