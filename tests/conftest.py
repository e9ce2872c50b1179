"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

PROJECT = Path(__file__).resolve().parents[1]

# No timed assertions: a slow machine is not a defect. In CI the examples are the same every time;
# elsewhere each run looks at new ones.
settings.register_profile(
    "fedchurn",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fedchurn")


@pytest.fixture(scope="session")
def real_data_dir() -> Path:
    """Folder of the real files; the test is skipped, loudly, where it does not exist."""
    folder = Path(os.environ.get("FEDCHURN_DATA_DIR", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"REAL DATA MISSING: {folder} does not exist; set FEDCHURN_DATA_DIR")
    return folder
