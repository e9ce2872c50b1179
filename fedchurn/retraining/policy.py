"""How willingly Fedchurn retrains."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Overridable = Literal[
    "cooldown", "budget", "current", "new_rows", "labels", "new_data", "learnable", "comparable"
]
_FORCED: tuple[Overridable, ...] = (
    *("cooldown", "budget", "current", "new_rows"),
    *("labels", "new_data", "learnable", "comparable"),
)


class RetrainPolicy(BaseModel):
    """What a trigger must come up against before a model is trained anew.

    Attributes:
        enabled: whether anything may lead to a retrain.
        cooldown_hours: time from the start of a retrain until the next may begin.
        failure_cooldown_hours: the same after one that failed: its cause may pass by itself.
        max_per_week: retrains that may begin within any 7 days.
        min_new_rows: rows with known outcome that the model in production has not seen: labels that
            came back and are mature, and rows that the source has gained.
        require_labels: ask for outcomes of both kinds among labels that came back, or for
            ``min_new_rows`` rows that the source has gained.
        min_new_per_class: churners, and customers who stayed, among labels that came back.
        repeat_hours: for how long an event that was decided is not looked at again.
        max_run_hours: a training of which nothing can be learned for so long counts as lost.
        start_minutes: how long a retrain waits for its training to begin. It then ends, so that a
            worker with few places has one for the training; the next look takes down the outcome.
        force_overrides: checks that a person may override. A retrain that is running, an event that
            led to one, and ``enabled`` cannot be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    cooldown_hours: float = Field(default=24.0, ge=0)
    failure_cooldown_hours: float = Field(default=1.0, ge=0)
    max_per_week: int = Field(default=2, ge=0)
    min_new_rows: int = Field(default=200, ge=0)
    require_labels: bool = True
    min_new_per_class: int = Field(default=10, ge=1)
    repeat_hours: float = Field(default=24.0, ge=0)
    max_run_hours: float = Field(default=48.0, gt=0)
    start_minutes: float = Field(default=10.0, ge=0)
    force_overrides: tuple[Overridable, ...] = _FORCED
