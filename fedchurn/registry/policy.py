"""What a challenger must show, what is known of it, and what a check says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PromotionPolicy(BaseModel):
    """What a challenger must show.

    Attributes:
        min_accuracy: floor of accuracy (0-1).
        above_majority: also demand more than the majority baseline's accuracy on the same rows.
        min_auc: floor of ROC-AUC (0-1).
        mode: ``better`` (beyond noise), or ``not_worse`` (non-inferior by ``not_worse_margin``).
        significance: alpha of the one-sided paired tests (0-1).
        not_worse_margin: ROC-AUC that a challenger which need not be better may lose.
        client_margin: ROC-AUC that any single client may lose.
        refresh_on_new_data: in mode ``better``, let a challenger trained on other rows replace the
            champion when it is not worse beyond noise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_accuracy: float = Field(default=0.80, ge=0, le=1)
    above_majority: bool = True
    min_auc: float = Field(default=0.70, ge=0, le=1)
    mode: Literal["better", "not_worse"] = "better"
    significance: float = Field(default=0.05, gt=0, lt=0.5)
    not_worse_margin: float = Field(default=0.01, ge=0, le=1)
    client_margin: float = Field(default=0.02, ge=0, le=1)
    refresh_on_new_data: bool = True


@dataclass(frozen=True)
class ModelEvidence:
    """What is known of a model when it is judged; figures are of the same held-out rows.

    Attributes:
        release_id: the release.
        version: its version in the registry.
        accuracy: at its own threshold (0-1).
        majority_accuracy: of always answering the commoner class on these rows (0-1).
        roc_auc: pooled (0-1).
        data_digest: sha256 over the training rows of all clients.
        weights_digest: sha256 of the weights.
    """

    release_id: str
    version: str
    accuracy: float
    majority_accuracy: float
    roc_auc: float
    data_digest: str
    weights_digest: str


@dataclass(frozen=True)
class Reason:
    """One check of a decision.

    Attributes:
        check: short name.
        passed: whether the challenger passed it.
        value: what was measured; None when nothing can be.
        limit: what it was held against; None when there is no limit.
        sentence: the same in words.
    """

    check: str
    passed: bool
    value: float | None
    limit: float | None
    sentence: str
