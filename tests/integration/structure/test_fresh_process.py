"""What really gets loaded, and left behind, when a fresh process imports Fedchurn."""

from __future__ import annotations

from pathlib import Path

from tests.unit.structure import contracts


def test_the_client_side_loads_no_orchestrator_registry_or_server(tmp_path: Path) -> None:
    loaded = contracts.loaded_by(contracts.modules_of("client"), tmp_path)
    assert not loaded & set(contracts.entries("client", "forbidden_modules"))


def test_importing_everything_leaves_no_file_behind(tmp_path: Path) -> None:
    contracts.loaded_by(contracts.modules(), tmp_path)
    ours = {p.name for p in tmp_path.iterdir()} & {".fedchurn", "mlruns", "mlflow.db", "logs"}
    assert not ours
