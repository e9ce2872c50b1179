"""What the serving benchmark compares is alike, and what it judges can be found wanting."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from benchmarks.serving.demands import Demand
from benchmarks.serving.http_client import Client
from benchmarks.serving.material import Material, expected_probabilities, make_material
from benchmarks.serving.servers import FASTAPI, OURS, running
from benchmarks.serving.soak_load import run_load
from benchmarks.serving.wrk import require_wrk


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return make_material(tmp_path_factory.mktemp("material"))


def test_both_releases_are_sound_and_differ(material: Material) -> None:
    one = expected_probabilities(material.release, material.rows)
    other = expected_probabilities(material.other, material.rows)
    assert material.release.release_id != material.other.release_id
    assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 0.1


def test_both_servers_answer_alike_and_wrong_answers_are_seen(
    material: Material, tmp_path: Path
) -> None:
    expected = expected_probabilities(material.release, material.rows)
    bodies = material.bodies.read_bytes().splitlines()
    with running(FASTAPI, material, tmp_path / "fastapi") as server:
        assert _probabilities(server.port, bodies) == pytest.approx(expected, abs=1e-9)
    with running(OURS, material, tmp_path / "ours") as server:
        assert _probabilities(server.port, bodies) == pytest.approx(expected, abs=1e-6)
        named = material.release.release_id
        right = run_load(server.port, bodies, {named: expected}, 100, 4, 1.0)
        assert right.num_answered > 0
        assert (right.num_wrong, right.failures) == (0, [])
        shifted = {named: [p + 1e-4 for p in expected]}
        wrong = run_load(server.port, bodies, shifted, 100, 4, 1.0)
        assert wrong.num_answered == 0
        assert wrong.num_wrong > 0


def test_a_demand_is_broken_by_either_limit_and_by_no_number() -> None:
    assert Demand("rate", 2.5, at_least=2.5).holds
    assert not Demand("rate", 2.4, at_least=2.5).holds
    assert not Demand("milliseconds", 5.1, at_most=5.0).holds
    assert not Demand("milliseconds", math.nan, at_most=5.0).holds


def test_nothing_is_measured_without_wrk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(SystemExit, match="needs wrk"):
        require_wrk()


def _probabilities(port: int, bodies: list[bytes]) -> list[float]:
    client = Client(port)
    answers = [client.post("/predict", body) for body in bodies]
    client.close()
    assert {status for status, _ in answers} == {200}
    return [json.loads(body)["churn_probability"] for _, body in answers]
