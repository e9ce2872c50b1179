"""What one training spends of a client's privacy."""

from __future__ import annotations

from dataclasses import dataclass

CENTRAL, LOCAL = "central", "local"


@dataclass(frozen=True)
class Spending:
    """Rounds of one Gaussian mechanism.

    Attributes:
        mechanism: ``central`` or ``local``.
        num_rounds: rounds in which the client's update may be.
        noise_multiplier: standard deviation of the noise over how far one client can move the
            result, in the L2 norm: the clip norm (``central``: with or without the client), or
            twice the clip norm (``local``: one update or any other).
        sampling_rate: chance (0-1) that the client is in a round, drawn for every client and round
            by itself and kept secret (Poisson sampling); 1 when all are asked, or when who was
            drawn is known: then nothing is gained by sampling.
    """

    mechanism: str
    num_rounds: int
    noise_multiplier: float
    sampling_rate: float = 1.0
