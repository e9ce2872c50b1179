"""pfl with TensorFlow: ``FederatedAveraging`` on its simulated backend, weighted by rows.

Runs in pfl's environment; Keras 2 (``tf-keras``), as pfl keeps variables by name.
"""

from __future__ import annotations

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import pfl
import tensorflow as tf
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByDatapoints
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.sampling import get_user_sampler
from pfl.data.tensorflow import TFTensorDataset
from pfl.hyperparam import NNTrainHyperParams
from pfl.metrics import Metrics
from pfl.model.tensorflow import TFModel

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


def keras_model(job: Job) -> tf.keras.Model:
    """The network, at its first weights."""
    layers = [tf.keras.Input((job.num_inputs,))]
    for units, rate in zip(UNITS, DROPOUT, strict=True):
        layers += [tf.keras.layers.Dense(units, "relu"), tf.keras.layers.Dropout(rate)]
    model = tf.keras.Sequential([*layers, tf.keras.layers.Dense(1, "sigmoid")])
    model.set_weights(job.first_weights)
    # The legacy optimizer is the one whose variables pfl can reset on Keras 2.
    optimizer = tf.keras.optimizers.legacy.Adam(
        LEARNING_RATE, beta_1=BETA_1, beta_2=BETA_2, epsilon=EPSILON
    )
    # Else pfl traces its reset of the optimizer before there is anything to reset, and clients
    # go on with the moments of others.
    optimizer._create_all_weights(model.trainable_variables)
    model.compile(optimizer=optimizer, loss=tf.keras.losses.BinaryCrossentropy())
    return model


class Note(TrainingProcessCallback):
    """Notes every round."""

    def __init__(self, course: Course, model: tf.keras.Model) -> None:
        self._course = course
        self._model = model

    def after_central_iteration(self, aggregate_metrics, model, *, central_iteration):  # noqa: ARG002
        return not self._course.round_done(self._model.get_weights), Metrics()


def play(job: Job, course: Course) -> None:
    """Rounds of all clients."""
    np.random.seed(SEED)
    tf.random.set_seed(SEED)

    def dataset(client: int) -> TFTensorDataset:
        inputs, target = job.rows(client)
        columns = tf.constant(inputs), tf.constant(target[:, None].astype(np.float32))
        return TFTensorDataset(*columns, user_id=str(client))

    datasets = [dataset(client) for client in range(job.num_clients)]
    sampler = get_user_sampler("minimize_reuse", list(range(job.num_clients)))
    population = FederatedDataset(lambda client: datasets[client], sampler)
    keras = keras_model(job)
    model = TFModel(keras, metrics={}, central_optimizer=tf.keras.optimizers.legacy.SGD(1.0))
    course.tell(package=f"pfl {pfl.__version__}, TensorFlow {tf.__version__}")
    course.begin()
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=10**6,
            evaluation_frequency=10**6 + 1,
            train_cohort_size=job.num_clients,
            val_cohort_size=None,
        ),
        backend=SimulatedBackend(
            training_data=population, val_data=None, postprocessors=[WeightByDatapoints()]
        ),
        model=model,
        model_train_params=NNTrainHyperParams(
            local_num_epochs=1, local_learning_rate=LEARNING_RATE, local_batch_size=BATCH_SIZE
        ),
        callbacks=[Note(course, keras)],
    )


if __name__ == "__main__":
    run_side(play)
