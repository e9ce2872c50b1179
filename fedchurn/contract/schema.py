"""The contract: one frozen record that defines a customer row.

Everything else (cleaning, checks, encoder, request model, form, drift tests, sample) is derived
from it. ``configs/contracts/NAME.yaml`` holds one; ``fedchurn.contract.load`` reads it with clear
errors.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from fedchurn.contract.derived import Derived
from fedchurn.contract.rules import Condition, CrossRule


def _labels(value: object) -> object:
    """Categories as text: YAML may write 1 or '1', rows may hold either."""
    if isinstance(value, list | tuple):
        return tuple(str(item) for item in value)
    return value


Label = Annotated[str, BeforeValidator(lambda v: str(v) if isinstance(v, int | float) else v)]
Labels = Annotated[tuple[str, ...], BeforeValidator(_labels)]
Range = tuple[float, float]


class Record(BaseModel):
    """Base of the contract's parts: frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class SampleShape(Record):
    """How the sample generator draws a column.

    Attributes:
        distribution: normal, lognormal, uniform, poisson or exponential (numbers only).
        mean: mean of a number, in the column's unit.
        spread: standard deviation of a number, in the column's unit.
        weights: share per category, same order as ``categories``.
        effect: change of the churn logit per standard deviation of a number.
        effects: change of the churn logit per category.
        null_effect: change of the churn logit where the value is missing.
    """

    distribution: Literal["normal", "lognormal", "uniform", "poisson", "exponential"] = "normal"
    mean: float | None = None
    spread: float | None = Field(default=None, ge=0)
    weights: tuple[float, ...] | None = None
    effect: float = 0.0
    effects: dict[Label, float] = Field(default_factory=dict)
    null_effect: float = 0.0


class Column(Record):
    """One column of a customer row.

    Attributes:
        kind: ``integer`` or ``number`` (float), ``category`` (closed set of labels) or ``text``
            (open vocabulary, represented by hash buckets).
        categories: labels of a category, in order; required for ``category``.
        aliases: other spellings, each mapped to its label.
        hard: inclusive limits; a value outside is impossible and rejected.
        usual: inclusive range seen in the reference; a value outside is served with a warning.
        nullable: whether the value may be missing.
        null_fraction: share of missing values in the reference (0-1).
        null_fraction_warn: share of missing values that raises a warning (0-1).
        null_tokens: spellings of "missing", beside the empty cell.
        buckets: number of hash buckets of a ``text`` column.
        drift: drift test of the column; None leaves it out.
    """

    kind: Literal["integer", "number", "category", "text"]
    unit: str | None = None
    label: str | None = None
    group: str | None = None
    description: str | None = None
    categories: Labels | None = None
    aliases: dict[Label, Label] = Field(default_factory=dict)
    hard: Range | None = None
    usual: Range | None = None
    decimals: int | None = Field(default=None, ge=0, le=9)
    nullable: bool = False
    null_fraction: float | None = Field(default=None, ge=0, le=1)
    null_fraction_warn: float | None = Field(default=None, ge=0, le=1)
    null_tokens: tuple[str, ...] = ()
    buckets: int = Field(default=32, ge=2, le=4096)
    sensitive: bool = False
    drift: Literal["ks", "chi_squared"] | None = None
    sample: SampleShape | None = None

    @property
    def is_number(self) -> bool:
        return self.kind in ("integer", "number")

    @property
    def integer_categories(self) -> bool:
        """Whether every label is a whole number, so that rows may hold 1, 1.0 or '1'."""
        return bool(self.categories) and all(_whole(c) for c in self.categories or ())


def _whole(text: str) -> bool:
    return text.lstrip("-").isdigit()


class Source(Record):
    """Where the reference table comes from, and how such files are read."""

    format: Literal["xlsx", "csv", "parquet", "sql"] = "csv"
    sheet: str | None = None
    delimiter: str = ","
    file: str | None = None
    rows: int | None = Field(default=None, ge=1)
    sha256: str | None = None
    origin: str | None = None


