"""A client's own model on its own disk: a scorer's files, its threshold, and what it is near.

``FOLDER/DIGEST/`` holds one; DIGEST names the model of all that it was made from, so that a client
finds the one that belongs to a release. It never leaves the client.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from fedchurn.contract.schema import Contract
from fedchurn.errors import ReleaseError
from fedchurn.release.folder import sync_folder, write_folder
from fedchurn.release.scorer import FILES, Scorer, json_bytes, read_record
from fedchurn.release.write import contract_bytes

_FACTS, _CONTRACT = "personal.json", "contract.yaml"


@dataclass(frozen=True)
class PersonalModel:
    """A client's own model.

    Attributes:
        client: whose.
        model: ready to answer.
        threshold: the client's own.
        strength: how strongly it was held near the model of all; None: it is the model of all.
        base_digest: of the model of all; see ``scorer_digest``.
    """

    client: str
    model: Scorer
    threshold: float
    strength: float | None
    base_digest: str


def scorer_digest(scorer: Scorer) -> str:
    """sha256 of a scorer's files; equal for equal models."""
    digest = hashlib.sha256()
    for name, content in sorted(scorer.to_files().items()):
        digest.update(name.encode() + hashlib.sha256(content).digest())
    return digest.hexdigest()


def own_folder(home: Path, contract: str, client: str) -> Path:
    """Where a client keeps models of its own, whatever characters its name holds."""
    return home / "personal" / contract / quote(client, safe="").replace(".", "%2E")


def personal_folder(folder: Path, base_digest: str) -> Path:
    """Where the model near a model of all is kept."""
    return folder / base_digest[:16]


def write_personal(personal: PersonalModel, folder: Path) -> Path:
    """Keep the model; one that was made from the same model of all before is replaced.

    Raises:
        ReleaseError: the operating system refused.
    """
    place = personal_folder(folder, personal.base_digest)
    facts = {
        "client": personal.client,
        "threshold": personal.threshold,
        "strength": personal.strength,
        "base_digest": personal.base_digest,
    }
    files = {
        _FACTS: json_bytes(facts),
        _CONTRACT: contract_bytes(personal.model.contract),
        **personal.model.to_files(),
    }
    fresh = place.with_name(f".{place.name}.{os.getpid()}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    write_folder(fresh, files)
    old = place.with_name(f".{place.name}.{os.getpid()}.old")
    if place.exists():
        place.rename(old)
    fresh.rename(place)
    sync_folder(place.parent)
    shutil.rmtree(old, ignore_errors=True)
    return place


def read_personal(folder: Path, base_digest: str) -> PersonalModel:
    """The model that belongs to a model of all.

    Raises:
        ReleaseError: there is none.
        IntegrityError: it cannot be understood.
    """
    place = personal_folder(folder, base_digest)
    names = (_FACTS, _CONTRACT, *FILES)
    try:
        files = {name: (place / name).read_bytes() for name in names}
    except OSError as error:
        raise ReleaseError(
            "no model of the client's own belongs to this release",
            where=str(folder),
            next_step="train with personalisation.on=true, and name the folder of this client: "
            f"there are {_folders_beside(folder)}",
        ) from error
    facts: dict[str, Any] = read_record(dict, files, _FACTS, str(place))
    contract = Contract.model_validate(yaml.safe_load(files[_CONTRACT]))
    strength = facts["strength"]
    return PersonalModel(
        client=str(facts["client"]),
        model=Scorer.from_files(contract, files, where=str(place)),
        threshold=float(facts["threshold"]),
        strength=None if strength is None else float(strength),
        base_digest=str(facts["base_digest"]),
    )


def _folders_beside(folder: Path) -> str:
    around = folder.absolute().parent
    names = sorted(f.name for f in around.iterdir() if f.is_dir()) if around.is_dir() else []
    return ", ".join(names) or "none yet"
