"""The service stays light: a fresh process imports it, starts it and asks it once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from fedchurn.release.write import write_release
from tests.unit.release.releases import parts
from tests.unit.structure.contracts import PROJECT, entries

ASKED = """
import json, sys
from tests.unit.bentos.in_process import running_service
with running_service() as client:
    row = {"Tenure": 4, "Cashback": 20, "Device": "Phone", "City": "Turin"}
    statuses = [
        client.post("/predict", json=row).status_code,
        client.post("/predict", json={"features": row}, params={"explain": True}).status_code,
        client.post("/predict/batch", json={"customers": [row]}).status_code,
        client.get("/health").status_code,
    ]
print(json.dumps([statuses, sorted(sys.modules)]))
"""
TRACING = {"opentelemetry.exporter", "google.protobuf", "requests"}


def _run(code: str, folder: Path, **environ: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PYTHONPATH": str(PROJECT), "HOME": str(folder), "PATH": "", **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _loaded_after_answers(folder: Path, **environ: str) -> set[str]:
    """Every package and sub-package that four answers of a service have loaded."""
    release = write_release(parts(), folder / "releases")
    quiet = {"FEDCHURN_RELEASE": str(release), "FEDCHURN_CONTRACT": "shop"}
    quiet |= {"FEDCHURN_HOME": str(folder / "home"), "BENTOML_DO_NOT_TRACK": "True"}
    statuses, modules = json.loads(_run(ASKED, folder, **quiet, **environ).splitlines()[-1])
    assert statuses == [200] * 4
    return {name for module in modules for name in _itself_and_above(module)}


def _itself_and_above(module: str) -> list[str]:
    parts_of_name = module.split(".")
    return [".".join(parts_of_name[:end]) for end in range(1, len(parts_of_name) + 1)]


def test_answers_load_nothing_heavy(tmp_path: Path) -> None:
    loaded = _loaded_after_answers(tmp_path)
    heavy = {*entries("serving", "forbidden_modules"), "scipy", "pandas", "matplotlib"}
    assert not loaded & {*heavy, "sqlalchemy", "typer", *TRACING}


def test_the_exporter_of_traces_is_loaded_when_it_is_switched_on(tmp_path: Path) -> None:
    loaded = _loaded_after_answers(
        tmp_path,
        FEDCHURN_SERVE_TRACE="otlp",
        FEDCHURN_SERVE_TRACE_ENDPOINT="http://127.0.0.1:1/v1/traces",  # nobody listens
    )
    assert loaded >= {"opentelemetry.exporter", "google.protobuf"}
    assert not loaded & {"tensorflow", "mlflow", "pandas", "scipy", "sklearn"}


def test_importing_the_service_does_nothing(tmp_path: Path) -> None:
    _run("import bentos.churn.service", tmp_path)
    assert list(tmp_path.iterdir()) == []
