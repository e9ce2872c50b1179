"""All settings of a run, in one frozen record with one source of defaults.

Layers, later ones win: defaults here, ``configs/recipes/RECIPE.yaml`` (under ``training``), the
places named by ``FEDCHURN_HOME`` and ``MLFLOW_TRACKING_URI``, the file given by ``--config``, then
each ``--set key.sub=value``. Secrets are not settings: they come from the environment, where the
library that needs them looks for them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from fedchurn.learning.recipe import Recipe
from fedchurn.privacy.policy import PrivacySettings
from fedchurn.registry.policy import PromotionPolicy
from fedchurn.retraining.policy import RetrainPolicy
from fedchurn.settings_personal import PersonalisationSettings
from fedchurn.settings_secure import SecureSettings
from fedchurn.settings_superlink import SuperlinkSettings

SIMULATED_CLIENTS = 20  # from so many on, clients dealt by chance are trained together


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataSettings(_Record):
    """Where rows come from, and how one table is dealt to clients.

    Attributes:
        location: file (xlsx, csv, parquet), SQLAlchemy URL, or ``env:NAME`` for an environment
            variable that holds one (URLs with passwords); None is the shipped sample.
        sheet: sheet of an xlsx file; the contract's by default.
        query: SQL query, when ``location`` is a URL.
        clients: one file per client, instead of ``location``; a client is named after its file.
        scheme: how one table becomes clients: ``silo`` (by a column), ``iid`` or ``dirichlet``.
        silo_column: column of the ``silo`` scheme; the contract's by default.
        num_clients: clients of the ``iid`` and ``dirichlet`` schemes.
        alpha: Dirichlet concentration; small is skewed.
    """

    location: str | None = None
    sheet: str | None = None
    query: str | None = None
    clients: tuple[str, ...] = ()
    scheme: Literal["silo", "iid", "dirichlet"] = "silo"
    silo_column: str | None = None
    num_clients: int = Field(default=3, ge=1, le=10_000)
    alpha: float = Field(default=0.5, gt=0)

    @property
    def deals_to_many(self) -> bool:
        """Whether one table is dealt by chance to so many clients that they are simulated."""
        by_chance = self.scheme != "silo" and not self.clients
        return by_chance and self.num_clients >= SIMULATED_CLIENTS


class QualitySettings(_Record):
    """What happens to rows that break an error-level check.

    Attributes:
        mode: ``block`` stops the run; ``quarantine`` sets the rows aside and goes on.
        drop_exact_duplicates: drop rows that repeat another one, id included.
    """

    mode: Literal["block", "quarantine"] = "block"
    drop_exact_duplicates: bool = True


class SplitSettings(_Record):
    """Shares of customers held out, 0-1; copies of one customer stay together.

    Attributes:
        seed: of dealing and splitting. Leave it: a retrain with another one would test the champion
            on customers that it was trained on.
    """

    seed: int = Field(default=2026, ge=0)
    validation_fraction: float = Field(default=0.15, gt=0, lt=0.5)
    test_fraction: float = Field(default=0.2, gt=0, lt=0.5)


class FederationSettings(_Record):
    """How clients are reached, and when a round counts.

    Attributes:
        engine: ``inprocess``; ``simulation`` (many simulated clients in one compiled step); ``ray``
            (Flower's simulation); ``superlink`` (clients on hosts of their own); ``auto`` takes
            ``simulation`` where one table is dealt to 20 clients or more by chance, and
            ``inprocess`` elsewhere.
        quorum_fraction: share of clients whose usable answer a round needs (0-1).
        deadline_seconds: how long a question waits for answers.
        max_norm_ratio: an update this many times the median norm is refused.
        max_rows_ratio: a client that claims this many times the median number of rows is refused.
        audit: ``sums`` looks for clients whose answers contradict themselves or most others;
            ``models`` also has clients score each other's local models; ``off`` does neither.
        min_cell_rows: smallest number of rows behind a reported count (k).
        secure: masked sums; see ``SecureSettings``.
        superlink: where the link of the engine ``superlink`` is.
    """

    engine: Literal["auto", "inprocess", "simulation", "ray", "superlink"] = "auto"
    quorum_fraction: float = Field(default=1.0, gt=0, le=1)
    deadline_seconds: float = Field(default=600.0, gt=0)
    max_norm_ratio: float = Field(default=50.0, gt=1)
    max_rows_ratio: float = Field(default=1000.0, gt=1)
    audit: Literal["off", "sums", "models"] = "sums"
    min_cell_rows: int = Field(default=5, ge=1)
    superlink: SuperlinkSettings = SuperlinkSettings()
    secure: SecureSettings = SecureSettings()


class EvaluationSettings(_Record):
    """How the model is judged.

    Attributes:
        objective: what the decision threshold is chosen for, on validation rows.
        false_negative_cost: cost of a churner not called one (objective ``cost``).
        false_positive_cost: cost of a loyal customer called a churner (objective ``cost``).
        top_share: share of customers to call (objective ``top_share``).
        threshold: the threshold (objective ``fixed``).
        baselines: train the pooled and each-client-alone baselines beside the model; only possible
            where one process holds all rows.
        thorough: larger grids for the pooled baselines.
    """

    objective: Literal["f1", "cost", "top_share", "accuracy", "fixed"] = "f1"
    false_negative_cost: float = Field(default=5.0, ge=0)
    false_positive_cost: float = Field(default=1.0, ge=0)
    top_share: float = Field(default=0.2, gt=0, lt=1)
    threshold: float = Field(default=0.5, gt=0, lt=1)
    baselines: bool = True
    thorough: bool = False


class TrackingSettings(_Record):
    """MLflow.

    Attributes:
        uri: tracking URI; None is ``sqlite:///HOME/mlflow.db``.
        experiment: experiment name.
        model_name: registered model; None is ``churn_prediction_model`` for the default contract
            and ``churn_prediction_model_CONTRACT`` for others, so that contracts never compete.
    """

    uri: str | None = None
    experiment: str = "federated_churn_prediction"
    model_name: str | None = None


class PackagingSettings(_Record):
    """Making bentos.

    Attributes:
        after_promotion: package what is in production when a training or promotion flow ends.
    """

    after_promotion: bool = True


class DriftSettings(_Record):
    """What is promised about drift alarms; training calibrates the release to it.

    Attributes:
        false_alarms_per_year: alarms that may come in a year in which nothing drifts.
        checks_per_day: how often the drift runner looks; its schedule is in prefect.yaml.
        window_rows: sizes of windows, in customers, that thresholds are learned for.
        num_flagged, num_windows: a column that is flagged in this many of the last windows drifts.
        min_rows: a smaller window gets no verdict; its rows wait for more.
        max_window_rows: a window holds at most this many predictions.
        rule: ``calibrated`` (by the release; default thresholds where it is not), or ``online``:
            what a reference system does, 39 % false alarms (``fedchurn.drift.online``).
        log_folder: where the service logs predictions, if not under home.
        client_epsilon: budget of the noise that each client adds to its counts, per check of the
            clients' own rows; 0 for none.
    """

    false_alarms_per_year: float = Field(default=1.0, gt=0)
    checks_per_day: float = Field(default=24.0, gt=0, le=24 * 60)
    window_rows: tuple[Annotated[int, Field(ge=10)], ...] = Field(
        default=(50, 200, 1000), min_length=1
    )
    num_flagged: int = Field(default=2, ge=1)
    num_windows: int = Field(default=3, ge=1, validate_default=True)
    min_rows: int = Field(default=50, ge=10)
    max_window_rows: int = Field(default=100_000, ge=50, validate_default=True)
    rule: Literal["calibrated", "online"] = "calibrated"
    log_folder: Path | None = None
    client_epsilon: float = Field(default=0.0, ge=0)

    @field_validator("num_windows", "max_window_rows")
    @classmethod
    def _not_below(cls, value: int, info: ValidationInfo) -> int:
        other = {"num_windows": "num_flagged", "max_window_rows": "min_rows"}[str(info.field_name)]
        if value < info.data.get(other, value):
            raise ValueError(f"less than {other}, which is {info.data[other]}")
        return value


class FeedbackSettings(_Record):
    """Which labels count, and when a drop of live figures is called decay.

    Attributes:
        maturity_days: a label counts when its prediction is at least this old. Churners are seen at
            once and loyal customers only when this time is over, so younger labels would be mostly
            churn.
        window_days: mature predictions of so many days count.
        min_labels: fewer customers with a mature label get no verdict.
        min_figure_labels: fewer get no figures either.
        min_drop: smallest drop of accuracy or AUC, or rise of the Brier score, worth a word.
        false_alarms_per_year: decay that may be called in a year in which nothing decays, by the
            runner's schedule (``drift.checks_per_day``).
    """

    maturity_days: float = Field(default=30.0, ge=0, le=3650)
    window_days: float = Field(default=90.0, gt=0, le=3650)
    min_labels: int = Field(default=100, ge=10)
    min_figure_labels: int = Field(default=30, ge=1)
    min_drop: float = Field(default=0.02, ge=0, lt=1)
    false_alarms_per_year: float = Field(default=1.0, gt=0)


class Settings(_Record):
    """See the module docstring.

    Attributes:
        contract: name or path of the contract.
        home: folder for everything that a run writes.
        seed: of training.
        recipe: name of a recipe in ``configs/recipes``.
        training: the recipe itself, after overrides.
    """

    contract: str = "ecommerce"
    home: Path = Path(".fedchurn")
    seed: int = 2026
    recipe: str = "additive"
    training: Recipe
    data: DataSettings = DataSettings()
    quality: QualitySettings = QualitySettings()
    split: SplitSettings = SplitSettings()
    federation: FederationSettings = FederationSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    tracking: TrackingSettings = TrackingSettings()
    promotion: PromotionPolicy = PromotionPolicy()
    packaging: PackagingSettings = PackagingSettings()
    drift: DriftSettings = DriftSettings()
    retraining: RetrainPolicy = RetrainPolicy()
    feedback: FeedbackSettings = FeedbackSettings()
    privacy: PrivacySettings = PrivacySettings()
    personalisation: PersonalisationSettings = PersonalisationSettings()

    @property
    def engine(self) -> str:
        """The federation's engine, ``auto`` resolved."""
        if self.federation.engine != "auto":
            return self.federation.engine
        return "simulation" if self.data.deals_to_many else "inprocess"

    @property
    def tracking_uri(self) -> str:
        """The tracking URI with the embedded default filled in, absolute."""
        return self.tracking.uri or f"sqlite:///{self.home.resolve() / 'mlflow.db'}"

    def model_name(self, contract_name: str) -> str:
        """The registered model of a contract; see ``TrackingSettings.model_name``."""
        if self.tracking.model_name:
            return self.tracking.model_name
        default = Settings.model_fields["contract"].default
        suffix = "" if contract_name == default else f"_{contract_name}"
        return f"churn_prediction_model{suffix}"

    def published(self) -> dict[str, Any]:
        """JSON-ready settings of the model, without places of this machine: for cards."""
        beside: dict[str, Any] = dict.fromkeys(
            ("home", "tracking", "packaging", "retraining", "feedback"), True
        )
        beside["drift"] = {"log_folder"}
        beside["federation"] = {"superlink"}
        plain = self.model_dump(mode="json", exclude=beside)
        plain["data"] = {
            name: value
            for name, value in plain["data"].items()
            if name not in ("location", "clients", "query", "sheet")
        }
        return plain
