"""Everything that is alive in one worker of the service, put together and taken apart in order."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Mapping
from typing import Any

from bentos.churn.api.parts import ApiParts
from bentos.churn.bento_internals import num_workers, server_series, whole_stack_reason
from bentos.churn.bento_release import BundledRelease
from bentos.churn.gate.access import ROUTES
from bentos.churn.gate.gate import Gate
from bentos.churn.lane.fast_lane import FastLane
from bentos.churn.lane.front import Lane, Opened
from bentos.churn.worker.alerts import Alerts
from bentos.churn.worker.events import MetricsEvents
from bentos.churn.worker.reloads import Reloads
from fedchurn.serving.access.api_keys import read_api_keys
from fedchurn.serving.access.rate_limit import make_limiter
from fedchurn.serving.answering import Answering
from fedchurn.serving.drift_checks import DriftChecks
from fedchurn.serving.drift_watch import DriftWatch
from fedchurn.serving.experiment.experiment import Experiment
from fedchurn.serving.experiment.shadow import ShadowSink
from fedchurn.serving.feedback.performance import Performance, performance
from fedchurn.serving.feedback.performance_file import latest_performance, maturity_days
from fedchurn.serving.feedback.store import FeedbackStore
from fedchurn.serving.log.prediction_log import PredictionLog, check_masked_fields
from fedchurn.serving.metrics.prometheus_service import service_metrics
from fedchurn.serving.metrics.prometheus_state import LOG, RECORDER
from fedchurn.serving.prediction_ids import PredictionIds
from fedchurn.serving.recorder import Recorder, Sink
from fedchurn.serving.reload.loading import first_release
from fedchurn.serving.reload.reloader import Reloader
from fedchurn.serving.reload.watch import Watcher
from fedchurn.serving.reload.worker_states import worker_states
from fedchurn.serving.serving_settings import ServingSettings, read_serving_settings
from fedchurn.serving.tracing.tracing import make_tracing

logger = logging.getLogger("bentoml.churn")


class Worker:
    """One worker: loads its release when made, works between ``open`` and ``stop``.

    Attributes:
        parts: what the routes call.

    Raises:
        FedchurnError: a setting is wrong, or there is no release that can be trusted.
    """

    def __init__(self, environ: Mapping[str, str], bundled: BundledRelease | None) -> None:
        self.settings = read_serving_settings(environ)
        champion = first_release(self.settings, bundled.wanted if bundled else None)
        check_masked_fields(self.settings.log_masked_fields, champion.contract)
        routes = [(method, path) for path, methods in ROUTES.items() for method in methods]
        self.metrics = service_metrics(champion.contract, routes=routes)
        events = MetricsEvents(self.metrics)
        wanted = bundled.wanted if bundled else None
        self._reloader = Reloader(self.settings, champion, wanted, events)
        self.live = self._reloader.live
        self._experiment = Experiment(self.live)
        self._log = _prediction_log(self.settings)
        self._recorder = self._make_recorder(events)
        self._ids = PredictionIds()
        self._tracing = make_tracing(self.settings)
        self.answering = Answering(self.live, self._recorder, self._ids, self._tracing)
        self._last_record = latest_performance(self.settings.service_folder)
        self.metrics.performance.watch(self._performance_record)
        watch = DriftWatch(self.settings, lambda: self.live.state.champion.release_id)
        self.metrics.drift.watch(watch.look)
        self._watcher = Watcher(self.settings, self._reloader, self._experiment)
        self.parts = self._make_parts()
        told = "release %s, version %s: golden rows agree"
        logger.info(told, champion.release_id, champion.version)

    def open(self, application: Any) -> Opened:
        """Begin to work; ``application`` is BentoML's, which has started."""
        self.metrics.http.server = server_series(application)
        self._recorder.start()
        self._watcher.start()
        keys = read_api_keys(self.settings.api_keys)
        rate, burst = self.settings.rate_limit_per_second, self.settings.rate_limit_burst
        limiter = make_limiter(rate, burst, num_workers())
        gate = Gate(application, ROUTES, keys, limiter, self.settings)
        threading.Thread(target=self._warm_up, name="warm-up", daemon=True).start()
        _settle_memory()
        return Opened(gate, self._lane(), self.metrics.http, self._flush)

    def stop(self) -> None:
        """Write down what waits, and leave; no request comes any more."""
        self._watcher.stop()
        self._recorder.stop()
        self._tracing.close()
        if self.parts.feedback is not None:
            self.parts.feedback.close()

    def _make_recorder(self, events: MetricsEvents) -> Recorder:
        sinks: list[Sink] = [self.metrics, self._experiment]
        sinks.append(ShadowSink(self.live, self._experiment, events))
        if self._log is not None:
            sinks.append(self._log)
            log = self._log
            self.metrics.watch_drops(LOG, lambda: log.num_dropped)
        recorder = Recorder(sinks, interval_seconds=self.settings.log_flush_seconds)
        self.metrics.watch_drops(RECORDER, lambda: recorder.num_dropped)
        return recorder

    def _make_parts(self) -> ApiParts:
        settings = self.settings
        predictions = settings.predictions_folder if settings.log else None
        return ApiParts(
            settings=settings,
            live=self.live,
            answering=self.answering,
            metrics=self.metrics,
            alerts=Alerts(settings, self.metrics.alerts),
            started_seconds=time.time(),
            flush=self._flush,
            feedback=FeedbackStore(settings.feedback_folder, predictions),
            performance=self._performance if settings.log else None,
            reloader=Reloads(settings, self._reloader, self._watcher),
            drift=DriftChecks(settings, self.live, self.metrics.drift) if settings.log else None,
            experiment=self._experiment_report,
        )

    def _warm_up(self) -> None:
        """The first explanation in a process takes some 20 ms; no caller shall wait for it."""
        served = self.live.state.champion
        served.explainers[served.role].explain(dict(served.release.golden.rows[0]))

    def _flush(self) -> None:
        self._recorder.flush()
        self.metrics.refresh()

    def _performance(self) -> Performance:
        self._flush()
        bands = [band.name for band in self.live.state.champion.contract.risk_bands]
        return performance(
            self.settings.predictions_folder,
            self.settings.feedback_folder,
            bands=bands,
            maturity_days=maturity_days(self.settings.service_folder, self.settings.maturity_days),
            rolling=self._performance_record(),
        )

    def _performance_record(self) -> dict[str, Any] | None:
        return self._last_record(self.live.state.champion.release_id)

    def _experiment_report(self) -> Mapping[str, Any] | None:
        if self.live.state.challenger is None:
            return None
        self._flush()
        return self._experiment.report(worker_states(self.settings.workers_folder), os.getpid())

    def _lane(self) -> Lane | None:
        reason = whole_stack_reason()
        if not self.settings.fast_lane:
            reason = "the settings say so"
        if reason is not None:
            logger.info("the fast lane is closed: %s", reason)
            return None
        lane = FastLane(self.live, self._recorder, self._ids, self._tracing, self.settings.explain)
        return lane.answer


def _prediction_log(settings: ServingSettings) -> PredictionLog | None:
    if not settings.log:
        return None
    return PredictionLog(
        settings.predictions_folder,
        file_bytes=settings.log_file_bytes,
        total_bytes=settings.log_total_bytes,
        masked_fields=settings.log_masked_fields,
    )


def _settle_memory() -> None:
    """What is loaded now stays: the collector need not look through it during requests.

    Nothing is collected first: there is nothing yet, and looking takes a tenth of the cold start.
    """
    gc.freeze()
    # Records of answers are no cycles: looking through them 700 at a time finds nothing.
    gc.set_threshold(20_000, 20, 50)