class Identifier(Record):
    """The column that names a customer; dropped before anything is learned."""

    column: str
    pattern: str | None = None
    unique: bool = True


class Target(Record):
    """The label to predict: ``positive`` is churn."""

    column: str
    positive: Label
    negative: Label
    rate: float | None = Field(default=None, gt=0, lt=1)
    rate_warn: Range | None = None


class DatasetRules(Record):
    """Rules about a whole table rather than a row.

    ``copy_tolerance_columns`` are left out when near copies are compared (they were altered between
    copies); see ``fedchurn.data.copies``.
    """

    min_rows: int = Field(default=40, ge=1)
    min_positives: int = Field(default=8, ge=1)
    max_duplicate_fraction_warn: float = Field(default=0.02, ge=0, le=1)
    extra_columns: Literal["ignore", "reject"] = "ignore"
    unknown_category: Literal["reject", "keep_as_unknown"] = "reject"


class RiskBand(Record):
    """A band of churn probability; the last band has no upper limit."""

    name: str
    below: float | None = Field(default=None, gt=0, le=1)
    recommendations: tuple[str, ...] = ()


class FallbackRule(Record):
    """Adds ``add`` to the base rate when the condition holds."""

    when: tuple[Condition, ...]
    add: float = Field(ge=-1, le=1)
    reason: str


class Fallback(Record):
    """The last resort: base rate plus the rules that hold, clipped to ``max_probability``."""

    base_rate: float = Field(gt=0, lt=1)
    max_probability: float = Field(default=0.95, gt=0, le=1)
    rules: tuple[FallbackRule, ...] = ()


class Scenario(Record):
    """A named drift: ranges for numbers (uniform), labels for categories, and where they apply.

    A category may name one label (all rows take it) or give weights per label.
    """

    description: str = ""
    ranges: dict[str, Range] = Field(default_factory=dict)
    scale: dict[str, float] = Field(default_factory=dict)
    weights: dict[str, dict[Label, float]] = Field(default_factory=dict)
    null_fraction: dict[str, float] = Field(default_factory=dict)


class SampleRules(Record):
    """Table-level shape of the generated sample."""

    rows: int = Field(default=3000, ge=50)
    exact_duplicate_fraction: float = Field(default=0.0, ge=0, le=0.5)
    near_copy_fraction: float = Field(default=0.0, ge=0, le=0.5)
    alias_fraction: float = Field(default=0.0, ge=0, le=1)
    noise: float = Field(default=0.5, ge=0)
    silo_effect: float = Field(default=0.0, ge=0)
    scenarios: dict[str, Scenario] = Field(default_factory=dict)


class Contract(Record):
    """A whole contract; see the module docstring.

    ``explain_by_default``: whether the service explains the answer about one customer when the
    caller does not say.
    """

    contract: str = Field(pattern=r"^[a-z][a-z0-9_-]*$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    title: str = ""
    description: str = ""
    source: Source = Source()
    id: Identifier | None = None
    target: Target
    silo_column: str | None = None
    value_column: str | None = None
    columns: dict[str, Column] = Field(min_length=1)
    derived: dict[str, Derived] = Field(default_factory=dict)
    rules: tuple[CrossRule, ...] = ()
    dataset: DatasetRules = DatasetRules()
    risk_bands: tuple[RiskBand, ...] = (
        RiskBand(name="Low", below=0.4),
        RiskBand(name="Medium", below=0.7),
        RiskBand(name="High"),
    )
    driver_recommendations: dict[str, str] = Field(default_factory=dict)
    fallback: Fallback | None = None
    explain_by_default: bool = False
    sample: SampleRules = SampleRules()
    shared: Any = Field(default=None, exclude=True, description="Place for YAML anchors; ignored.")

    @property
    def number_columns(self) -> tuple[str, ...]:
        return tuple(n for n, c in self.columns.items() if c.is_number)

    @property
    def coded_columns(self) -> tuple[str, ...]:
        """Columns represented by integer codes: categories and texts."""
        return tuple(n for n, c in self.columns.items() if not c.is_number)
