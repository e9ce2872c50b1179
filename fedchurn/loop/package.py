"""The package arrow: the release in production becomes a bento that has proven itself.

The alias is resolved to a version once; from there on everything goes by that number. A bento is
built in a folder of its own, proven there, and only then put into the store: what ``bentoml list``
shows has answered its golden rows.
"""

from __future__ import annotations

import hashlib
import shlex
import shutil
import time
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from fedchurn.errors import PromotionError
from fedchurn.loop.one_run import one_run
from fedchurn.loop.package_build import build_bento, prove_bento
from fedchurn.loop.package_store import StoredBento
from fedchurn.loop.production import open_registry, releases_folder
from fedchurn.loop.stage import StageResult, finished_stage, forget_stage, run_stage, stage_key
from fedchurn.registry.port import PRODUCTION
from fedchurn.release.load import load_release
from fedchurn.release.manifest import MANIFEST
from fedchurn.settings import Settings
from fedchurn.settings_files import PROJECT

BENTO_TAG = "bento_tag"
BENTO_DIGEST = "bento_digest"
_SOURCES = ("bentofile.yaml", "requirements/serve.txt", "bentos")


def package_production(settings: Settings, *, wait_seconds: float = 0.0) -> dict[str, Any]:
    """All steps, one run at a time per contract; what the flow does, without its records.

    Returns:
        see ``record_bento``.

    Raises:
        FedchurnError: what a step found, or another run is under way.
    """
    with one_run(settings, wait_seconds=wait_seconds, work="package"):
        found = find_production(settings)
        return record_bento(settings, found, package_stage(settings, found))


def find_production(settings: Settings) -> dict[str, str]:
    """Resolve the alias to a version, and bring its verified release here.

    Returns:
        ``version``, ``release_id``, ``release_folder``, ``contract`` and ``digest`` (of its
        manifest).

    Raises:
        PromotionError: nothing is in production.
        IntegrityError: the release is damaged.
        TrackingError: MLflow is away.
    """
    registry = open_registry(settings)
    version = registry.aliases().get(PRODUCTION)
    if version is None:
        raise PromotionError(
            "nothing is in production, so there is nothing to package",
            where=f"registered model {registry.name}",
            next_step="train a model (fedchurn train), or promote one (fedchurn promote VERSION)",
        )
    folder = registry.fetch_release(version, releases_folder(settings))
    release = load_release(folder)
    return {
        "version": version,
        "release_id": release.release_id,
        "release_folder": str(folder),
        "contract": release.contract.contract,
        "digest": hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest(),
    }


def package_stage(
    settings: Settings, found: dict[str, str], *, project: Path = PROJECT
) -> StageResult:
    """Build, prove and store the bento of a release, or find it there, unchanged.

    Args:
        settings: name home.
        found: what ``find_production`` gave.
        project: folder of ``bentofile.yaml``.

    Returns:
        ``tag``, ``digest``, ``store``, ``bento_folder``, ``size_bytes``, ``seconds`` and ``proof``,
        and the usual stage facts.

    Raises:
        PackageError: it cannot be built, or does not answer as its release does; it is deleted.
    """
    key = _key(found, project)
    store = settings.home.resolve() / "bentoml"
    kept = StoredBento(store, bento_name(settings, found["contract"]), _version(found, key))
    done = finished_stage(settings.home, "package", key)
    if done is not None and done["digest"] != kept.digest():  # deleted or changed by hand
        forget_stage(settings.home, "package", key)

    def work(folder: Path) -> StageResult:
        started = time.monotonic()
        made = StoredBento(folder / "bentoml", kept.name, kept.version)
        facts = {name: found[name] for name in ("release_id", "version", "contract", "digest")}
        build_bento(project, made, Path(found["release_folder"]), facts)
        proof = prove_bento(made)
        made.move_to(store)
        shutil.rmtree(made.store, ignore_errors=True)
        return {
            "tag": kept.tag,
            "digest": kept.digest(),
            "store": str(store),
            "bento_folder": str(kept.folder),
            "size_bytes": kept.num_bytes(),
            "proof": proof,
            "seconds": round(time.monotonic() - started, 2),
        }

    result = run_stage(settings.home, "package", key, work)
    kept.call_latest()
    return result


def record_bento(settings: Settings, found: dict[str, str], built: StageResult) -> dict[str, Any]:
    """Write tag and digest to the registry version.

    Returns:
        ``outcome`` (``packaged`` or ``unchanged``), ``exit_code``, ``summary``, ``version``,
        ``release_id``, ``contract``, ``tag``, ``digest``, ``store``, ``bento_folder``,
        ``size_bytes``, ``seconds``, ``proof``, ``command`` (that serves it) and ``report`` (file).

    Raises:
        TrackingError: MLflow is away.
    """
    tags = {BENTO_TAG: built["tag"], BENTO_DIGEST: built["digest"]}
    registry = open_registry(settings)
    version = registry.find(found["version"])
    if version is None or not tags.items() <= version.tags.items():
        registry.set_tags(found["version"], tags)
    outcome = "unchanged" if built["reused"] else "packaged"
    names = ("tag", "digest", "store", "bento_folder", "size_bytes", "seconds", "proof")
    return {
        "outcome": outcome,
        "exit_code": 0,
        "summary": _summary(built),
        **{name: found[name] for name in ("version", "release_id", "contract")},
        **{name: built[name] for name in names},
        "command": _command(settings, built),
        "report": str(Path(built["folder"]) / "stage.json"),
    }


def bento_name(settings: Settings, contract: str) -> str:
    """``churn``, or ``churn_CONTRACT`` where it is not the default contract: as for models."""
    default = type(settings).model_fields["contract"].default
    suffix = "" if contract == default else f"_{contract}"
    return f"churn{suffix}"[:60].rstrip("_-")  # what BentoML takes for a name


def _version(found: dict[str, str], key: str) -> str:
    return f"{found['version']}-{key[:12]}"


def _key(found: dict[str, str], project: Path) -> str:
    """What a bento depends on; ``stage_key`` adds Fedchurn's own code."""
    files = {
        path.relative_to(project).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in _sources(project)
    }
    known = {name: found[name] for name in ("version", "release_id", "digest")}
    return stage_key(known, files, installed("bentoml"))


def _sources(project: Path) -> list[Path]:
    tops = [project / name for name in _SOURCES]
    found = [p for top in tops for p in ([top] if top.is_file() else top.rglob("*"))]
    return sorted(p for p in found if p.is_file() and "__pycache__" not in p.parts)


def _summary(built: StageResult) -> str:
    proof = built["proof"]
    return (
        f"{built['tag']} gave the expected answer to {proof['rows']} golden rows"
        f" (largest difference {proof['max_difference']:.1e}), from its own {proof['modules']}"
        " modules and the packages of the lock."
    )


def _command(settings: Settings, built: StageResult) -> str:
    """Serves the bento with this home, so that it follows promotions; places are absolute because
    BentoML changes into the bento's folder."""
    places = {"FEDCHURN_HOME": settings.home.resolve(), "BENTOML_HOME": built["store"]}
    named = " ".join(f"{name}={shlex.quote(str(place))}" for name, place in places.items())
    return f"{named} bentoml serve {built['tag']}"
