"""A real file dealt to simulated clients, and one private training of it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import TEST, VALIDATION, ClientTable
from fedchurn.evaluation.metrics import metrics
from fedchurn.evaluation.sums import score_sums
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.privacy.terms import PrivateTerms, agree_terms, private_recipe
from fedchurn.federation.simulation.exchange import SimulationExchange
from fedchurn.federation.simulation.rows import SimulatedRows
from fedchurn.federation.simulation.tasks import bulk_tasks
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.train import TrainedModel, train_federated
from fedchurn.learning.recipe import Recipe
from fedchurn.learning.spec import predict_probability
from fedchurn.privacy.policy import PrivacySettings


@dataclass(frozen=True)
class Federation:
    """One table, split once, and its rows dealt to clients."""

    contract: Contract
    whole: ClientTable
    clients: Mapping[str, ClientTable]

    @functools.cached_property
    def exchange(self) -> SimulationExchange:
        """Reaches the clients; keeps their encoded rows."""
        rows = SimulatedRows(self.clients.__getitem__)
        return SimulationExchange(
            tuple(self.clients),
            lambda client: ClientSession(self.clients[client], self.contract),
            bulk=bulk_tasks(rows),
        )


def deal(whole: ClientTable, contract: Contract, num_clients: int, seed: int) -> Federation:
    """Customers dealt by chance, equally many to each; copies of a customer stay together.

    The table is split before, so every number of clients is judged on the same test rows.
    """
    _, customers = np.unique(whole.customer_groups, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(customers.max() + 1)
    owners = shuffled[customers] % num_clients
    clients = {
        name: replace(whole.take(owners == number), client=name)
        for number, name in enumerate(f"client_{n:03d}" for n in range(num_clients))
    }
    return Federation(contract, whole, clients)


def trained(
    given: Federation, recipe: Recipe, privacy: PrivacySettings, seed: int
) -> tuple[TrainedModel, PrivateTerms | None]:
    """The recipe on the federation, with privacy or without."""
    # A client with a handful of customers may have none among its training rows.
    policy = RoundPolicy(quorum_fraction=0.9)
    if privacy.mode == "off":
        return train_federated(given.exchange, given.contract, recipe, policy, seed=seed), None
    terms = agree_terms(privacy, recipe, given.exchange.clients(), {}, 1.0)
    private = private_recipe(privacy, recipe)
    model = train_federated(
        given.exchange, given.contract, private, policy, seed=seed, private=terms
    )
    return model, terms


def auc(given: Federation, model: TrainedModel, split: int) -> float:
    """ROC-AUC of the model on one split of the whole table."""
    rows = given.whole.take(given.whole.split == split)
    inputs = model.encoder.encode(rows.columns)
    scores = predict_probability(model.spec, model.weights, inputs)
    return float(metrics(score_sums(rows.target, scores)).roc_auc)


SPLITS = {"validation": VALIDATION, "test": TEST}
