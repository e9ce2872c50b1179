"""A service with keys and limits, as strangers and callers meet it, and what it writes down."""

from __future__ import annotations

import http.client
import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fedchurn.release.load import load_release
from fedchurn.release.write import write_release
from fedchurn.serving.access.api_keys import new_api_key
from tests.e2e.served import BENTOML, DEADLINE_SECONDS, PROJECT, get, post, service_environ, serving
from tests.unit.release.releases import parts

pytestmark = pytest.mark.e2e
ROW = {"Tenure": 4, "Cashback": 83.17, "Device": "Phone", "City": "Ouagadougou"}
MAX_BODY_BYTES = 2048


@dataclass(frozen=True)
class Guarded:
    url: str
    log: Path
    predict_key: str
    admin_key: str
    entries: tuple[str, str]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    home = tmp_path_factory.mktemp("guarded")
    release = load_release(write_release(parts(), home / "releases"))
    predict_key, predict_entry = new_api_key("shop", ["predict"])
    admin_key, admin_entry = new_api_key("office", ["admin"])
    environ = service_environ(
        home,
        release,
        FEDCHURN_SERVE_API_KEYS=f"{predict_entry}, {admin_entry}",
        FEDCHURN_SERVE_MAX_BODY_BYTES=str(MAX_BODY_BYTES),
        FEDCHURN_SERVE_RATE_LIMIT_PER_SECOND="0.001",
        FEDCHURN_SERVE_RATE_LIMIT_BURST="40",
    )
    log = home / "service.log"
    with serving(environ, log) as url:
        yield Guarded(url, log, predict_key, admin_key, (predict_entry, admin_entry))


def test_a_stranger_gets_probes_and_nothing_else(guarded: Guarded) -> None:
    assert get(guarded.url, "/livez")[0] == 200
    for path in ("/release", "/metrics", "/model-info"):
        status, answer = get(guarded.url, path)
        assert (status, answer["errors"][0]["rule"]) == (401, "unauthorized")
    assert post(guarded.url, "/predict", ROW)[0] == 401


def test_keys_open_what_is_theirs(guarded: Guarded) -> None:
    predict, admin = {"X_API_Key": guarded.predict_key}, {"X_API_Key": guarded.admin_key}
    assert post(guarded.url, "/predict", ROW, **predict)[0] == 200
    assert post(guarded.url, "/predict/batch", {"customers": [ROW]}, **predict)[0] == 200
    assert post(guarded.url, "/check-drift", {}, **predict)[0] == 403
    assert post(guarded.url, "/predict", ROW, **admin)[0] == 403
    assert get(guarded.url, "/release", Authorization=f"Bearer {guarded.admin_key}")[0] == 200


def test_made_up_paths_do_not_grow_the_metrics(guarded: Guarded) -> None:
    for number in range(20):
        assert get(guarded.url, f"/made-up-{number}")[0] == 404
    status, metrics = get(guarded.url, "/metrics", X_API_Key=guarded.admin_key)
    assert status == 200
    assert "made-up" not in metrics
    assert 'endpoint="/livez"' in metrics or 'endpoint="/predict"' in metrics


@pytest.mark.parametrize("path", ["/predict", "/predict/batch", "/predict/adaptive"])
def test_a_body_in_chunks_is_limited_too(guarded: Guarded, path: str) -> None:
    connection = http.client.HTTPConnection(urlsplit(guarded.url).netloc, timeout=10)
    headers = {"X-API-Key": guarded.predict_key, "Content-Type": "application/json"}
    chunks = iter([b'{"Tenure": 4, "Note": "', b"x" * MAX_BODY_BYTES, b'"}'])
    with suppress(BrokenPipeError):  # the refusal may come before all is sent
        connection.request("POST", path, chunks, headers, encode_chunked=True)
    answer = connection.getresponse()
    assert answer.status == 413
    assert json.loads(answer.read())["errors"][0]["rule"] == "too_large"
    connection.close()


def test_neither_keys_nor_rows_are_in_the_log_and_the_limit_holds(guarded: Guarded) -> None:
    """Last: it uses up the limit."""
    wrong_key = f"{guarded.predict_key}x"
    bad_row = {**ROW, "Tenure": "wrong-7f3a"}
    asked = [post(guarded.url, "/predict", bad_row, X_API_Key=guarded.predict_key)[0]]
    asked.append(post(guarded.url, "/predict", ROW, X_API_Key=wrong_key)[0])
    asked.append(
        post(guarded.url, "/predict", b'{"City": "Ouagad', X_API_Key=guarded.predict_key)[0]
    )
    assert asked == [422, 401, 422]
    statuses = {
        post(guarded.url, "/predict", ROW, X_API_Key=guarded.predict_key)[0] for _ in range(41)
    }
    assert statuses == {200, 429}
    logged = guarded.log.read_text()
    assert "golden rows agree" in logged
    hashes = [entry.rsplit(":", 1)[1] for entry in guarded.entries]
    for secret in (
        guarded.predict_key,
        guarded.admin_key,
        *hashes,
        "83.17",
        "Ouagad",
        "wrong-7f3a",
    ):
        assert secret not in logged


def test_a_key_pasted_into_the_settings_stops_the_service_and_is_not_shown(tmp_path: Path) -> None:
    release = load_release(write_release(parts(), tmp_path / "releases"))
    key, _ = new_api_key("shop", ["predict"])
    environ = service_environ(tmp_path, release, FEDCHURN_SERVE_API_KEYS=f"shop:predict:{key}")
    done = subprocess.run(
        [*BENTOML, "serve", ".", "--host", "127.0.0.1", "--port", "0"],
        cwd=PROJECT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECONDS,
    )
    assert done.returncode != 0
    told = done.stdout + done.stderr
    assert "FEDCHURN_SERVE_API_KEYS: entry 1" in told
    assert key not in told
