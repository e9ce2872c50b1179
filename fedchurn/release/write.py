"""Write a release: a folder without pickles under a sha256 manifest, all or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fedchurn.contract.load import contract_digest, contract_yaml
from fedchurn.contract.schema import Contract
from fedchurn.errors import IntegrityError, ReleaseError
from fedchurn.release.canonical import CanonicalRow
from fedchurn.release.card import Card
from fedchurn.release.card_page import card_page
from fedchurn.release.folder import WriteFile, write_file, write_folder
from fedchurn.release.golden import GoldenRows
from fedchurn.release.manifest import MANIFEST, manifest_bytes, read_verified, release_id
from fedchurn.release.scorer import Scorer, json_bytes


@dataclass(frozen=True)
class ReleaseParts:
    """What a release is made of.

    Attributes:
        card: where it comes from and how good it is.
        model: the champion-to-be, with its contract and encoder.
        reference: federated histograms that drift is measured against, JSON-ready.
        golden_rows: rows whose answers prove the release; see ``choose_golden_rows``.
        fallback: simpler model for when the first one fails, or None.
    """

    card: Card
    model: Scorer
    reference: Mapping[str, Any]
    golden_rows: Sequence[CanonicalRow]
    fallback: Scorer | None = None


def write_release(parts: ReleaseParts, releases: Path, *, write: WriteFile = write_file) -> Path:
    """Write ``releases/RELEASE_ID`` and return it; equal parts give equal bytes and the same id.

    Args:
        parts: what to write.
        releases: folder that holds releases; made when absent.
        write: writes one file; tests make it fail.

    Raises:
        ReleaseError: parts do not fit each other, or the operating system refused (path, reason and
            next step are named, nothing half-written is left).
        IntegrityError: the same release is there already, but damaged.
    """
    files = release_files(parts)
    contract = parts.model.contract
    name = release_id(contract.contract, contract.version, files[MANIFEST])
    folder = releases / name
    if folder.is_dir():
        return _same_release(folder, files)
    try:
        write_folder(folder, files, write=write)
    except ReleaseError:
        if folder.is_dir():  # another process wrote the same release meanwhile
            return _same_release(folder, files)
        raise
    return folder


def release_files(parts: ReleaseParts) -> dict[str, bytes]:
    """Every file of a release by relative path, manifest included.

    Raises:
        ReleaseError: parts do not fit each other.
    """
    contract = parts.model.contract
    if (parts.card.contract, parts.card.contract_version) != (contract.contract, contract.version):
        raise ReleaseError(
            f"the card is of contract {parts.card.contract} {parts.card.contract_version}, the "
            f"model of {contract.contract} {contract.version}"
        )
    if parts.card.contract_digest != contract_digest(contract):
        raise ReleaseError(
            f"the card's contract digest {parts.card.contract_digest} is not the model's "
            f"{contract_digest(contract)}",
            next_step="make the card from the contract that the model was trained with",
        )
    files = {
        "card.json": json_bytes(parts.card.to_dict()),
        "card.md": card_page(parts.card).encode("utf-8"),
        "contract.yaml": contract_bytes(contract),
        "reference.json": json_bytes(parts.reference),
        **parts.model.to_files(),
    }
    if parts.fallback is not None:
        files |= {f"fallback/{n}": content for n, content in parts.fallback.to_files().items()}
    files["golden.json"] = json_bytes(_golden(parts, files).to_dict())
    return files | {MANIFEST: manifest_bytes(files)}


def contract_bytes(contract: Contract) -> bytes:
    """The contract as YAML, defaults spelled out; reading it gives an equal contract.

    Raises:
        ReleaseError: it would not.
    """
    plain = contract.model_dump(mode="json", exclude_none=True)
    text = contract_yaml(plain)
    if Contract.model_validate(yaml.safe_load(text)) != contract.model_copy(
        update={"shared": None}
    ):
        raise ReleaseError(f"contract {contract.contract} changes when it is written as YAML")
    return text.encode("utf-8")


def _golden(parts: ReleaseParts, files: Mapping[str, bytes]) -> GoldenRows:
    """Answers come from the files as they will be read, not from the objects in memory."""
    contract = parts.model.contract
    rows = tuple(parts.golden_rows)
    if not rows:
        raise ReleaseError("a release needs at least one golden row")
    answers = Scorer.from_files(contract, files).probabilities(rows)
    fallback: Sequence[float] = ()
    if parts.fallback is not None:
        fallback = (
            Scorer.from_files(contract, files, folder="fallback/").probabilities(rows).tolist()
        )
    return GoldenRows(rows, tuple(answers.tolist()), tuple(fallback))


def _same_release(folder: Path, files: Mapping[str, bytes]) -> Path:
    if read_verified(folder) != files:
        raise IntegrityError(
            "this release is there already, but holds other bytes",
            where=str(folder),
            next_step="remove the folder and run again",
        )
    return folder
