"""One Prefect server for all tests of flows: the one that embedded runs start."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from fedchurn.quiet import apply_quiet_environment


@dataclass(frozen=True)
class Prefect:
    """A running Prefect server, and the folder that it and its flows may write into."""

    url: str
    home: Path

    def ask(self, path: str, question: dict[str, Any] | None = None) -> Any:
        """The server's answer; a question is posted."""
        with httpx.Client(trust_env=False, timeout=30) as client:
            method = "GET" if question is None else "POST"
            return (
                client.request(method, f"{self.url}/{path}", json=question)
                .raise_for_status()
                .json()
            )

    def delete(self, path: str) -> None:
        """Remove something from the server."""
        with httpx.Client(trust_env=False, timeout=30) as client:
            client.delete(f"{self.url}/{path}").raise_for_status()

    def artifact(self, key: str) -> dict[str, Any]:
        """The latest artifact under a key."""
        answer: dict[str, Any] = self.ask(f"artifacts/{key}/latest")
        return answer

    def stored_results(self) -> list[Path]:
        """Files with results or errors of flows and tasks."""
        return [path for path in (self.home / "storage").rglob("*") if path.is_file()]


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    apply_quiet_environment(os.environ)
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_HOME,
        PREFECT_LOCAL_STORAGE_PATH,
        PREFECT_LOGGING_LEVEL,
        temporary_settings,
    )

    from flows.embedded_server import prefect_server

    folder = tmp_path_factory.mktemp("prefect")
    own = {
        PREFECT_API_URL: None,  # whatever server this shell uses is not ours to write to
        PREFECT_HOME: folder / "prefect",
        PREFECT_LOCAL_STORAGE_PATH: folder / "prefect" / "storage",
        PREFECT_LOGGING_LEVEL: "CRITICAL",
    }
    with temporary_settings(own), prefect_server(folder):
        yield Prefect(PREFECT_API_URL.value(), folder / "prefect")
