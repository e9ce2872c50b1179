"""Who drifts in a drill: customers that change in several ways at once."""

from __future__ import annotations

from collections.abc import Sequence

from fedchurn.contract.schema import Contract, Scenario

DRIFTED = "drill"


def with_drift(contract: Contract, scenarios: Sequence[str]) -> Contract:
    """The contract with one more scenario, ``drill``: several of its own at once."""
    known = contract.sample.scenarios
    parts = [known[name] for name in scenarios]
    merged = Scenario(
        description=" and ".join(scenarios),
        ranges={k: v for part in parts for k, v in part.ranges.items()},
        scale={k: v for part in parts for k, v in part.scale.items()},
        weights={k: v for part in parts for k, v in part.weights.items()},
        null_fraction={k: v for part in parts for k, v in part.null_fraction.items()},
    )
    sample = contract.sample.model_copy(update={"scenarios": {**known, DRIFTED: merged}})
    return contract.model_copy(update={"sample": sample})
