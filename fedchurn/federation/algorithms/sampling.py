"""Who takes part in a round."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def drawn(
    clients: Sequence[str], num_clients: int | None, seed: int, round_num: int
) -> tuple[str, ...] | None:
    """So many clients, drawn without replacement from (seed, round); None when that is all.

    Equal arguments draw equal clients, so a training that is resumed asks the same ones.
    """
    if num_clients is None or num_clients >= len(clients):
        return None
    generator = np.random.default_rng([seed, round_num])
    places = generator.choice(len(clients), size=num_clients, replace=False)
    names = sorted(clients)
    return tuple(sorted(names[place] for place in places))
