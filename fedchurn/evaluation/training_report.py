"""The training report: one self-contained HTML page about one run, and the record behind it."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from fedchurn.evaluation.artifact import write_artifact
from fedchurn.evaluation.comparison import Comparison, MetricValues, Setting
from fedchurn.evaluation.costs import CostSheet
from fedchurn.evaluation.costs_page import cost_section
from fedchurn.evaluation.fairness import Fairness
from fedchurn.evaluation.fairness_page import fairness_section
from fedchurn.evaluation.personal import Personalisation
from fedchurn.evaluation.personal_page import personal_section
from fedchurn.evaluation.round_table import RoundRow
from fedchurn.evaluation.training_report_page import METRIC_HEADINGS, PAGE, ROUND_HEADINGS

REPORT_FILE = "training_report.html"


@dataclass(frozen=True)
class ClientReport:
    """One client's part in a run.

    Attributes:
        client: name.
        source: where its rows come from (file and sheet, or query).
        data_digest: sha256 of its canonical rows and split.
        rows_in: rows read; used + quarantined + dropped duplicates.
        num_train, num_validation, num_test: rows used, by split.
        metrics: of the federated model on this client's test rows.
        rounds_absent: rounds in which its update was not used.
    """

    client: str
    source: str
    data_digest: str
    rows_in: int
    rows_used: int
    rows_quarantined: int
    rows_dropped_duplicates: int
    num_train: int
    num_validation: int
    num_test: int
    metrics: MetricValues
    rounds_absent: int = 0


@dataclass(frozen=True)
class Absence:
    """Why a client's update was not used in a round."""

    round_num: int
    client: str
    reason: str


@dataclass(frozen=True)
class Verdict:
    """What was decided about the model.

    Attributes:
        outcome: for example ``promoted``, ``refused``, ``archived``; shown as it is.
        reasons: sentences, most important first.
        champion: release that was serving before; empty for none.
    """

    outcome: str
    reasons: tuple[str, ...]
    champion: str = ""


@dataclass(frozen=True)
class TrainingReport:
    """Everything the page says; JSON-ready through ``to_dict``.

    Attributes:
        created_at: ISO 8601 with a UTC offset, given by the caller.
        is_sample: trained on generated rows; the page says so at the top.
        federated: the model of this run on all test rows.
        baselines: what it is compared with: majority, each client alone, pooled models.
        objective: what the threshold was chosen for, in words.
        best_round: the round that was kept.
        decision: None before a decision.
        notes: anything a reader must know, for example why a threshold could not be chosen.
        fairness: how evenly clients are served; None where that is not known per client.
        costs: bytes and seconds of the training.
        personal: models of the clients' own; None where none were asked for.
    """

    title: str
    contract: str
    contract_version: str
    created_at: str
    is_sample: bool
    recipe: str
    seed: int
    settings: Mapping[str, Setting]
    threshold: float
    objective: str
    federated: Comparison
    baselines: tuple[Comparison, ...]
    clients: tuple[ClientReport, ...]
    rounds: tuple[RoundRow, ...]
    best_round: int
    absences: tuple[Absence, ...] = ()
    decision: Verdict | None = None
    release: str = ""
    mlflow_run_id: str = ""
    library_versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fairness: Fairness | None = None
    costs: CostSheet | None = None
    personal: Personalisation | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, texts and numbers; NaN becomes None."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> TrainingReport:
        """The report behind ``to_dict``."""
        values = {f.name: stored[f.name] for f in fields(cls) if f.name in stored}
        decision = stored["decision"]
        return cls(
            **{
                **values,
                "federated": Comparison(**stored["federated"]),
                "baselines": tuple(Comparison(**c) for c in stored["baselines"]),
                "clients": tuple(ClientReport(**c) for c in stored["clients"]),
                "rounds": tuple(RoundRow(**_known(r)) for r in stored["rounds"]),
                "absences": tuple(Absence(**a) for a in stored["absences"]),
                "decision": decision and Verdict(**{**decision, "reasons": _tuple(decision)}),
                "notes": tuple(stored["notes"]),
                "fairness": _known_part(Fairness, stored, "fairness"),
                "costs": _known_part(CostSheet, stored, "costs"),
                "personal": _known_part(Personalisation, stored, "personal"),
            }
        )


@dataclass(frozen=True)
class ReportPlot:
    """A picture in the report.

    Attributes:
        title: its heading; shown above a wide picture (others carry their own).
        description: what it shows, for people who cannot see it.
        image: bytes of an SVG or PNG.
        wide: takes the whole width of the page.
    """

    title: str
    description: str
    image: bytes
    wide: bool = False

    def address(self) -> str:
        """The picture as a ``data:`` address, so that the page needs no other file."""
        kind = "image/png" if self.image.startswith(b"\x89PNG") else "image/svg+xml"
        return f"data:{kind};base64,{base64.b64encode(self.image).decode('ascii')}"


def render_report(report: TrainingReport, plots: Sequence[ReportPlot] = ()) -> str:
    """The page; equal input gives equal text. Every text of the data is escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters.update(
        figure=figure, headline=_headline, count=lambda n: f"{n:,}", signed=_signed
    )
    return environment.from_string(PAGE).render(
        report=report,
        plots=plots,
        metric_headings=METRIC_HEADINGS,
        round_headings=ROUND_HEADINGS,
        price=price_of_privacy(report),
        fairness=fairness_section(report.fairness),
        costs=cost_section(report.costs),
        personal=personal_section(report.personal),
    )


def write_report(report: TrainingReport, folder: Path, plots: Sequence[ReportPlot] = ()) -> Path:
    """Write ``training_report.html`` in ``folder``.

    Raises:
        ReleaseError: the folder cannot be written.
    """
    return write_artifact(folder / REPORT_FILE, render_report(report, plots).encode("utf-8"))


def price_of_privacy(report: TrainingReport) -> dict[str, float]:
    """ROC-AUC of the federated model minus that of each baseline, where both are defined."""
    ours = report.federated.metrics.get("roc_auc")
    gaps: dict[str, float] = {}
    for baseline in report.baselines:
        theirs = baseline.metrics.get("roc_auc")
        if ours is not None and theirs is not None:
            gaps[baseline.name] = float(ours) - float(theirs)
    return gaps


def figure(value: float | int | None) -> str:
    """Three decimals; a dash where a metric is not defined."""
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def _headline(value: float | int | None) -> str:
    return "not defined" if value is None or math.isnan(value) else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: math.nan if value is None else value for name, value in row.items()}


def _known_part(kind: Any, stored: Mapping[str, Any], name: str) -> Any:
    """A part of the report that older records do not have."""
    return kind.from_dict(stored[name]) if stored.get(name) else None


def _tuple(decision: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(decision["reasons"])
