"""A release that was damaged, one that was forged, and the way back to the one before."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from fedchurn.data.sample_customers import sample_customers
from fedchurn.errors import IntegrityError
from fedchurn.release.load import load_release
from fedchurn.release.manifest import MANIFEST, manifest_bytes, read_verified, release_id
from fedchurn.release.weights import weights_bytes
from infra.drill.beginning import FEDCHURN, Drill
from infra.drill.site import CONTRACT

DAMAGED_FILE = "weights.npz"
REFUSED = "damaged_release"


def corrupt_release(drill: Drill, live: str, other: str) -> None:
    """Flip one byte of a release on disk and send everybody there; all must stay where they are.

    Args:
        drill: everything at hand.
        live: the release that answers.
        other: the one that is damaged.
    """
    site, service = drill.site, drill.service
    row = sample_customers(drill.contract, 10, batch=9)[0].row
    with drill.timeline.step("corrupt release: asked for", 60, [service.log]) as step:
        with flipped_byte(_releases(drill) / other / DAMAGED_FILE):
            status, told = service.ask("POST", "/reload-model", {"release": other})
            (error, *_) = told["errors"]
            step.check((status, error["rule"]) == (409, REFUSED), f"{status}: {error}")
            step.check(DAMAGED_FILE in error["message"], f"not named: {error['message']}")
            ended = site.commands.run(
                "corrupt-rollback",
                [FEDCHURN, "rollback", "--note", "drill", "--contract", CONTRACT, "--json"],
                timeout_seconds=step.remaining_seconds,
            )
            step.check(ended.code == IntegrityError.exit_code, f"rollback: {ended.code}")
            answering = service.releases_answering(row)
            step.check(answering == {live}, f"answers are of {answering}")
        step.saw(f"call and rollback refused, {DAMAGED_FILE} named; {live} answers on")


def corrupt_pointer(drill: Drill, live: str, other: str) -> None:
    """The same, when the damage comes after the promotion: the pointer names it already."""
    service = drill.service
    row = sample_customers(drill.contract, 10, batch=9)[0].row
    with drill.timeline.step("corrupt release: promoted", 60, [service.log]) as step:
        folder = _releases(drill) / other
        with flipped_byte(folder / DAMAGED_FILE), pointed_at(drill, folder):
            faults = step.wait_for(lambda: _all_refuse(drill), "all workers refuse it")
            step.check(all(DAMAGED_FILE in fault for fault in faults), f"not named: {faults}")
            answering = service.releases_answering(row)
            step.check(answering == {live}, f"answers are of {answering}")
            step.check(service.status() == "degraded", f"health says {service.status()}")
        step.wait_for(lambda: not _faults(drill), "all workers are content again")
        step.check(service.all_serve(live), f"workers serve {service.workers()}")
        step.saw(f"all workers keep {live}, health says degraded; healthy once it was mended")


def forged_release(drill: Drill, live: str) -> None:
    """Other weights under a manifest that fits them: only the golden rows can tell."""
    service = drill.service
    row = sample_customers(drill.contract, 10, batch=9)[0].row
    with drill.timeline.step("forged release: golden rows", 30, [service.log]) as step:
        forged = forge(_releases(drill) / live)
        try:
            status, told = service.ask("POST", "/reload-model", {"release": forged.name})
            (error, *_) = told["errors"]
            step.check((status, error["rule"]) == (409, REFUSED), f"{status}: {error}")
            step.check("golden" in error["message"], f"otherwise: {error['message']}")
            answering = service.releases_answering(row)
            step.check(answering == {live}, f"answers are of {answering}")
        finally:
            shutil.rmtree(forged)
        step.saw(f"every file fits its manifest, golden rows do not: refused; {live} answers on")


def roll_back(drill: Drill, live: str, before: str) -> None:
    """Go back to the release before; every worker follows."""
    service = drill.service
    row = sample_customers(drill.contract, 10, batch=9)[0].row
    with drill.timeline.step("rollback", 60, [service.log]) as step:
        ended = drill.site.commands.run(
            "rollback",
            [FEDCHURN, "rollback", "--note", "drill", "--contract", CONTRACT, "--json"],
            timeout_seconds=step.remaining_seconds,
        )
        step.check(ended.code == 0, f"exit code {ended.code}: {ended.output}")
        named = ended.last_object["release_id"]
        step.check(named == before, f"went to {named}, not {before}")
        step.wait_for(lambda: service.all_serve(before), "all workers follow")
        answering = service.releases_answering(row)
        step.check(answering == {before}, f"answers are of {answering}")
        step.saw(f"{live} -> {before}; all workers follow and answer", release_id=before)


@contextmanager
def flipped_byte(path: Path) -> Iterator[None]:
    """One byte in the middle of a file is another one while the block runs."""
    sound = path.read_bytes()
    middle = len(sound) // 2
    path.write_bytes(sound[:middle] + bytes([sound[middle] ^ 1]) + sound[middle + 1 :])
    try:
        yield
    finally:
        path.write_bytes(sound)


@contextmanager
def pointed_at(drill: Drill, folder: Path) -> Iterator[None]:
    """The pointer that a promotion writes names a release folder while the block runs."""
    pointer = drill.site.home / "serving" / f"{CONTRACT}.json"
    sound = pointer.read_bytes()
    facts = {"release_folder": str(folder), "release_id": folder.name, "version": "99"}
    _replace(pointer, json.dumps(facts).encode())
    try:
        yield
    finally:
        _replace(pointer, sound)


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".drill")
    fresh.write_bytes(content)
    fresh.replace(path)


def forge(sound: Path) -> Path:
    """A copy of a release with other weights, and a manifest that says so; gives its folder."""
    release = load_release(sound)
    files = {name: data for name, data in read_verified(sound).items() if name != MANIFEST}
    other = [np.asarray(weights) * 1.1 for weights in release.model.weights]
    files[DAMAGED_FILE] = weights_bytes(release.model.spec, other)
    manifest = manifest_bytes(files)
    contract = release.contract
    folder = sound.parent / release_id(contract.contract, contract.version, manifest)
    for name, data in {**files, MANIFEST: manifest}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def _releases(drill: Drill) -> Path:
    return drill.site.home / "releases"


def _faults(drill: Drill) -> list[str]:
    told = [worker["reload_fault"] for worker in drill.service.workers()]
    return [fault for fault in told if fault]


def _all_refuse(drill: Drill) -> list[str] | None:
    faults = _faults(drill)
    return faults if faults and len(faults) == len(drill.service.workers()) else None
