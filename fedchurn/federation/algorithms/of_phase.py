"""From a phase of a recipe to the algorithm that plays it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fedchurn.encoding.encoder import Encoder
from fedchurn.errors import SettingsError
from fedchurn.federation.aggregation.strategies import strategy_named
from fedchurn.federation.algorithms.algorithm import Algorithm
from fedchurn.federation.algorithms.local_training import LocalTraining
from fedchurn.federation.algorithms.newton import Newton
from fedchurn.federation.algorithms.scaffold import Scaffold
from fedchurn.federation.client.update import UpdateRules
from fedchurn.federation.training.stop_rule import StopRule
from fedchurn.learning.keras_model import initial_weights
from fedchurn.learning.recipe import LocalPhase, NewtonPhase, Phase, Recipe
from fedchurn.learning.spec import HiddenLayer, ModelSpec, Weights

_STRATEGY_SETTINGS = (
    "server_learning_rate",
    "server_momentum",
    "trim_fraction",
    "num_byzantine",
)


def max_rounds(phase: Phase) -> int:
    """Rounds that a phase may take, its refit included."""
    return phase.num_rounds + (phase.refit_rounds if isinstance(phase, NewtonPhase) else 0)


def stop_rule(phase: Phase) -> StopRule:
    """When a phase ends, and which round's model it keeps."""
    rule = StopRule(phase.num_rounds, phase.patience_rounds, phase.metric, phase.min_gain)
    if isinstance(phase, NewtonPhase):
        return replace(rule, average_within=phase.average_within)
    return replace(rule, evaluate_every=phase.evaluate_every, keep_last=phase.keep == "last")


def check_recipe(recipe: Recipe, *, summed: bool = False) -> None:
    """Raise ``SettingsError`` for a phase that cannot be played, before anything is trained.

    Args:
        recipe: all its phases are looked at.
        summed: whether only sums over clients will be seen.
    """
    for phase in recipe.phases:
        if isinstance(phase, LocalPhase):
            _hyper(phase, summed)


def algorithm_of(
    phase: Phase,
    encoder: Encoder,
    before: tuple[ModelSpec, Weights] | None,
    *,
    seed: int,
    min_cell_rows: int,
    summed: bool = False,
) -> Algorithm:
    """The algorithm of a phase.

    Args:
        phase: of a recipe.
        encoder: fitted.
        before: shape and weights of the model that the phase before ended with.
        seed: seeds initial weights, shuffles, dropout and who is drawn.
        min_cell_rows: k of the clients' sums.
        summed: whether only sums over clients will be seen.

    Raises:
        SettingsError: a setting that the phase's strategy does not know or cannot work with.
    """
    if isinstance(phase, NewtonPhase):
        return Newton(
            encoder.to_json(), encoder.num_inputs, phase.ridges, min_cell_rows=min_cell_rows
        )
    return _local_training(phase, encoder, before, seed, summed)


def _local_training(
    phase: LocalPhase,
    encoder: Encoder,
    before: tuple[ModelSpec, Weights] | None,
    seed: int,
    summed: bool,
) -> LocalTraining:
    hidden = tuple(HiddenLayer(layer.units, layer.dropout) for layer in phase.hidden)
    spec = ModelSpec(encoder.num_inputs, linear=phase.linear, hidden=hidden)
    first = initial_weights(spec, seed)
    if before is not None and phase.linear and before[0].linear:
        first = (*before[1][:2], *first[2:])
    hyper = _hyper(phase, summed)
    algorithm = Scaffold if phase.strategy == "scaffold" else LocalTraining
    return algorithm(
        strategy=phase.strategy,
        spec=spec,
        encoder_json=encoder.to_json(),
        first_weights=first,
        epochs=_epochs(phase),
        hyper=hyper,
        seed=seed,
        frozen_linear=phase.frozen_linear,
        rules=UpdateRules(
            clip_norm=phase.clip_norm,
            compression=phase.compression,
            keep_fraction=phase.keep_fraction,
            weighting=phase.weighting,
            summed=summed,
        ),
        clients_per_round=phase.clients_per_round,
        evaluation_clients=phase.evaluation_clients,
    )


