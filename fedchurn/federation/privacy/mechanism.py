"""The Gaussian mechanism on updates of clients, and a clip norm that finds itself.

    mean = ( sum of updates, each clipped to C  +  z * C * normal ) / expected cohort

(McMahan et al. 2018, "Learning Differentially Private Recurrent Language Models"). Updates are not
weighted by rows and the divisor does not depend on who came, so one client moves the sum by C at
most. With adaptive clipping (Andrew et al. 2021) a noisy count of updates shorter than C is
released too, at a share of the budget, and C follows the wanted quantile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fedchurn.federation.client.update import clipped
from fedchurn.federation.privacy.keyed_noise import normals

FloatArray = NDArray[np.float64]
Key = NDArray[np.generic]


def clipped_sum(
    own: Sequence[FloatArray], summed: Sequence[FloatArray], clip_norm: float, size: int
) -> FloatArray:
    """Sum (size,) of updates; the server clips single ones again, sums it takes as they are.

    Args:
        own: updates of one client each.
        summed: sums over several clients that clipped their parts (secure aggregation).
        clip_norm: C.
        size: numbers of an update; a round without updates sums to zero.
    """
    total = np.zeros(size)
    for update in own:
        total += clipped(np.asarray(update, dtype=np.float64), clip_norm)
    for update in summed:
        total += update
    return total


def noisy_mean(
    total: FloatArray,
    clip_norm: float,
    noise_multiplier: float,
    expected_clients: float,
    key: Key,
    round_num: int,
) -> FloatArray:
    """The mean update (size,) that may be published; see the module docstring."""
    noise = normals(key, f"round {round_num} update", len(total))
    return (total + noise_multiplier * clip_norm * noise) / expected_clients


def update_noise_multiplier(noise_multiplier: float, count_share: float) -> float:
    """Noise of the sum when a share of the budget is spent on the count (Andrew et al., theorem 1).

    z_update = (z^-2 - (2 b)^-2)^(-1/2), with the count's noise b such that (2 b)^-2 is ``share``
    of z^-2: both together spend what z alone would.

    >>> round(update_noise_multiplier(1.0, 0.19), 6)
    1.111111
    """
    return noise_multiplier / math.sqrt(1.0 - count_share)


def count_noise_std(noise_multiplier: float, count_share: float) -> float:
    """Standard deviation of the noise on the count; one client moves the count by 1/2 at most.

    >>> count_noise_std(1.0, 0.25)
    1.0
    """
    return noise_multiplier / (2.0 * math.sqrt(count_share))


def next_clip_norm(
    clip_norm: float,
    num_short: float,
    num_clients: int,
    *,
    expected_clients: float,
    noise_std: float,
    target_quantile: float,
    learning_rate: float,
    key: Key,
    round_num: int,
) -> float:
    """C after a round: C exp(-rate (b - quantile)), b the noisy share of short updates.

    Clients count as +1/2 (shorter than C) or -1/2, so that the count moves by 1/2 with or without
    one of them; who is not there counts as 0.
    """
    noise = float(normals(key, f"round {round_num} count", 1)[0])
    centred = num_short - 0.5 * num_clients + noise_std * noise
    share = 0.5 + centred / expected_clients
    return clip_norm * math.exp(-learning_rate * (min(max(share, 0.0), 1.0) - target_quantile))
