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
    status = client.post("/predict", json=row).status_code
print(json.dumps([status, sorted({name.split(".")[0] for name in sys.modules})]))
"""


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


def test_one_prediction_loads_nothing_heavy(tmp_path: Path) -> None:
    folder = write_release(parts(), tmp_path / "releases")
    environ = {"FEDCHURN_RELEASE": str(folder), "BENTOML_DO_NOT_TRACK": "True"}
    status, loaded = json.loads(_run(ASKED, tmp_path, **environ).splitlines()[-1])
    assert status == 200
    assert not set(loaded) & {*entries("serving", "forbidden_modules"), "sqlalchemy", "typer"}


def test_importing_the_service_does_nothing(tmp_path: Path) -> None:
    _run("import bentos.churn.service", tmp_path)
    assert list(tmp_path.iterdir()) == []
