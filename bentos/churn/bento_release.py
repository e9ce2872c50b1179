"""The release inside the bento that this service runs from.

``fedchurn package`` puts a release into BentoML's model store as the folder ``release`` of a model
called ``churn_release``, and names that model when it builds the bento. Wherever the bento goes,
BentoML takes the model along: into an exported file, and into an image. A checkout has none, nor
has a bento that was built by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import bentoml

from fedchurn.serving.reload.release_source import WantedRelease

if TYPE_CHECKING:
    from bentoml import Bento

MODEL_NAME = "churn_release"
RELEASE = "release"  # folder in the model


@dataclass(frozen=True)
class BundledRelease:
    """What a bento carries.

    Attributes:
        wanted: the release.
        contract: name of its contract.
    """

    wanted: WantedRelease
    contract: str


def bundled_release(bento: Bento | None) -> BundledRelease | None:
    """The release inside ``bento``; None when it has none, or when there is no bento (a checkout).

    Nothing is verified here; whoever loads the release does that. BentoML itself refuses to start a
    bento whose model is not in the store.

    Args:
        bento: ``bento`` of the running service.
    """
    tags = [m.tag for m in bento.info.all_models] if bento is not None else []
    tag = next((tag for tag in tags if tag.name == MODEL_NAME), None)
    if tag is None:
        return None
    model = bentoml.models.get(tag)
    facts = model.info.metadata
    return BundledRelease(
        wanted=WantedRelease(
            folder=Path(model.path) / RELEASE,
            release_id=str(facts["release_id"]),
            version=str(facts["version"]),
            source=f"model {tag}",
        ),
        contract=str(facts["contract"]),
    )
