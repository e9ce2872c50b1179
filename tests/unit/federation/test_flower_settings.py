"""Importing the Flower side changes nothing and stays away from the platform."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fedchurn.federation.flower.environment import apply_flower_settings


def test_settings_keep_what_the_user_has_set(tmp_path: Path) -> None:
    environ = {"OMP_NUM_THREADS": "4", "FLWR_HOME": "elsewhere"}
    apply_flower_settings(environ, tmp_path)
    assert environ["OMP_NUM_THREADS"] == "4"
    assert environ["FLWR_HOME"] == str(tmp_path)
    assert environ["FLWR_TELEMETRY_ENABLED"] == environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert not list(tmp_path.iterdir())


def test_a_client_imports_neither_platform_nor_tensorflow_and_sets_nothing() -> None:
    code = (
        "import os, sys\n"
        "before = dict(os.environ)\n"
        "import fedchurn.federation.client.session, fedchurn.federation.flower.grid\n"
        "import fedchurn.federation.flower.ray_simulation, fedchurn.learning.keras_epochs\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "print(sorted(loaded & {'prefect', 'mlflow', 'bentoml', 'tensorflow', 'ray'}))\n"
        "changed = {k for k in os.environ if before.get(k) != os.environ[k]}\n"
        "print(sorted(k for k in changed if not k.startswith('GRPC_')))"  # gRPC's own doing
    )
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.split("\n")[:2] == ["[]", "[]"]
