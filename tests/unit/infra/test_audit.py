"""The audit finds what is wrong in locks, environment and advisories, and says when it cannot."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.audit import main
from infra.locks import Locked, differences, disagreements, read_lock
from tests.unit.structure.contracts import PROJECT

HASH = "--hash=sha256:" + "a" * 64
NOBODY = "http://127.0.0.1:9/querybatch"  # the discard port: nobody listens


def _lock(folder: Path, *lines: str) -> tuple[list[Locked], list[str]]:
    path = folder / "some.txt"
    path.write_text("# made by a tool\n" + "\n".join(lines) + "\n")
    return read_lock(path)


def test_a_lock_is_read(tmp_path: Path) -> None:
    locked, problems = _lock(
        tmp_path,
        f"Flask_Thing==1.0 \\\n    {HASH} \\\n    {HASH}",
        "    # via other",
        f"uvicorn[standard]==0.5.1 ; sys_platform == 'win32' and os_name != 'x' \\\n    {HASH}",
    )
    assert problems == []
    marker = "sys_platform == 'win32' and os_name != 'x'"
    assert locked == [
        Locked("flask-thing", "1.0", "", 2),
        Locked("uvicorn", "0.5.1", marker, 1),
    ]
    assert [one.applies_here for one in locked] == [True, False]


@pytest.mark.parametrize(
    "line",
    [
        f"thing>=1.0 {HASH}",
        "thing @ https://elsewhere.example/thing.whl",
        "git+https://elsewhere.example/thing",
        "-e ../thing",
        "--index-url https://elsewhere.example/simple",
        "--extra-index-url https://elsewhere.example/simple",
        "thing==1.0 --hash=md5:aaaa",
    ],
)
def test_whatever_is_no_exact_version_from_the_index_is_a_problem(
    tmp_path: Path, line: str
) -> None:
    told = f"some.txt: no exact version of a package: {line[:80]}"
    assert _lock(tmp_path, line) == ([], [told])


def test_a_missing_hash_is_a_problem(tmp_path: Path) -> None:
    assert _lock(tmp_path, "thing==1.0")[1] == ["some.txt: thing==1.0 has no hash"]


def test_locks_must_agree_where_both_apply() -> None:
    one, other = Locked("thing", "1.0", "", 1), Locked("thing", "2.0", "", 1)
    elsewhere = Locked("thing", "2.0", "sys_platform == 'win32'", 1)
    assert disagreements({"a": [one], "b": [other]}) == ["thing: 1.0 in a, 2.0 in b"]
    assert disagreements({"a": [one], "b": [elsewhere]}) == []


def test_the_environment_must_be_what_is_locked() -> None:
    locked = [Locked("same", "1", "", 1), Locked("old", "2", "", 1), Locked("gone", "3", "", 1)]
    installed = {"same": "1", "old": "1", "stray": "9", "ourselves": "0"}
    assert differences(locked, installed, beside=["ourselves"]) == [
        "gone: nothing is installed, 3 is locked",
        "old: 1 is installed, 2 is locked",
        "stray: 9 is installed, but not locked",
    ]


def _as_locked(folder: Path) -> dict[str, str]:
    """An environment that is what the locks say."""
    locked = [one for name in ("dev.txt", "bootstrap.txt") for one in read_lock(folder / name)[0]]
    return {one.name: one.version for one in locked if one.applies_here}


def _audit(folder: Path, *arguments: str) -> int:
    return main(["--folder", str(folder), *arguments], installed=_as_locked(folder))


def test_the_locks_of_the_project_are_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert _audit(PROJECT / "requirements", "--osv", NOBODY) == 0
    assert "NOT AUDITED for known vulnerabilities" in capsys.readouterr().out.splitlines()[-1]


def test_silence_fails_who_asks_for_advisories() -> None:
    folder = PROJECT / "requirements"
    assert _audit(folder, "--osv", NOBODY, "--need-advisories") == 1


def test_a_stray_package_fails(capsys: pytest.CaptureFixture[str]) -> None:
    folder = PROJECT / "requirements"
    installed = {**_as_locked(folder), "stray": "9"}
    assert main(["--folder", str(folder), "--osv", NOBODY], installed=installed) == 1
    assert "PROBLEM stray: 9 is installed, but not locked" in capsys.readouterr().out


@pytest.fixture
def osv() -> Iterator[tuple[str, dict[str, list[str]]]]:
    """A server that answers as OSV does, and the advisories that it knows by package."""
    known: dict[str, list[str]] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            results: list[dict[str, Any]] = []
            for query in asked["queries"]:
                assert query["package"]["ecosystem"] == "PyPI"
                ids = known.get(query["package"]["name"], [])
                results.append({"vulns": [{"id": i} for i in ids]} if ids else {})
            body = json.dumps({"results": results}).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/querybatch", known
    server.shutdown()
    thread.join()
    server.server_close()


def _folder(tmp_path: Path, accepted: str = "") -> Path:
    """The project's locks, with other accepted advisories."""
    for path in (PROJECT / "requirements").glob("*.txt"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "accepted-advisories.txt").write_text(f"# none\n{accepted}")
    return tmp_path


def test_an_advisory_against_the_service_fails_unless_accepted(
    tmp_path: Path, osv: tuple[str, dict[str, list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    address, known = osv
    known["starlette"] = ["GHSA-1"]
    arguments = ["--osv", address, "--need-advisories"]
    assert _audit(_folder(tmp_path), *arguments) == 1
    assert "osv.dev/vulnerability/GHSA-1, in the service" in capsys.readouterr().out
    assert _audit(_folder(tmp_path, "GHSA-1 not reachable\n"), *arguments) == 0
    assert "GHSA-1: not reachable" in capsys.readouterr().out


def test_an_advisory_against_a_training_package_is_told(
    tmp_path: Path, osv: tuple[str, dict[str, list[str]]], capsys: pytest.CaptureFixture[str]
) -> None:
    address, known = osv
    known["tensorflow"] = ["GHSA-2"]
    assert _audit(_folder(tmp_path), "--osv", address, "--need-advisories") == 0
    printed = capsys.readouterr().out
    assert "outside the service tensorflow==" in printed
    assert "NOT AUDITED" not in printed