def _epochs(phase: LocalPhase) -> dict[str, Any]:
    return {
        "batch_size": phase.batch_size,
        "epochs": phase.num_epochs,
        "optimizer": phase.optimizer,
        "learning_rate": phase.client_learning_rate,
        "proximal": phase.proximal_mu,
        "freeze_linear": phase.frozen_linear,
    }


def _hyper(phase: LocalPhase, summed: bool) -> dict[str, float]:
    """The settings of the phase's strategy, checked before anything is trained."""
    given = {name: getattr(phase, name) for name in _STRATEGY_SETTINGS}
    hyper = {name: float(value) for name, value in given.items() if value is not None}
    strategy = strategy_named(phase.strategy, hyper)
    _check_proximal(phase)
    _check_used(phase)
    if phase.strategy == "scaffold":
        _check_scaffold(phase, summed)
    if strategy.robust and summed:
        raise SettingsError(
            f"{phase.strategy} compares clients, and secure aggregation shows their sum only",
            where="training.phases",
            next_step="set clip_norm, which clients apply themselves, or switch one of them off",
        )
    if "clip_norm" in strategy.settings and phase.clip_norm is not None:
        hyper["clip_norm"] = phase.clip_norm
    return hyper


def _check_proximal(phase: LocalPhase) -> None:
    """FedAvg with a proximal term is FedProx, and records must say which one was played."""
    if phase.strategy == "fedprox" and not phase.proximal_mu:
        raise SettingsError(
            "fedprox with proximal_mu 0 is fedavg",
            where="training.phases",
            next_step="set proximal_mu, for example to 0.01, or choose fedavg",
        )
    if phase.strategy == "fedavg" and phase.proximal_mu:
        raise SettingsError(
            f"fedavg has no proximal_mu ({phase.proximal_mu:g})",
            where="training.phases",
            next_step="choose fedprox",
        )


def _check_used(phase: LocalPhase) -> None:
    """A setting that would do nothing is a mistake of whoever gave it."""
    if phase.keep == "last" and phase.patience_rounds is not None:
        raise SettingsError(
            f"patience_rounds {phase.patience_rounds} waits for a better round, and keep: last"
            " keeps the last one whatever it is",
            where="training.phases",
            next_step="set keep to best, or patience_rounds to null",
        )
    if phase.keep_fraction != _KEEP_FRACTION and phase.compression != "top_k":
        raise SettingsError(
            f"keep_fraction {phase.keep_fraction:g} does nothing with compression"
            f" {phase.compression}",
            where="training.phases",
            next_step="set compression to top_k, or leave keep_fraction away",
        )


_KEEP_FRACTION = LocalPhase.model_fields["keep_fraction"].default


def _check_scaffold(phase: LocalPhase, summed: bool) -> None:
    """The server reads a client's mean gradient off its update, so that must be plain SGD's."""
    problems = {
        "optimizer adam rescales gradients, so their mean cannot be read off an update;"
        " choose sgd": phase.optimizer != "sgd",
        "it needs every client's own update, and secure aggregation shows their sum only;"
        " choose fedprox, or switch one of them off": summed,
        "a proximal term bends the gradients that it corrects; leave proximal_mu at 0": bool(
            phase.proximal_mu
        ),
        "a shortened update does not tell the mean gradient; leave clip_norm away": (
            phase.clip_norm is not None
        ),
        "of an update sent in part (top_k) the mean gradient is not known; choose fp16": (
            phase.compression == "top_k"
        ),
    }
    for problem, found in problems.items():
        if found:
            reason, next_step = problem.split("; ")
            raise SettingsError(f"scaffold: {reason}", where="training.phases", next_step=next_step)
