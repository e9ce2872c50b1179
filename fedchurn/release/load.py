"""Read a release folder; imports neither pandas nor TensorFlow, for the service loads it too."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fedchurn.contract.schema import Contract
from fedchurn.errors import IntegrityError
from fedchurn.release import golden
from fedchurn.release.card import Card
from fedchurn.release.golden import GoldenRows
from fedchurn.release.manifest import MANIFEST, read_unverified, read_verified, release_id
from fedchurn.release.scorer import Scorer, read_record

# libyaml's safe loader where PyYAML has it (3 ms instead of 20 for a contract): still no objects.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Release:
    """A release in memory.

    Attributes:
        release_id: derived from the manifest, not from the folder's name.
        folder: where it was read.
        card: where it comes from and how good it is.
        contract: what a row is.
        model: the model, ready to answer.
        fallback: simpler model for when the first one fails, or None.
        reference: federated histograms that drift is measured against.
        golden: rows with expected answers.
    """

    release_id: str
    folder: Path
    card: Card
    contract: Contract
    model: Scorer
    fallback: Scorer | None
    reference: dict[str, Any]
    golden: GoldenRows


def load_release(folder: Path, verify: bool = True) -> Release:
    """Read a release; the bytes whose hashes are checked are the bytes that are used.

    Args:
        folder: the release folder.
        verify: check every file against the manifest (symlinks are refused in any case).

    Raises:
        IntegrityError: the folder is not what its manifest says, or a file cannot be understood.
    """
    files = read_verified(folder) if verify else read_unverified(folder)
    where = f"release folder {folder}"
    contract = _contract(files, where)
    has_fallback = any(name.startswith("fallback/") for name in files)
    return Release(
        release_id=release_id(contract.contract, contract.version, files.get(MANIFEST, b"")),
        folder=folder,
        card=read_record(Card.from_dict, files, "card.json", where),
        contract=contract,
        model=Scorer.from_files(contract, files, where=where),
        fallback=(
            Scorer.from_files(contract, files, folder="fallback/", where=where)
            if has_fallback
            else None
        ),
        reference=read_record(dict, files, "reference.json", where),
        golden=read_record(GoldenRows.from_dict, files, "golden.json", where),
    )


def check_golden(release: Release) -> float:
    """Recompute the golden rows of a release; see ``fedchurn.release.golden.check_golden``."""
    return golden.check_golden(
        release.golden, release.model, release.fallback, where=f"release {release.release_id}"
    )


def _contract(files: dict[str, bytes], where: str) -> Contract:
    try:
        return Contract.model_validate(yaml.load(files["contract.yaml"], _LOADER))  # noqa: S506
    except KeyError as error:
        raise IntegrityError("file 'contract.yaml' is missing", where=where) from error
    except (ValueError, yaml.YAMLError) as error:
        raise IntegrityError(
            f"file 'contract.yaml' cannot be read: {error}", where=where
        ) from error
