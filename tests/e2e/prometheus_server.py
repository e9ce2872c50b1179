"""A real Prometheus that scrapes every second, and what it answers."""

from __future__ import annotations

import json
import math
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

DEADLINE_SECONDS = 40


class Prometheus:
    """Asks a Prometheus server."""

    def __init__(self, url: str) -> None:
        self._url = url

    def ask(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Series of an instant query, as pairs (labels, value).

        Raises:
            AssertionError: the expression is not valid PromQL, or nobody answers.
        """
        query = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"{self._url}/api/v1/query?{query}", timeout=10) as answer:
                data = json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(f"{expression}: {error.read().decode()}") from None
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(series["metric"], float(series["value"][1])) for series in data["result"]]

    def numbers(self, expression: str) -> list[float]:
        """Values of the series that are numbers."""
        return [value for _, value in self.ask(expression) if not math.isnan(value)]


@contextmanager
def scraping(targets: Mapping[str, str], rules: Any, folder: Path) -> Iterator[Prometheus]:
    """A Prometheus that scrapes ``targets`` (address by job); it is gone afterwards.

    Skips the test when the program is not installed.
    """
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("no `prometheus` on PATH (Debian: apt install prometheus)")
    folder.mkdir()
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    (folder / "prometheus.yml").write_text(yaml.safe_dump(_configuration(targets)))
    address = f"127.0.0.1:{_free_port()}"
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'prometheus.yml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
            ],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: _is_ready(f"http://{address}/-/ready"), folder / "prometheus.log")
        yield Prometheus(f"http://{address}")
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_until(is_so: Callable[[], bool], log: Path | None = None) -> None:
    """Wait until something is so; fail after the deadline with what the log says."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not is_so():
        if time.monotonic() > end:
            pytest.fail(f"waited in vain\n{log.read_text()[-4000:] if log else ''}")
        time.sleep(0.1)


def _configuration(targets: Mapping[str, str]) -> dict[str, Any]:
    return {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yml"],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [address]}]}
            for job, address in targets.items()
        ],
    }


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
