"""The Keras model of a spec, and the way of weights into it and out of it.

TensorFlow is imported by the functions that build something, never with this module: it costs 6 to
10 s and 700 MB, which a client that only sends sums need not pay.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedchurn.errors import SettingsError
from fedchurn.learning.keras_import import load_tensorflow
from fedchurn.learning.spec import ModelSpec, Weights

if TYPE_CHECKING:
    import keras

logger = logging.getLogger(__name__)


def initial_weights(spec: ModelSpec, seed: int) -> Weights:
    """Weights before round 1; needs no TensorFlow.

    Hidden and output kernels are Glorot uniform, limit sqrt(6 / (fan_in + fan_out)) (Glorot and
    Bengio 2010, AISTATS); biases are zeros. The linear path is zeros: its loss is convex, there is
    no symmetry to break. With a linear path beside the network the output kernel is zeros too, so
    that the model starts as the additive model exactly.

    Args:
        spec: shape of the model.
        seed: not negative.

    Returns:
        float32 arrays in the order of ``spec.weight_shapes()``.
    """
    generator = np.random.default_rng(seed)
    weights = []
    for name, shape in spec.weight_shapes():
        layer, kind = name.split(".")
        flat = kind == "bias" or layer == "linear" or (layer == "output" and spec.linear)
        limit = 0.0 if flat else float(np.sqrt(6.0 / sum(shape)))
        weights.append(generator.uniform(-limit, limit, shape).astype(np.float32))
    return tuple(weights)


def build_keras(
    spec: ModelSpec, weights: Sequence[NDArray[np.floating]] | None = None, seed: int = 0
) -> keras.Model:
    """A functional Keras model: ``inputs`` float32 (n, spec.inputs) -> ``probability`` (n, 1).

    Args:
        spec: shape of the model.
        weights: arrays in the order of ``spec.weight_shapes()``; ``initial_weights`` by default.
        seed: of the initial weights and of the Dropout layers.

    Raises:
        SettingsError: the weights do not fit the spec, or Keras runs on another backend.
    """
    configure_threads()
    load_tensorflow()
    import keras

    _check_backend(keras.backend.backend())
    inputs = keras.Input((spec.inputs,), name="inputs", dtype="float32")
    paths = []
    if spec.linear:
        paths.append(keras.layers.Dense(1, name="linear")(inputs))
    if spec.hidden:
        paths.append(_network(spec, inputs, seed))
    logit = paths[0] if len(paths) == 1 else keras.layers.Add(name="logit")(paths)
    probability = keras.layers.Activation("sigmoid", name="probability")(logit)
    model = keras.Model(inputs, probability, name="churn")
    set_keras_weights(model, spec, initial_weights(spec, seed) if weights is None else weights)
    return model


def _network(spec: ModelSpec, inputs: keras.KerasTensor, seed: int) -> keras.KerasTensor:
    import keras

    rows = inputs
    for number, layer in enumerate(spec.hidden, start=1):
        rows = keras.layers.Dense(layer.units, "relu", name=f"hidden_{number}")(rows)
        if layer.dropout:
            dropout = keras.layers.Dropout(layer.dropout, seed=seed, name=f"dropout_{number}")
            rows = dropout(rows)
    return keras.layers.Dense(1, name="output")(rows)


def keras_weights(model: keras.Model, spec: ModelSpec) -> Weights:
    """The model's weights as float32 arrays in the order of ``spec.weight_shapes()``."""
    return tuple(
        np.asarray(_variable(model, name).numpy(), dtype=np.float32)
        for name, _ in spec.weight_shapes()
    )


def set_keras_weights(
    model: keras.Model, spec: ModelSpec, weights: Sequence[NDArray[np.floating]]
) -> None:
    """Put ``weights``, in the order of ``spec.weight_shapes()``, into the model's layers.

    Raises:
        SettingsError: their number or a shape is not the spec's.
    """
    check_weights(spec, weights)
    for (name, _), array in zip(spec.weight_shapes(), weights, strict=True):
        _variable(model, name).assign(np.asarray(array, dtype=np.float32))


def check_weights(spec: ModelSpec, weights: Sequence[NDArray[np.floating]]) -> None:
    """Raise ``SettingsError``, naming the first array that does not fit the spec."""
    shapes = spec.weight_shapes()
    advice = "check that recipe, encoder and weights belong to the same run"
    if len(weights) != len(shapes):
        raise SettingsError(
            f"{len(weights)} weight arrays for a model of {len(shapes)}", next_step=advice
        )
    for (name, shape), array in zip(shapes, weights, strict=True):
        if np.shape(array) != shape:
            raise SettingsError(
                f"shape {np.shape(array)} where the model has {shape}",
                where=name,
                next_step=advice,
            )


@cache
def configure_threads() -> bool:
    """Give TensorFlow one thread per operation: worth 5 to 25 times on models of this size.

    Has an effect only before TensorFlow's first operation in a process. Where TensorFlow was in use
    already, it is left as it is and a warning is logged.

    Returns:
        Whether TensorFlow runs on one thread now.
    """
    load_tensorflow()
    import tensorflow as tf

    threading = tf.config.threading
    try:
        threading.set_intra_op_parallelism_threads(1)
        threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        logger.warning("TensorFlow was in use before its threads were set: training is slower")
        return False
    return True


def _variable(model: keras.Model, name: str) -> keras.Variable:
    layer, kind = name.split(".")
    return getattr(model.get_layer(layer), kind)


def _check_backend(backend: str) -> None:
    if backend != "tensorflow":
        raise SettingsError(
            f"Keras runs on the {backend!r} backend",
            where="KERAS_BACKEND or keras.json",
            next_step="set KERAS_BACKEND=tensorflow",
        )
