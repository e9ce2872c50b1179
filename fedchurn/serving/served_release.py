"""A release made ready to answer: loaded, proven by its golden rows, everything precomputed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from fedchurn.contract.schema import Contract, RiskBand
from fedchurn.errors import IntegrityError
from fedchurn.release.golden import TOLERANCE, differences
from fedchurn.release.load import Release, check_golden, load_release
from fedchurn.serving.explaining.explanation import Explainer
from fedchurn.serving.explaining.recommendations import Advisor
from fedchurn.serving.fallback.chain import FallbackChain
from fedchurn.serving.predictor import Predictor
from fedchurn.serving.quick_row import QuickScorer
from fedchurn.serving.records import CHAMPION, FALLBACK_MODEL


@dataclass(frozen=True, eq=False)
class ServedRelease:
    """One release at work.

    Attributes:
        release: what was loaded.
        version: its version in the registry, where that is known.
        role: ``champion`` or ``challenger``; what its answers call themselves.
        model: the model.
        fallback: the simpler model beside it, or None.
        quick: the model again, for plain rows only.
        chain: model, fallback model, rules, base rate.
        explainers: by who answered (role or ``fallback_model``).
        advisor: recommendations.
        loaded_seconds: Unix time at which it was ready.
    """

    release: Release
    version: str | None
    role: str
    model: Predictor
    fallback: Predictor | None
    quick: QuickScorer
    chain: FallbackChain
    explainers: Mapping[str, Explainer]
    advisor: Advisor
    loaded_seconds: float = field(default_factory=time.time)

    @property
    def release_id(self) -> str:
        return self.release.release_id

    @property
    def contract(self) -> Contract:
        return self.release.contract

    @property
    def threshold(self) -> float:
        """Probability from which a customer counts as a churner."""
        return self.release.card.threshold

    @cached_property
    def id_column(self) -> str | None:
        """Field that names a customer, where the contract has one."""
        identifier = self.release.contract.id
        return identifier.column if identifier else None

    def band(self, probability: float) -> RiskBand:
        """The contract's risk band of a probability (0-1)."""
        bands = self.release.contract.risk_bands
        below = (band for band in bands if band.below is None or probability < band.below)
        return next(below, bands[-1])


def serve_release(
    folder: Path,
    version: str | None = None,
    *,
    role: str = CHAMPION,
    model_timeout_seconds: float = 1.0,
) -> ServedRelease:
    """Load a release, verify every file, recompute its golden rows, and make it ready.

    Raises:
        IntegrityError: the release is damaged, or answers its golden rows otherwise.
    """
    release = load_release(folder)
    check_golden(release)
    model, quick = Predictor(release.model), QuickScorer(release.model)
    check_quick(release, quick)
    fallback = Predictor(release.fallback) if release.fallback else None
    explainers = {role: Explainer(model, release.reference)}
    if fallback is not None:
        explainers[FALLBACK_MODEL] = Explainer(fallback, release.reference)
    return ServedRelease(
        release=release,
        version=version,
        role=role,
        model=model,
        fallback=fallback,
        quick=quick,
        chain=FallbackChain(
            release.contract, role, model, fallback, timeout_seconds=model_timeout_seconds
        ),
        explainers=explainers,
        advisor=Advisor(release.contract),
    )


def check_quick(release: Release, quick: QuickScorer) -> None:
    """The fast lane's answers to the golden rows, compared with those that were judged.

    Raises:
        IntegrityError: they differ by more than the tolerance of golden rows.
    """
    golden = release.golden
    answers = [quick.score(json.dumps(dict(row)).encode()) for row in golden.rows]
    pairs = zip(answers, golden.probabilities, strict=True)
    plain = [(answer.probability, expected) for answer, expected in pairs if answer is not None]
    worst = differences([p for p, _ in plain], [p for _, p in plain]).max(initial=0.0)
    if worst > TOLERANCE:
        raise IntegrityError(
            f"the fast lane's answers differ by {worst:.3g}, allowed {TOLERANCE:g}",
            where=f"release {release.release_id}",
            next_step="serve the previous release, and report this with the card of the release",
        )
