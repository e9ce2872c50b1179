"""What the drift runner has found is what the service tells and counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedchurn.loop.watching.runner import check_drift
from tests.unit.bentos.in_process import running_service
from tests.unit.loop.watching.watched_home import WatchedHome

# BentoML 1.4 overrides what pydantic 2.11 deprecated; it warns while it is imported.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*__get_pydantic_core_schema__.*:pydantic.warnings.PydanticDeprecatedSince211"
)


def _counted(worker: Any) -> list[float]:
    """How often Tenure drifted, and the verdict, as a scrape of the worker would say."""
    worker.metrics.refresh()
    registry = worker.metrics.families.registry
    return [
        registry.get_sample_value("fedchurn_drift_detected_total", {"feature": "Tenure"}),
        registry.get_sample_value("fedchurn_drift_verdict"),
    ]


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Workers that the service makes in this process."""
    from bentos.churn import service

    made: list[Any] = []
    new_worker = service._new_worker
    monkeypatch.setattr(service, "_new_worker", lambda: made.append(new_worker()) or made[-1])
    return made


def test_the_runners_verdict_is_the_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: list[Any]
) -> None:
    home = WatchedHome(tmp_path)
    monkeypatch.setenv("FEDCHURN_HOME", str(tmp_path))
    monkeypatch.setenv("FEDCHURN_CONTRACT", "shop")
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    with running_service() as client:
        before = client.get("/drift-status").json()
        assert (before["verdict"], before["made_by"]) == (None, None)
        assert _counted(workers[0]) == [0, 0]

        home.log_shifted(0, 200)
        (window,) = check_drift(home.settings())["windows"]
        told = client.get("/drift-status").json()
        names = ("window_id", "report_path", "made_by", "summary", "evidence")
        assert {name: told[name] for name in names} == {name: window[name] for name in names}
        assert told["verdict"]["verdict"] == "drift"
        assert (told["drift_detected"], told["features_with_drift"]) == (True, ["Tenure"])
        assert told["performance"]["estimated"]["num_rows"] == 200
        for _ in range(2):
            assert _counted(workers[0]) == [1, 2]

        answer = client.post("/check-drift").json()
        assert answer["verdict"].keys() == told["verdict"].keys()
        assert answer["drifted_features"] == ["Tenure"]
        now = client.get("/drift-status").json()
        assert (now["made_by"], now["window_id"], now["report_path"]) == ("request", None, None)
        assert now["verdict"] == answer["verdict"]
        assert _counted(workers[0]) == [2, 2]
