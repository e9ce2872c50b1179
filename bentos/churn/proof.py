"""Proof that a bento answers as its release does, from its own files and its locked packages alone.

    cd BENTO/src && python -m bentos.churn.proof BENTO

Imports every module that the bento holds, loads the service as ``bentoml serve`` would, and asks it
each golden row. Packages that ``requirements/serve.txt`` does not name are hidden meanwhile: what
works here works in an image. Prints one line of JSON; when something is wrong, it holds the reason
as ``failure``, and the exit code is 1.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fedchurn.release.load import Release

SOURCE = Path(__file__).resolve().parents[2]
OWN = frozenset({"bentos", "fedchurn"})


class NotProven(Exception):
    """The bento is not what it should be."""


def main(bento: Path) -> dict[str, Any]:
    """Prove the bento in folder ``bento``; gives ``rows``, ``modules`` and ``max_difference``.

    Raises:
        NotProven: an answer is wrong, or a module comes from elsewhere.
    """
    hide_unlocked(SOURCE / "requirements" / "serve.txt")
    num_modules = import_everything(SOURCE)
    service = _load(bento)
    release = _release_of(service)
    difference = ask_golden_rows(service.to_asgi(), release)
    return {
        "release_id": release.release_id,
        "rows": len(release.golden.rows),
        "modules": num_modules,
        "max_difference": difference,
    }


class _Hiding:
    """A finder of modules that does not find some."""

    def __init__(self, finder: Any, hidden: frozenset[str]) -> None:
        self._finder, self._hidden = finder, hidden

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] in self._hidden or not hasattr(self._finder, "find_spec"):
            return None
        found: ModuleSpec | None = self._finder.find_spec(name, path, target)
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._finder, name)


def hide_unlocked(lock: Path) -> frozenset[str]:
    """Make this process find no module of a package that ``lock`` does not name; gives their names.

    Modules that were loaded before stay, so call it first.
    """
    locked = {_normal(name) for name in re.findall(r"^([\w.-]+)==", lock.read_text(), re.MULTILINE)}
    hidden = frozenset(
        module
        for module, owners in packages_distributions().items()
        if module not in OWN and not locked & {_normal(owner) for owner in owners}
    )
    sys.meta_path[:] = [_Hiding(finder, hidden) for finder in sys.meta_path]
    return hidden


def _normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


def import_everything(source: Path) -> int:
    """Import every module below ``source``; gives their number.

    Raises:
        NotProven: one cannot be imported, or another file of that name comes first.
    """
    paths = sorted(path for top in OWN for path in (source / top).rglob("*.py"))
    for path in paths:
        parts = path.relative_to(source).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        try:
            module = importlib.import_module(name)
        except ImportError as error:
            raise NotProven(f"{name} cannot be imported in the bento: {error}") from error
        if Path(str(module.__file__)).resolve() != path:
            raise NotProven(f"{name} comes from {module.__file__}, not from the bento")
    return len(paths)


def _load(bento: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # BentoML's, about itself
        import bentoml

        service: Any = bentoml.load(str(bento))
    context = bentoml.server_context  # filled as BentoML's worker does
    context.service_name, context.service_type = service.name, "entry_service"
    context.bento_name, context.bento_version = service.bento.tag.name, service.bento.tag.version
    return service


def _release_of(service: Any) -> Release:
    from bentos.churn.bento_release import bundled_release
    from fedchurn.release.load import check_golden, load_release

    bundled = bundled_release(service.bento)
    if bundled is None:
        raise NotProven("the bento has no release inside")
    release = load_release(bundled.wanted.folder)
    check_golden(release)  # the fallback model too, which no request reaches
    return release


def ask_golden_rows(app: Any, release: Release) -> float:
    """Send every golden row to ``/predict``; gives the largest difference of a probability (0-1).

    Raises:
        NotProven: naming the row, and what was answered instead.
    """
    from fedchurn.release.golden import TOLERANCE

    expected = release.golden.probabilities
    answers = _answers(app, release)
    worst = 0.0
    for number, (answer, probability) in enumerate(zip(answers, expected, strict=True), start=1):
        difference = abs(answer.get("churn_probability", float("nan")) - probability)
        named = answer.get("release") == release.release_id
        if not (difference <= TOLERANCE and named and not answer.get("is_fallback")):
            raise NotProven(
                f"golden row {number} of {len(expected)}: expected {probability:.8f} of release"
                f" {release.release_id}, the bento answers {json.dumps(answer)[:400]}"
            )
        worst = max(worst, difference)
    return worst


def _answers(app: Any, release: Release) -> list[dict[str, Any]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that httpx has a successor
        from starlette.testclient import TestClient
    with TestClient(app, raise_server_exceptions=False) as client:
        return [client.post("/predict", json=dict(row)).json() for row in release.golden.rows]


if __name__ == "__main__":
    try:
        told: dict[str, Any] = main(Path(sys.argv[1]).resolve())
    except Exception as error:
        known = isinstance(error, NotProven) or hasattr(error, "next_step")
        told = {"failure": str(error) if known else f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.exit(int("failure" in told))
