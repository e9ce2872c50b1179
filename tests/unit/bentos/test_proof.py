"""What the proof of a bento lets pass, and what it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bentos.churn.proof import NotProven, ask_golden_rows
from fedchurn.release.load import Release, load_release
from fedchurn.release.write import write_release
from tests.conftest import PROJECT
from tests.unit.release.releases import parts

Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return load_release(write_release(parts(), tmp_path_factory.mktemp("releases")))


def _service(release: Release, change: Change) -> Starlette:
    """Answers as a good service does, and then otherwise: the row with most Cashback is changed."""
    most = max(row["Cashback"] for row in release.golden.rows)

    async def predict(request: Request) -> JSONResponse:
        row = await request.json()
        (probability,) = release.model.probabilities((row,))
        answer = {"churn_probability": float(probability), "release": release.release_id}
        return JSONResponse(change(answer) if row["Cashback"] == most else answer)

    return Starlette(routes=[Route("/predict", predict, methods=["POST"])])


def test_right_answers_pass(release: Release) -> None:
    assert ask_golden_rows(_service(release, dict), release) <= 1e-12


@pytest.mark.parametrize(
    "change",
    [
        lambda answer: {**answer, "churn_probability": answer["churn_probability"] + 1e-5},
        lambda answer: {**answer, "release": "shop-1.2.0-000000000000"},
        lambda answer: {**answer, "is_fallback": True},
        lambda answer: {"errors": [{"field": "Tenure"}]},
    ],
    ids=["another probability", "another release", "a fallback", "a refusal"],
)
def test_one_wrong_answer_does_not(release: Release, change: Change) -> None:
    with pytest.raises(NotProven, match=r"golden row \d+ of 12: expected 0\.\d{8} of release shop"):
        ask_golden_rows(_service(release, change), release)


def _fresh(code: str) -> Any:
    """Last line of a process of its own: what is hidden there stays hidden."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_packages_that_the_lock_does_not_name_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "serve.txt").write_text("numpy==2.4.6 \\\n    --hash=sha256:00\nPyYAML==6.0\n")
    found = _fresh(
        "import json, importlib.util, sys\n"
        "from pathlib import Path\n"
        "from bentos.churn.proof import hide_unlocked\n"
        f"hide_unlocked(Path({str(tmp_path / 'serve.txt')!r}))\n"
        "def has(name):\n"
        "    try: __import__(name)\n"
        "    except ModuleNotFoundError: return False\n"
        "    return True\n"
        "names = ['numpy', 'yaml', 'json', 'fedchurn.errors', 'pandas', 'mlflow', 'flows']\n"
        "print(json.dumps([*map(has, names), importlib.util.find_spec('prefect') is None]))"
    )
    assert found == [True, True, True, True, False, False, False, True]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("import not_packaged_anywhere", "cannot be imported in the bento: No module named"),
        ("", "comes from"),
    ],
    ids=["a module that is missing", "a module of that name elsewhere"],
)
def test_every_module_must_be_the_bentos_own(tmp_path: Path, content: str, said: str) -> None:
    name = "errors" if not content else "odd"
    module = tmp_path / "fedchurn" / f"{name}.py"
    module.parent.mkdir()
    module.write_text(content)
    message = _fresh(
        "import json, sys, fedchurn\n"
        "from pathlib import Path\n"
        "from bentos.churn.proof import NotProven, import_everything\n"
        f"if {bool(content)}: fedchurn.__path__.insert(0, {str(module.parent)!r})\n"
        f"try: import_everything(Path({str(tmp_path)!r}))\n"
        "except NotProven as error: print(json.dumps(str(error)))"
    )
    assert message.startswith(f"fedchurn.{name} {said}")
