"""A recipe: how a model is encoded and trained, in one or more phases.

``configs/recipes/NAME.yaml`` holds the shipped ones: ``additive`` (default),
``additive+residual`` and ``reference``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from fedchurn.encoding.fit import EncoderSettings


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Layer(_Record):
    """A Dense relu layer with dropout (fraction, 0-1)."""

    units: int = Field(ge=1, le=4096)
    dropout: float = Field(default=0.0, ge=0, lt=1)


class NewtonPhase(_Record):
    """Second-order rounds of the linear path; one candidate per ridge.

    Attributes:
        num_rounds: rounds at most.
        patience_rounds: rounds without a better validation metric before training stops.
        metric: validation metric that picks round and ridge.
        min_gain: gain of the metric below which a round is not better.
        ridges: penalties of the sum of log losses, one candidate model each.
        average_within: the model is the mean of all candidates whose validation metric is within
            this share of the best one's; 0 takes the best alone.
        refit_rounds: rounds on training and validation rows together, with the chosen ridge, after
            the validation rows have done their work. The threshold is still chosen with the model
            that had not seen them. Used in the last phase only.
    """

    strategy: Literal["newton"]
    num_rounds: int = Field(default=12, ge=1)
    patience_rounds: int | None = Field(default=3, ge=1)
    metric: Literal["log_loss", "brier", "roc_auc"] = "log_loss"
    refit_rounds: int = Field(default=0, ge=0)
    min_gain: float = Field(default=1e-5, ge=0)
    average_within: float = Field(default=0.0, ge=0, le=1)
    ridges: tuple[Annotated[float, Field(gt=0)], ...] = (30.0, 10.0, 3.0, 1.0, 0.3, 0.1)


class LocalPhase(_Record):
    """Rounds of local epochs, combined by a strategy (``federation.aggregation.strategies``).

    Attributes:
        hidden: layers of the network.
        linear: whether inputs also reach the output directly. After a newton phase the linear path
            starts from its result.
        frozen_linear: keep the linear path as it is and train the network only.
        optimizer: ``adam`` or ``sgd``, on the client.
        client_learning_rate: its learning rate.
        server_learning_rate: step of the server; None is the strategy's own default (0.1 for
            FedAdam, 0.01 for FedYogi, else 1).
        server_momentum: of ``fedavgm`` (0-1).
        trim_fraction: share of clients (0-0.5) that ``trimmed_mean`` leaves out at either end.
        num_byzantine: how many clients ``krum`` takes to be hostile.
        clip_norm: longest update that counts, in the L2 norm; ``norm_clipping`` without it takes
            the median length of the round's updates.
        proximal_mu: FedProx penalty on the distance from the global model.
        batch_size: rows per step.
        num_epochs: passes over the client's rows per round.
        clients_per_round: clients drawn to train in each round; None asks all.
        evaluation_clients: clients drawn once to evaluate every round; None asks all.
        evaluate_every: rounds between evaluations; the last round is always evaluated.
        keep: the model that is kept: of the ``best`` round on validation rows, or of the ``last``.
        weighting: what an update counts in the mean: ``rows`` or ``clients`` (all alike).
        compression: of updates on their way up: ``fp16`` (2 bytes a number) or ``top_k``.
        keep_fraction: share of the numbers (0-1) that ``top_k`` sends.
        min_gain: gain of the metric below which a round is not better.
    """

    strategy: Literal[
        "fedavg",
        "fedprox",
        "scaffold",
        "fedavgm",
        "fedadam",
        "fedyogi",
        "trimmed_mean",
        "median",
        "krum",
        "norm_clipping",
    ]
    num_rounds: int = Field(default=20, ge=1)
    patience_rounds: int | None = Field(default=None, ge=1)
    metric: Literal["log_loss", "brier", "roc_auc"] = "log_loss"
    hidden: tuple[Layer, ...] = (Layer(units=64, dropout=0.3), Layer(units=32, dropout=0.2))
    linear: bool = False
    frozen_linear: bool = False
    optimizer: Literal["adam", "sgd"] = "adam"
    client_learning_rate: float = Field(default=0.01, gt=0)
    server_learning_rate: float | None = Field(default=None, gt=0)
    server_momentum: float | None = Field(default=None, ge=0, lt=1)
    trim_fraction: float | None = Field(default=None, ge=0, lt=0.5)
    num_byzantine: int | None = Field(default=None, ge=0)
    clip_norm: float | None = Field(default=None, gt=0)
    proximal_mu: float = Field(default=0.0, ge=0)
    batch_size: int = Field(default=8, ge=1)
    num_epochs: int = Field(default=1, ge=1)
    clients_per_round: int | None = Field(default=None, ge=1)
    evaluation_clients: int | None = Field(default=None, ge=1)
    evaluate_every: int = Field(default=1, ge=1)
    keep: Literal["best", "last"] = "best"
    weighting: Literal["rows", "clients"] = "rows"
    compression: Literal["none", "fp16", "top_k"] = "none"
    keep_fraction: float = Field(default=0.1, gt=0, le=1)
    min_gain: float = Field(default=0.0, ge=0)


Phase = Annotated[NewtonPhase | LocalPhase, Field(discriminator="strategy")]


class Recipe(_Record):
    """Encoder and phases; each phase starts from the best model of the one before."""

    name: str
    description: str = ""
    encoder: EncoderSettings = EncoderSettings()
    phases: tuple[Phase, ...] = Field(min_length=1)
