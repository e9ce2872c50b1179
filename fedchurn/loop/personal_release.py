"""A release that answers with a client's own model, for that client's own service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fedchurn.release.card import Card
from fedchurn.release.load import check_golden, load_release
from fedchurn.release.personal import PersonalModel, read_personal, scorer_digest
from fedchurn.release.write import ReleaseParts, write_release


def personal_release(release_folder: Path, own: Path, into: Path) -> tuple[Path, PersonalModel]:
    """Write the release with the client's own model and threshold in it.

    Fallback, golden rows and drift reference are those of the release: drift of the probability is
    measured against the model of all.

    Args:
        release_folder: a release that the client took part in.
        own: where the client keeps its models (``HOME/personal/CONTRACT/CLIENT``).
        into: folder that holds releases; made when absent.

    Returns:
        The new release's folder, and the client's model.

    Raises:
        ReleaseError: the client has no model near this release, or the folder cannot be written.
        IntegrityError: the release is damaged.
    """
    release = load_release(release_folder)
    personal = read_personal(own, scorer_digest(release.model))
    parts = ReleaseParts(
        card=_card(release.card, personal, release.release_id),
        model=personal.model,
        reference=release.reference,
        golden_rows=release.golden.rows,
        fallback=release.fallback,
    )
    folder = write_release(parts, into)
    check_golden(load_release(folder))
    return folder, personal


def _card(card: Card, personal: PersonalModel, release_id: str) -> Card:
    """Figures of the model of all are not this model's, so none are on its card."""
    how = (
        "is the model of all with a threshold of its own"
        if personal.strength is None
        else f"was fitted near the model of all with strength {personal.strength:g}"
    )
    note = (
        f"The model of client {personal.client!r} alone: it {how} (release {release_id}) on that"
        " client's rows and never left it. Whoever has it can learn about those rows."
    )
    return replace(
        card,
        threshold=personal.threshold,
        metrics={},
        client_metrics={},
        baselines={},
        fairness={},
        costs={},
        privacy_notes=(note, *card.privacy_notes),
    )
