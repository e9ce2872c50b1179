"""tensorflow-federated: ``build_weighted_fed_avg`` on its local runtime.

Runs in an environment of its own.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from benchmarks.federation.course import Course, run_side
from benchmarks.federation.stored import (
    BATCH_SIZE,
    BETA_1,
    BETA_2,
    DROPOUT,
    EPSILON,
    LEARNING_RATE,
    SEED,
    UNITS,
    Job,
)


def play(job: Job, course: Course) -> None:
    """Rounds of all clients."""
    tf.random.set_seed(SEED)

    def dataset(client: int) -> tf.data.Dataset:
        inputs, target = job.rows(client)
        rows = tf.data.Dataset.from_tensor_slices((inputs, target[:, None].astype(np.float32)))
        return rows.shuffle(len(target), seed=SEED).batch(BATCH_SIZE)

    datasets = [dataset(client) for client in range(job.num_clients)]
    element_spec = datasets[0].element_spec

    def model_fn() -> tff.learning.models.VariableModel:
        layers = [tf.keras.Input((job.num_inputs,))]
        for units, rate in zip(UNITS, DROPOUT, strict=True):
            layers += [tf.keras.layers.Dense(units, "relu"), tf.keras.layers.Dropout(rate)]
        keras = tf.keras.Sequential([*layers, tf.keras.layers.Dense(1, "sigmoid")])
        loss = tf.keras.losses.BinaryCrossentropy()
        return tff.learning.models.from_keras_model(keras, loss=loss, input_spec=element_spec)

    process = tff.learning.algorithms.build_weighted_fed_avg(
        model_fn,
        client_optimizer_fn=tff.learning.optimizers.build_adam(
            LEARNING_RATE, beta_1=BETA_1, beta_2=BETA_2, epsilon=EPSILON
        ),
        server_optimizer_fn=tff.learning.optimizers.build_sgdm(1.0),
    )
    state = process.initialize()
    weights = tff.learning.models.ModelWeights(list(job.first_weights), [])
    state = process.set_model_weights(state, weights)
    course.tell(package=f"tensorflow-federated {tff.__version__}, TensorFlow {tf.__version__}")
    course.begin()
    more = True
    while more:
        state = process.next(state, datasets).state
        kept = state
        more = course.round_done(lambda kept=kept: process.get_model_weights(kept).trainable)


if __name__ == "__main__":
    run_side(play)
