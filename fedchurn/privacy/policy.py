"""What is promised about the privacy of clients, as settings."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class PrivacySettings(BaseModel):
    """Differential privacy of trainings, for one client as a whole; docs/privacy.md.

    Attributes:
        mode: ``central``: the server adds noise to the sum of updates; ``local``: every client adds
            noise to its own update before it leaves; ``off``.
        epsilon: of one training, for one client.
        delta: chance (0-1) that ``epsilon`` does not hold; far below 1 / number of clients.
        clip_norm: longest update that counts, in the L2 norm; where adaptive clipping starts.
        adaptive_clipping: whether the clip norm follows ``target_quantile`` (``central`` only).
        target_quantile: share of updates (0-1) that should be shorter than the clip norm.
        clip_learning_rate: how fast the clip norm follows.
        count_share: share of the budget (0-1) spent on counting short updates.
        client_budget_epsilon: what all trainings together may spend of one client, at ``delta``; a
            client that would go above it is not asked. None sets no limit.
        min_noise_multiplier: on a client's own host: it answers no server that asks for less noise
            on its updates (noise over twice the clip norm), nor questions about sums of its rows.
            0 takes the server's word.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["off", "central", "local"] = "off"
    epsilon: float = Field(default=8.0, gt=0, le=1000)
    delta: float = Field(default=1e-5, gt=0, lt=0.1)
    clip_norm: float = Field(default=0.3, gt=0)
    adaptive_clipping: bool = False
    target_quantile: float = Field(default=0.5, gt=0, lt=1)
    clip_learning_rate: float = Field(default=0.2, gt=0)
    count_share: float = Field(default=0.1, gt=0, lt=1)
    client_budget_epsilon: float | None = Field(default=None, gt=0)
    min_noise_multiplier: float = Field(default=0.0, ge=0)
