"""Whatever is sent, the service answers as it documents, or refuses; it never breaks or hangs.

schemathesis makes requests from the OpenAPI document of a service that runs; what no HTTP library
would send goes over a bare socket.
"""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bentos.churn.gate.access import ROUTES, SMALLER_BODY_BYTES
from fedchurn.contract.load import load_contract
from fedchurn.release.load import load_release
from fedchurn.release.write import ReleaseParts, write_release
from tests.e2e.served import get, post, service_environ, serving, wait_until
from tests.unit.bentos.shipped import release_parts
from tests.unit.release.releases import parts

pytestmark = pytest.mark.e2e
KEY = "key of the fuzzer"


@dataclass(frozen=True)
class Service:
    """A service that runs: where, its log, and the document that it gives of itself."""

    url: str
    log: Path
    document: dict[str, Any]

    @property
    def place(self) -> tuple[str, int]:
        host, port = urlsplit(self.url).netloc.split(":")
        return host, int(port)


def _service(folder: Path, made: ReleaseParts, **more: str) -> Iterator[Service]:
    release = load_release(write_release(made, folder / "releases"))
    log = folder / "server.log"
    with serving(service_environ(folder / "home", release, **more), log) as url:
        yield Service(url, log, get(url, "/openapi.json")[1])


@pytest.fixture(scope="module")
def ecommerce(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("ecommerce")
    yield from _service(folder, release_parts(load_contract("ecommerce")))


@pytest.fixture(scope="module")
def guarded_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The made-up contract, which has free text, behind a key that may do everything."""
    sha256 = hashlib.sha256(KEY.encode()).hexdigest()
    keys = f"fuzzer:predict+admin:{sha256}"
    yield from _service(tmp_path_factory.mktemp("shop"), parts(), FEDCHURN_SERVE_API_KEYS=keys)


def _one_at_a_time(document: dict[str, Any]) -> dict[str, Any]:
    """Everything but lists of customers."""
    found = copy.deepcopy(document)
    del found["paths"]["/predict/batch"]
    body = found["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]
    names = ("Customer", "WrappedCustomer")
    body["schema"] = {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in names]}
    return found


def _lists(document: dict[str, Any]) -> dict[str, Any]:
    """Lists of customers, as JSON."""
    found = copy.deepcopy(document)
    found["paths"] = {"/predict/batch": found["paths"]["/predict/batch"]}
    content = found["paths"]["/predict/batch"]["post"]["requestBody"]["content"]
    del content["text/csv"], content["multipart/form-data"]
    return found


def _files(document: dict[str, Any]) -> dict[str, Any]:
    """CSV files, as a body or in a form."""
    found = copy.deepcopy(document)
    found["paths"] = {"/predict/batch": found["paths"]["/predict/batch"]}
    del found["paths"]["/predict/batch"]["post"]["requestBody"]["content"]["application/json"]
    return found


def _fuzz(service: Service, document: dict[str, Any], folder: Path, *more: str) -> None:
    """Run schemathesis, the same every time, with every check but those that ``more`` excludes."""
    path = folder / "openapi.json"
    path.write_text(json.dumps(document))
    # Not "stateful": the document has no links, so relations would be schemathesis's guesses.
    phases = ("--phases", "examples,coverage,fuzzing")
    same = ("--generation-deterministic", "--continue-on-failure")
    command = [sys.executable, "-m", "schemathesis.cli", "run", str(path), "--url", service.url]
    done = subprocess.run(
        [*command, *phases, *same, "--request-timeout", "10", *more],
        cwd=folder,  # it looks for settings of its own
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d{2,} generated", done.stdout), done.stdout
    assert get(service.url, "/health")[1]["status"] == "healthy"
    assert "Traceback" not in service.log.read_text()


def test_single_customers_and_all_pages(ecommerce: Service, tmp_path: Path) -> None:
    _fuzz(ecommerce, _one_at_a_time(ecommerce.document), tmp_path, "--max-examples", "10")


def test_lists_of_customers(ecommerce: Service, tmp_path: Path) -> None:
    # A list with one good row is answered with 200, whatever the others are.
    partly = ("--exclude-checks", "negative_data_rejection")
    _fuzz(ecommerce, _lists(ecommerce.document), tmp_path, *partly, "--max-examples", "10")


def test_files_of_customers(ecommerce: Service, tmp_path: Path) -> None:
    # A schema can say that a file is text, not which text is CSV of a contract.
    any_text = ("--exclude-checks", "negative_data_rejection,positive_data_acceptance")
    _fuzz(ecommerce, _files(ecommerce.document), tmp_path, *any_text, "--max-examples", "20")


def test_a_service_with_keys(guarded_shop: Service, tmp_path: Path) -> None:
    key = ("-H", f"X-API-Key: {KEY}")
    _fuzz(guarded_shop, _one_at_a_time(guarded_shop.document), tmp_path, *key, "-n", "10")


ASK = b"Host: x\r\nConnection: close\r\n"
JSON = b"Content-Type: application/json\r\n"
PLAIN = b'{"Tenure": 3, "Cashback": 120.5, "Device": "Phone", "City": "Rome"}'


def _get(target: bytes, method: bytes = b"GET") -> bytes:
    return b"%s %s HTTP/1.1\r\n%s\r\n" % (method, target, ASK)


def _post(body: bytes, target: bytes = b"/predict", headers: bytes = JSON) -> bytes:
    length = b"Content-Length: %d\r\n" % len(body)
    return b"POST %s HTTP/1.1\r\n%s%s%s\r\n%s" % (target, ASK, headers, length, body)


def _headed(headers: bytes, body: bytes = b"{}") -> bytes:
    return b"POST /predict HTTP/1.1\r\n%s%s\r\n%s" % (ASK, headers, body)


def _sent(service: Service, content: bytes) -> list[int]:
    """Statuses of the answers to what is sent; the server then closes the connection."""
    answers = b""
    with socket.create_connection(service.place, timeout=10) as connection:
        try:
            connection.sendall(content)
            while piece := connection.recv(65536):
                answers += piece
        except (BrokenPipeError, ConnectionResetError):
            pass  # it had answered and closed before it had read all
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


NO_HTTP = {
    "binary": b"\x00\x01\x02\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/9.9": b"GET / HTTP/9.9\r\n\r\n",
    "line feeds": b"GET /livez HTTP/1.1\nHost: x\nConnection: close\n\n",
    "folded header": _get(b"/livez").replace(b"x\r\n", b"x\r\nX: a\r\n b\r\n"),
    "space in a header's name": _get(b"/livez").replace(b"Host:", b"Host :"),
    "null byte in a header": _get(b"/livez").replace(b"x\r\n", b"x\r\nX: a\x00b\r\n"),
    "null byte in the path": _get(b"/a\x00b"),
    "path that is not ASCII": _get(b"/\xff\xfe"),
    "query that is not ASCII": _post(b"{}", b"/predict?explain=\xff"),
    "path without a slash": _get(b"livez"),
    "path of 3 MB": _get(b"/" + b"a" * 3_000_000),
    "method in small letters": _get(b"/", b"get"),
    "method that is made up": _get(b"/predict", b"BREW"),
    "CONNECT": _get(b"example.org:443", b"CONNECT"),
    "two lengths": _headed(b"Content-Length: 2\r\nContent-Length: 3\r\n"),
    "negative length": _headed(b"Content-Length: -2\r\n"),
    "length in words": _headed(b"Content-Length: two\r\n"),
    "endless length": _headed(b"Content-Length: 99999999999999999999999\r\n"),
    "length and chunks": _headed(b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n"),
    "chunk without a length": _headed(b"Transfer-Encoding: chunked\r\n", b"zz\r\n{}\r\n"),
    "unknown transfer encoding": _headed(b"Transfer-Encoding: gzip\r\n"),
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    yield from _service(tmp_path_factory.mktemp("open-shop"), parts())


@pytest.mark.parametrize("content", NO_HTTP.values(), ids=NO_HTTP.keys())
def test_what_is_no_http_is_400(shop: Service, content: bytes) -> None:
    assert _sent(shop, content) == [400]
    assert _sent(shop, _post(PLAIN)) == [200]


ODD_HTTP = [
    ("HTTP/1.0", b"GET /livez HTTP/1.0\r\n\r\n", 200),
    ("no host", b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n", 200),
    ("odd host", _get(b"/").replace(b"Host: x", b"Host: a b/\\@:99999"), 200),
    ("HEAD", _get(b"/", b"HEAD"), 200),
    ("HEAD of a POST", _get(b"/predict", b"HEAD"), 405),
    ("OPTIONS", _get(b"/predict", b"OPTIONS"), 405),
    ("OPTIONS of all", _get(b"*", b"OPTIONS"), 404),
    ("TRACE", _get(b"/", b"TRACE"), 405),
    ("long path", _get(b"/" + b"a" * 60_000), 404),
    ("long query", _get(b"/livez?" + b"a" * 60_000), 200),
    ("query not UTF-8", _post(PLAIN, b"/predict?explain=%ff%00"), 422),
    ("escaped letter", _get(b"/live%7a"), 200),
    ("escaped nonsense", _get(b"/%zz%ff%00%"), 404),
    ("escaped, not UTF-8", _get(b"/%ff%fe"), 404),
    ("path upwards", _get(b"/docs/../../etc/passwd"), 404),
    ("escaped path upwards", _get(b"/docs/%2e%2e/%2e%2e/etc/passwd"), 404),
    ("double slash", _get(b"//livez"), 404),
    ("slash at the end", _get(b"/livez/"), 404),
    ("absolute", _get(b"http://example.org/livez"), 200),
    ("absolute, unknown", _get(b"http://example.org/nowhere"), 404),
    ("absolute, a row", _post(PLAIN, b"http://example.org/predict"), 200),
    (
        "1 MB in a header",
        _get(b"/livez").replace(b"x\r\n", b"x\r\nX: %s\r\n" % (b"y" * 2**20)),
        200,
    ),
    ("no body", b"POST /predict HTTP/1.1\r\n" + ASK + b"\r\n", 422),
    ("body of no bytes", _post(b""), 422),
    ("more than the length", _headed(b"Content-Length: 2\r\n", b"{}more"), 422),
    ("compressed", _post(gzip.compress(PLAIN), headers=JSON + b"Content-Encoding: gzip\r\n"), 415),
    ("odd type", _post(PLAIN, headers=b"Content-Type: \xff/\xfe; charset=\xff\r\n"), 415),
    ("odd key", _post(PLAIN, headers=JSON + b"Authorization: Bearer \xff\xfe\r\n"), 200),
    ("odd trace", _post(b"{}", headers=JSON + b"traceparent: 00-zz-\xff\r\n"), 422),
    ("odd expectation", _post(PLAIN, headers=JSON + b"Expect: rain\r\n"), 200),
    (
        "form of nothing",
        _post(b"", b"/predict/batch", b"Content-Type: multipart/form-data\r\n"),
        422,
    ),
    (
        "adaptive form",
        _post(PLAIN, b"/predict/adaptive", b"Content-Type: multipart/form-data\r\n"),
        415,
    ),
    (
        "adaptive pickle",
        _post(PLAIN, b"/predict/adaptive", b"Content-Type: application/vnd.bentoml+pickle\r\n"),
        415,
    ),
]


@pytest.mark.parametrize(
    ("content", "status"), [odd[1:] for odd in ODD_HTTP], ids=[odd[0] for odd in ODD_HTTP]
)
def test_odd_http_is_answered(shop: Service, content: bytes, status: int) -> None:
    assert _sent(shop, content) == [status]


DEEP = 10_000
ODD_BODIES = {
    "nested lists": b"[" * DEEP + b"]" * DEEP,
    "nested objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "nested in a field": b'{"Tenure":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "nested in a list of customers": b'{"customers":[' + b"[" * DEEP + b"]" * DEEP + b"]}",
    "1 MB of text": b'{"Tenure":"' + b"x" * 2**20 + b'"}',
    "1 MB of a name": b'{"' + b"x" * 2**20 + b'":1}',
    "100 000 digits": b'{"Tenure":' + b"9" * 100_000 + b"}",
    "beyond float64": b'{"Tenure":1e999}',
    "below float64": b'{"Tenure":1e-99999999999999999999}',
    "NaN": b'{"Tenure":NaN}',
    "a name twice": PLAIN[:-1] + b', "Tenure": 4}',
    "byte order mark": b"\xef\xbb\xbf" + PLAIN,
    "UTF-16": PLAIN.decode().encode("utf-16"),
    "half a surrogate pair": b'{"Tenure":"\\ud800"}',
    "null character": b'{"Tenure":"\\u0000"}',
    "null byte": b'{"Ten\x00ure":3}',
    "not UTF-8": b"\xff",
    "blank": b"   ",
    "null": b"null",
    "a list": b"[]",
    "a text": b'"x"',
    "a comment": PLAIN + b"//",
    "two objects": PLAIN + PLAIN,
    "50 000 names": b"{" + b",".join(b'"k%d":1' % i for i in range(50_000)) + b"}",
    "1001 customers": b'{"customers":[' + b",".join([b"{}"] * 1001) + b"]}",
    "no customers": b'{"customers":[1,null,"x",[],{}]}',
    "features in features": b'{"features":{"features":{}}}',
}
TAKERS = ("/predict", "/predict/single", "/predict/batch", "/predict/adaptive", "/feedback")
TAKERS += ("/monitoring/feedback", "/reload-model", "/webhook/drift-alert")


@pytest.mark.parametrize("path", TAKERS)
def test_odd_bodies_are_refused(shop: Service, path: str) -> None:
    blank_is_none = {"blank"} if path == "/reload-model" else set()
    for name, body in ODD_BODIES.items():
        (status,) = _sent(shop, _post(body, path.encode()))
        if len(body) > SMALLER_BODY_BYTES.get(path, len(body)):
            assert status == 413, name
        else:
            assert status == (200 if name in blank_is_none else 422), name


def test_requests_in_a_row_are_answered_in_their_order(shop: Service) -> None:
    stay = _post(PLAIN).replace(b"Connection: close\r\n", b"")
    unknown = _get(b"/nowhere").replace(b"Connection: close\r\n", b"")
    assert _sent(shop, stay + unknown + stay + _get(b"/livez")) == [200, 404, 200, 200]


def test_a_caller_who_leaves_harms_nobody_and_counts_as_no_fault(shop: Service) -> None:
    def count(status: str) -> float:
        pattern = rf'^http_requests_total\{{.*status="{status}"\}} (\S+)$'
        found = re.findall(pattern, get(shop.url, "/metrics")[1], re.MULTILINE)
        return sum(map(float, found))

    before = count("499")
    for path in TAKERS:
        with socket.create_connection(shop.place, timeout=10) as connection:
            connection.sendall(_post(PLAIN, path.encode())[:-5])
            time.sleep(0.05)  # the answer has begun to be worked out
    wait_until(lambda: count("499") == before + len(TAKERS), what="counting those who left")
    assert count("500") == 0
    for content in (b"POST /predict HTTP/1.1\r\n", _post(PLAIN)):
        with socket.create_connection(shop.place, timeout=10) as connection:
            connection.sendall(content)
    assert _sent(shop, _post(PLAIN)) == [200]
    assert "ClientDisconnect" not in shop.log.read_text()


def test_made_up_paths_do_not_become_series(shop: Service) -> None:
    def labels() -> set[str]:
        return set(re.findall(r'(?:endpoint|handler|path)="([^"]*)"', get(shop.url, "/metrics")[1]))

    assert get(shop.url, "/before")[0] == 404
    before = labels()
    for number in range(50):
        assert get(shop.url, f"/made/up/{number}")[0] == 404
        assert _sent(shop, _get(b"/%%ff%d" % number)) == [404]
    assert labels() == before
    assert "other" in before
    assert before <= set(ROUTES) | {"other"}


def test_rows_and_tracebacks_stay_out_of_the_log(shop: Service) -> None:
    secret = "a street that nobody may read"
    row = {"Tenure": 999, "Cashback": 1, "Device": "Phone", "City": secret, secret: secret}
    for body in (row, {"features": row}, {"customers": [row]}, {"customers": secret}):
        for path in TAKERS:
            assert post(shop.url, path, body)[0] == 422
    text = shop.log.read_text()
    assert secret not in text
    assert "input_value" not in text
    assert "Traceback" not in text
