"""Another release without a restart: loaded beside the one that answers, proven, then swapped in.

Whatever goes wrong, the previous release goes on answering and the reason is kept. Requests take
``live.state`` once, so each is answered by one release, before or after the swap.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from fedchurn.errors import ReleaseError
from fedchurn.serving.live import Live, Serving
from fedchurn.serving.records import CHALLENGER, CHAMPION, GOLDEN_ROWS
from fedchurn.serving.reload.challenger import ChallengerSource
from fedchurn.serving.reload.events import NoEvents, ServingEvents
from fedchurn.serving.reload.golden import fallback_fault, model_fault
from fedchurn.serving.reload.loading import afresh, ready
from fedchurn.serving.reload.release_source import (
    WantedRelease,
    asked_release,
    chosen_release,
    manifest_id,
    pointer_path,
    wanted_release,
)
from fedchurn.serving.reload.request import pinned, request_id, request_path, write_request
from fedchurn.serving.reload.result import (
    FAILED,
    FIXED,
    NOT_SHARED,
    RELOADED,
    UNCHANGED,
    UNKNOWN,
    UNREADABLE,
    Refused,
    ReloadResult,
    named,
    refusing,
    result_of,
)
from fedchurn.serving.served_release import ServedRelease
from fedchurn.serving.serving_settings import ServingSettings

logger = logging.getLogger("bentoml.churn.reload")

RETRY_SECONDS = 30.0  # between attempts at what has failed and has not changed since


class Reloader:
    """Changes what answers, in one worker. Safe from any thread; one change at a time.

    Attributes:
        live: what answers.
        last: the last reload that changed something or failed, or None.
        fault: why the wanted release does not answer, in words, or None.
        swapped_seconds: Unix time at which the champion began to answer.
        chosen_by: who says which release is wanted (``WantedRelease.chosen_by``), or None where
            that cannot be read.
    """

    def __init__(
        self,
        settings: ServingSettings,
        champion: ServedRelease,
        bundled: WantedRelease | None = None,
        events: ServingEvents | None = None,
    ) -> None:
        """Answer with ``champion``, as ``first_release`` gives it, and load the challenger.

        Args:
            settings: of the service.
            champion: what answers until something else is wanted.
            bundled: the release inside the bento, where there is one.
            events: whom to tell; nobody by default.
        """
        self._settings = settings
        self._bundled = bundled
        self._events = events or NoEvents()
        self._challengers = ChallengerSource(settings)
        self._request = request_path(settings.workers_folder)
        self._lock = threading.Lock()
        self._num_begun = 0
        self._finished: tuple[int, str | None, ReloadResult] | None = None
        self._followed: object = None
        self._told_failure = False
        self.chosen_by: str | None = None
        self._retry_at = 0.0
        self._seen_request = request_id(self._request)
        self.last: ReloadResult | None = None
        self.fault: str | None = None
        self.live = Live(self._beside(champion))
        self.swapped_seconds = time.time()
        self._signs()
        self._events.serving_changed(self.live.state)

    def reload(self, release: str | None = None) -> ReloadResult:
        """Do what a person asks: answer with ``release``, or with what is in production.

        All other workers follow within an interval. A caller who waits while others ask for the
        same gets the result of the first reload that began after the call.

        Args:
            release: id of a release under ``HOME/releases``, or its path there. It holds until the
                next call, promotion or rollback.
        """
        came = self._num_begun
        with self._lock:
            done = self._finished
            if done is not None and done[0] > came and done[1] == release:
                return done[2]
            self._num_begun += 1
            result = self._try(lambda: self._asked(release))
            self._tell(result)
            self._followed = None  # the next look makes sure
            if release is None or result.status != FAILED:  # else what is wanted is as it was
                self._seen_request = request_id(self._request)
                self._signs()
                self._settle(result)
            self._finished = (self._num_begun, release, result)
            return result

    def follow(self) -> ReloadResult | None:
        """Answer with what is wanted now; None when that has not changed since the last look.

        What has failed is tried again when it changes, and every ``RETRY_SECONDS``.
        """
        with self._lock:
            if not self._may_look():
                return None
            signs = self._signs()
            overdue = self.fault is not None and time.monotonic() >= self._retry_at
            result = None
            if signs != self._followed or overdue:
                result = self._try(self._wanted)
                self._followed = signs
                self._settle(result)
                if result.status != UNCHANGED or self._told_failure:
                    self._tell(result)
            self._refresh_challenger()
            return result

    def check_golden(self) -> bool:
        """Compute golden rows of what answers again; whether the champion's are right.

        Where they are not, fallbacks answer instead, and the release is loaded again.
        """
        with self._lock:
            state = self.live.state
            fault = model_fault(state.champion)
            self._events.golden_checked(CHAMPION, fault is None)
            self._trust(fault)
            if fault is not None or fallback_fault(state.champion) is not None:
                result = self._try(lambda: afresh(self._settings, state.champion))
                self._tell(result)
            if state.challenger is not None:
                self._events.golden_checked(CHALLENGER, self._challengers.check_golden())
                self._refresh_challenger()
            return fault is None

    def _asked(self, release: str | None) -> ServedRelease:
        """What a person asked for; the other workers are told before this one swaps."""
        if release is None:
            with refusing(UNREADABLE):
                wanted = chosen_release(self._settings, self._bundled)
        elif self._settings.release is not None:
            raise Refused(FIXED, f"FEDCHURN_RELEASE fixes the release: {self._settings.release}")
        else:
            with refusing(UNKNOWN):
                wanted = asked_release(self._settings, release)
        served = ready(wanted, self._settings, self.live.state)
        self._tell_workers(None if release is None else served.release_id)
        return served

    def _tell_workers(self, release: str | None) -> None:
        try:
            write_request(self._request, release, pointer_path(self._settings))
        except ReleaseError as error:
            if release is not None or pinned(self._request):
                raise Refused(NOT_SHARED, f"other workers cannot be told: {error}") from error
            logger.warning("other workers are not told, and look for themselves: %s", error)

    def _wanted(self) -> ServedRelease:
        with refusing(UNREADABLE):
            wanted = wanted_release(self._settings, self._bundled)
        return ready(wanted, self._settings, self.live.state)

    def _try(self, find: Callable[[], ServedRelease]) -> ReloadResult:
        began, before = time.perf_counter(), self.live.state.champion
        try:
            served = find()
        except Refused as error:
            message = f"{named(before)} goes on answering: {error}"
            result = result_of(FAILED, before, before, message, began, error.rule)
            log = logger.debug if message == self.fault else logger.error
            log("reload failed; %s", message)
        else:
            status = UNCHANGED if served is before else RELOADED
            message = f"{named(served)} answers{' already' if served is before else ''}"
            if served is not before:
                self._swap(self._beside(served))
                self.swapped_seconds = time.time()
                logger.info("%s; before that %s did", message, named(before))
            result = result_of(status, before, served, message, began)
        if result.status != UNCHANGED:
            self.last = result
        return result

    def _tell(self, result: ReloadResult) -> None:
        self._told_failure = result.status == FAILED
        self._events.reload_ended(result)

    def _settle(self, result: ReloadResult) -> None:
        self.fault = result.message if result.status == FAILED else None
        self._retry_at = time.monotonic() + RETRY_SECONDS

    def _may_look(self) -> bool:
        """An interval of 0 means never, unless somebody asked, perhaps in another worker."""
        request = request_id(self._request)
        if self._settings.reload_interval_seconds == 0 and request == self._seen_request:
            return False
        self._seen_request = request
        return True

    def _signs(self) -> object:
        """What must change for another look to be worth while; some 100 microseconds."""
        try:
            wanted = wanted_release(self._settings, self._bundled)
        except ReleaseError as error:
            self.chosen_by = None
            return self._seen_request, str(error)
        self.chosen_by = wanted.chosen_by
        return self._seen_request, wanted, manifest_id(wanted.folder)

    def _trust(self, fault: str | None) -> None:
        state = self.live.state
        if fault is not None and state.champion_fault is None:
            logger.error("fallbacks answer instead of %s: %s", named(state.champion), fault)
            self._swap(replace(state, champion_fault=GOLDEN_ROWS))
        elif fault is None and state.champion_fault is not None:
            logger.info("golden rows of %s agree again", named(state.champion))
            self._swap(replace(state, champion_fault=None))

    def _beside(self, champion: ServedRelease) -> Serving:
        challenger, fault = self._challengers.current(champion)
        return Serving(
            champion=champion,
            challenger=challenger,
            ab_fraction=self._settings.ab_fraction,
            shadow_fraction=self._settings.shadow_fraction,
            challenger_fault=fault,
        )

    def _refresh_challenger(self) -> None:
        state = self.live.state
        new = self._beside(state.champion)
        if (new.challenger, new.challenger_fault) != (state.challenger, state.challenger_fault):
            self._swap(replace(new, champion_fault=state.champion_fault))

    def _swap(self, state: Serving) -> None:
        self.live.swap(state)
        self._events.serving_changed(state)
