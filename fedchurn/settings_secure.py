"""Settings of secure aggregation: the driver's, and each client's own."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field


class SecureSettings(BaseModel):
    """Whether sums are masked, and how many clients must be behind one.

    A client reads its own copy: what a server says cannot weaken it.

    Attributes:
        on: clients send masked sums only, and refuse to be asked in the clear.
        threshold_fraction: share of the asked clients (0-1) that must answer, lest nothing can be
            unmasked. More than half, so that no two disjoint sets of clients can be asked for both
            kinds of share.
        min_clients: fewest clients behind a sum. Of a sum of two, either knows the other's part.
        num_clients: how many clients a question must be put to; None for any number from
            ``min_clients`` up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: bool = False
    threshold_fraction: float = Field(default=2 / 3, gt=0.5, le=1)
    min_clients: int = Field(default=3, ge=2)
    num_clients: int | None = Field(default=None, ge=2)

    def threshold(self, num_asked: int) -> int:
        """Fewest of the asked clients behind a sum.

        >>> [SecureSettings().threshold(n) for n in (3, 5, 10)]
        [3, 4, 7]
        """
        share = math.ceil(self.threshold_fraction * num_asked - 1e-9)
        return max(share, num_asked // 2 + 1, self.min_clients)
