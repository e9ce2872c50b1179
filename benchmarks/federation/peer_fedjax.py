"""fedjax: its own federated averaging, clients one after another (``jit``, its default).

Its shuffled batches are always full, the last one filled up with rows of the same client, which is
another job than the other sides'. So batches are its padded ones, with masks; four widths, so that
small clients are cheap and few shapes are compiled. Runs in fedjax's environment.
"""

from __future__ import annotations

from importlib.metadata import version

import fedjax
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.federation.course import Course, run_side
from benchmarks.federation.stored import (
    BATCH_SIZE,
    BETA_1,
    BETA_2,
    DROPOUT,
    EPSILON,
    LEARNING_RATE,
    SEED,
    Job,
)


def train_loss(params, batch, rng):
    """Mean log loss of a batch under dropout."""
    rows = batch["x"]
    for layer, rate in enumerate(DROPOUT):
        rows = jax.nn.relu(rows @ params[2 * layer] + params[2 * layer + 1])
        rng, own = jax.random.split(rng)
        rows = rows * jax.random.bernoulli(own, 1 - rate, rows.shape) / (1 - rate)
    logit = (rows @ params[-2] + params[-1])[:, 0]
    target, mask = batch["y"], batch[fedjax.EXAMPLE_MASK_KEY]
    losses = jnp.maximum(logit, 0) - logit * target + jnp.log1p(jnp.exp(-jnp.abs(logit)))
    return jnp.sum(losses * mask) / jnp.sum(mask)


class PaddedDataset(fedjax.ClientDataset):
    """Gives padded batches where federated averaging asks for shuffled ones."""

    def shuffle_repeat_batch(self, hparams):
        return self.padded_batch(batch_size=hparams.batch_size, num_batch_size_buckets=4)


def play(job: Job, course: Course) -> None:
    """Rounds of all clients."""
    algorithm = fedjax.algorithms.fed_avg.federated_averaging(
        jax.grad(train_loss),
        fedjax.optimizers.adam(LEARNING_RATE, b1=BETA_1, b2=BETA_2, eps=EPSILON),
        fedjax.optimizers.sgd(1.0),
        fedjax.ShuffleRepeatBatchHParams(batch_size=BATCH_SIZE, num_epochs=1),
    )
    datasets = []
    for client in range(job.num_clients):
        inputs, target = job.rows(client)
        datasets.append(PaddedDataset({"x": inputs, "y": target.astype(np.float32)}))
    state = algorithm.init([jnp.asarray(array) for array in job.first_weights])
    key = jax.random.PRNGKey(SEED)
    course.tell(package=f"fedjax {version('fedjax')}, jax {jax.__version__}")
    course.begin()
    more = True
    while more:
        key, own = jax.random.split(key)
        keys = jax.random.split(own, job.num_clients)
        clients = list(zip(range(job.num_clients), datasets, keys, strict=True))
        state, _ = algorithm.apply(state, clients)
        jax.block_until_ready(state.params)
        params = state.params
        more = course.round_done(lambda params=params: params)


if __name__ == "__main__":
    run_side(play)
