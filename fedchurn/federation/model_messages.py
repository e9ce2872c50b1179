"""Models inside requests and replies: named arrays, several candidates side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from fedchurn.federation.exchange import Arrays, Scalar
from fedchurn.learning.spec import ModelSpec, Weights


def prefixed(
    arrays: Mapping[str, NDArray[np.generic]], candidate: int
) -> dict[str, NDArray[np.generic]]:
    """The arrays under names that say which candidate model they belong to."""
    return {f"candidate_{candidate}.{name}": array for name, array in arrays.items()}


def of_candidate(arrays: Arrays, candidate: int) -> dict[str, NDArray[np.generic]]:
    """The arrays that ``prefixed`` named for one candidate."""
    prefix = f"candidate_{candidate}."
    return {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}


def weights_to_arrays(
    spec: ModelSpec, candidates: Sequence[Weights]
) -> dict[str, NDArray[np.generic]]:
    """All candidates' weights as named arrays."""
    return models_to_arrays([(spec, weights) for weights in candidates])


def models_to_arrays(
    models: Sequence[tuple[ModelSpec, Weights]],
) -> dict[str, NDArray[np.generic]]:
    """Weights of models of different shapes, numbered in their order."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for number, (spec, weights) in enumerate(models):
        names = [name for name, _ in spec.weight_shapes()]
        arrays.update(prefixed(dict(zip(names, weights, strict=True)), number))
    return arrays


def candidate_weights(arrays: Arrays, spec: ModelSpec, candidate: int) -> Weights:
    """One candidate's weights in the order of the spec, float32."""
    own = of_candidate(arrays, candidate)
    return tuple(np.asarray(own[name], dtype=np.float32) for name, _ in spec.weight_shapes())


def spec_from(config: Mapping[str, Scalar]) -> ModelSpec:
    """The model spec that travels as JSON under ``spec``."""
    return ModelSpec.from_dict(json.loads(str(config["spec"])))
