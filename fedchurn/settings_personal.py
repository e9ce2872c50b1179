"""Settings of personalisation."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class PersonalisationSettings(BaseModel):
    """Whether every client also makes a model of its own, near the one of all.

    Attributes:
        on: clients make one after every training, keep it, and tell how it does on their test rows.
        strengths: penalties (of the sum of log losses) on the squared distance from the model of
            all, for each client to choose from; it may also choose to stay with that model.
        min_rows: fewer validation rows of either class choose nothing: the client stays with the
            model and the threshold of all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: bool = False
    strengths: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(3.0, 10.0, 30.0, 100.0, 300.0), min_length=1
    )
    min_rows: int = Field(default=10, ge=2)
