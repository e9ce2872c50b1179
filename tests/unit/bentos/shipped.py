"""Releases of the shipped contracts with invented weights, and a service of one, without a port."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from bentos.churn.api.parts import ApiParts, DriftMonitor
from bentos.churn.api.routes import api_app
from bentos.churn.worker.alerts import Alerts
from fedchurn.contract.columns import Feature, features
from fedchurn.contract.load import contract_digest, load_contract
from fedchurn.contract.schema import Contract
from fedchurn.encoding.encoder import CategoryEncoding, Encoder, NumberEncoding
from fedchurn.errors import ReleaseError
from fedchurn.learning.spec import ModelSpec
from fedchurn.release.golden import choose_golden_rows
from fedchurn.release.scorer import Scorer
from fedchurn.release.write import ReleaseParts, write_release
from fedchurn.serving.answering import Answering
from fedchurn.serving.feedback.performance import performance
from fedchurn.serving.feedback.store import FeedbackStore
from fedchurn.serving.live import Live, Serving
from fedchurn.serving.log.prediction_log import PredictionLog
from fedchurn.serving.metrics.prometheus_alerts import AlertSeries
from fedchurn.serving.metrics.prometheus_families import Families
from fedchurn.serving.prediction_ids import PredictionIds
from fedchurn.serving.recorder import Recorder
from fedchurn.serving.reload.result import ReloadResult
from fedchurn.serving.served_release import serve_release
from fedchurn.serving.serving_settings import ServingSettings
from tests.unit.release.releases import card


def release_parts(contract: Contract) -> ReleaseParts:
    """A release of any contract: one input per label or number, small random weights."""
    encoder = Encoder(tuple(_encoding(f) for f in features(contract)))
    spec = ModelSpec(encoder.num_inputs)
    return ReleaseParts(
        card=card(
            contract=contract.contract,
            contract_version=contract.version,
            contract_digest=contract_digest(contract),
            mlflow_run_id="0123456789abcdef",
        ),
        model=_scorer(contract, encoder, spec, 1),
        reference={},
        golden_rows=choose_golden_rows(contract, seed=1, num_rows=8),
        fallback=_scorer(contract, encoder, spec, 2),
    )


def _encoding(feature: Feature) -> NumberEncoding | CategoryEncoding:
    if feature.labels is None:
        return NumberEncoding(feature.name, 10.0, 100.0, 10.0, (), True)
    return CategoryEncoding(feature.name, feature.labels, True)


def _scorer(contract: Contract, encoder: Encoder, spec: ModelSpec, seed: int) -> Scorer:
    generator = np.random.default_rng(seed)
    weights = tuple(
        (generator.normal(size=shape) / 4).astype(np.float32) for _, shape in spec.weight_shapes()
    )
    return Scorer(contract, encoder, spec, weights)


@dataclass(frozen=True)
class Counts:
    total_predictions: int
    fallback_count: int
    fallback_rate: float
    fallback_reasons: dict[str, int]
    by_model_used: dict[str, int]


@dataclass
class Counted:
    """Metrics that only remember what they were told."""

    refusals: list[tuple[str, str]] = field(default_factory=list)
    truths: list[tuple[int | None, int]] = field(default_factory=list)

    def refused(self, problems: Iterable[Any]) -> None:
        self.refusals += [(problem.field, problem.rule) for problem in problems]

    def feedback(self, predicted: int | None, actual: int) -> None:
        self.truths.append((predicted, actual))

    def fallback_counts(self) -> Any:
        return Counts(4, 1, 0.25, {"timeout": 1}, {"champion": 3, "rules": 1})


@dataclass
class Reloads:
    """Knows one release: the one that answers."""

    live: Live
    failure: str | None = None

    def reload(self, release: str | None = None) -> ReloadResult:
        now = self.live.state.champion
        is_known = release in (None, now.release_id)
        self.failure = None if is_known else f"there is no release {release!r}"
        return ReloadResult(
            status="unchanged" if is_known else "failed",
            previous_release=now.release_id,
            previous_version=now.version,
            new_release=now.release_id,
            new_version=now.version,
            accuracy=0.894,
            message=self.failure or "the release in production answers already",
            rule=None if is_known else "unknown_release",
            seconds=0.01,
            time_seconds=1.0,
        )

    def condition(self) -> Mapping[str, Any]:
        return {
            "golden_rows": True,
            "num_workers": 1,
            "num_serving": 1,
            "last_reload_failure": self.failure,
            "workers": [{"pid": 1, "release": self.live.state.champion.release_id}],
        }


@dataclass
class Drift:
    """A check of invented figures."""

    num_rows: int = 50

    def status(self) -> Mapping[str, Any]:
        return {
            "reference_samples": 100,
            "monitoring_samples": self.num_rows,
            "drift_threshold": 0.05,
            "monitoring_active": True,
            "drift_detected": True,
            "drift_scores": {"Tenure": 0.4},
            "features_with_drift": ["Tenure"],
            "last_check": "2026-03-01T12:00:00Z",
        }

    def check(self) -> Mapping[str, Any]:
        if self.num_rows < 30:
            raise ReleaseError(f"{self.num_rows} predictions are too few", next_step="wait for 30")
        return {
            "drift_detected": True,
            "features_with_drift": {"Tenure": {"ks_statistic": 0.4, "p_value": 0.001}},
            "total_features_checked": 18,
            "analyzed_samples": self.num_rows,
            "timestamp": "2026-03-01T12:00:00Z",
        }


class Api:
    """The routes over a real release, answering, log and feedback."""

    def __init__(self, home: Path, made: ReleaseParts, version: str | None = "7", **settings: Any):
        contract = made.model.contract
        self.settings = ServingSettings(home=home, contract=contract.contract, **settings)
        self.served = serve_release(write_release(made, home / "releases"), version)
        self.live = Live(Serving(self.served))
        self.log = PredictionLog(self.settings.predictions_folder)
        self.recorder = Recorder([self.log])
        self.metrics = Counted()
        self.reloads = Reloads(self.live)
        self.drift: DriftMonitor = Drift()
        folder = self.settings.service_folder
        self.feedback = FeedbackStore(folder / "feedback", self.settings.predictions_folder)
        self.parts = ApiParts(
            settings=self.settings,
            live=self.live,
            answering=Answering(self.live, self.recorder, PredictionIds()),
            metrics=self.metrics,
            alerts=Alerts(self.settings, AlertSeries(Families())),
            started_seconds=time.time(),
            flush=self.recorder.flush,
            feedback=self.feedback,
            performance=lambda: performance(
                self.settings.predictions_folder, folder / "feedback", min_labels=1
            ),
            reloader=self.reloads,
            drift=self.drift,
            experiment=lambda: {"num_answers": 0},
        )
        self.app = api_app(lambda: self.parts)

    def change(self, **parts: Any) -> None:
        self.parts = dataclasses.replace(self.parts, **parts)

    def close(self) -> None:
        self.recorder.stop()
        self.feedback.close()

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> httpx.Response:
        return self.request("POST", path, **more)

    def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return asyncio.run(self._request(method, path, **more))

    async def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path, **more)


def shipped_api(home: Path, name: str, **settings: Any) -> Api:
    """A service of one of the shipped contracts."""
    return Api(home, release_parts(load_contract(name)), **settings)
