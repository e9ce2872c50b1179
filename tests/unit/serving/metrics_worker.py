"""A worker's metrics in a process of its own: ``python -m tests.unit.serving.metrics_worker``.

Its folder is ``PROMETHEUS_MULTIPROC_DIR``. It reads commands, one JSON list per line, and answers
each with one line: ``["exposition"]``, ``["fallbacks"]``, or a method's name and its arguments.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from fedchurn.serving.drift_watch import DriftWatch
from fedchurn.serving.metrics.prometheus_service import ServiceMetrics, service_metrics
from fedchurn.serving.serving_settings import ServingSettings
from tests.unit.release.releases import CONTRACT
from tests.unit.serving.predictions import record, served

ROUTES = (("POST", "/predict"), ("GET", "/health"))


def main() -> None:
    """Answer commands until there are no more."""
    metrics = service_metrics(CONTRACT, routes=ROUTES)
    releases = {v: served(Path(sys.argv[1]), version=v, seed=int(v)) for v in ("7", "8")}
    _tell("ready")
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        _tell(_do(metrics, releases, name, arguments))


def _tell(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def _do(metrics: ServiceMetrics, releases: Any, name: str, arguments: list[Any]) -> object:
    match name:
        case "exposition":
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return generate_latest(registry).decode()
        case "fallbacks":
            return dataclasses.asdict(metrics.fallback_counts())
        case "release":
            metrics.release(releases[arguments[0]])
        case "predict":
            num_rows, changes = arguments
            metrics.take([record(releases["7"], **changes) for _ in range(num_rows)])
        case "drift":
            metrics.drift.scores({arguments[0]: arguments[1]})
        case "watch_drift":
            settings = ServingSettings(home=Path(arguments[0]), contract=CONTRACT.contract)
            metrics.drift.watch(DriftWatch(settings, lambda: arguments[1]).look)
            metrics.refresh()
        case "waiting":
            metrics.http.num_in_progress = arguments[0]
            metrics.refresh()
        case _:
            getattr(metrics, name)(*arguments)
    return "done"


if __name__ == "__main__":
    main()
