"""Scores logged predictions again: what would another release have said, and did the release that a
line names really say what stands there?"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from fedchurn.contract.derived import Derived
from fedchurn.contract.schema import Contract
from fedchurn.errors import SourceError
from fedchurn.release.scorer import Scorer
from fedchurn.serving.fallback.rules import base_rate, rule_probability
from fedchurn.serving.log.log_lines import LoggedPrediction
from fedchurn.serving.records import BASE_RATE, CHALLENGER, CHAMPION, FALLBACK_MODEL, RULES
from fedchurn.serving.served_release import ServedRelease

TOLERANCE = 1e-6
_CHUNK_ROWS = 1000


class ReplayedRow(NamedTuple):
    """One logged prediction beside what the release says now.

    Attributes:
        time_seconds: Unix time of the logged answer.
        release: release that answered then.
        model_used: which of its models.
        logged_probability, logged_prediction, logged_risk_level: what it said.
        probability, prediction, risk_level: what the replayed release's model says.
        is_same: for a row of the replayed release itself, whether it gives the logged probability
            within 1e-6; None for other rows, and where that cannot be worked out.
    """

    prediction_id: str
    time_seconds: float
    release: str
    model_used: str
    logged_probability: float
    probability: float
    logged_prediction: int
    prediction: int
    logged_risk_level: str
    risk_level: str
    is_same: bool | None

    @property
    def difference(self) -> float:
        """Change of the probability."""
        return self.probability - self.logged_probability


@dataclass(frozen=True)
class ReplayReport:
    """What a replay found.

    Attributes:
        release: the release that was replayed.
        num_rows: rows that it scored.
        skipped: rows that it could not score, by reason.
        releases: rows per release that had answered them.
        mean_absolute_difference: of the probability; None without rows, as the next two.
        decision_changed_fraction: share of rows whose prediction is another one (0-1).
        band_changed_fraction: share of rows whose risk band is another one (0-1).
        largest: prediction ids and differences, largest first.
        num_same_release: rows that the replayed release had answered itself, and whose answer could
            be worked out again.
        num_not_same: those of them whose logged probability it does not give within 1e-6.
        not_same: prediction ids of the first of those.
    """

    release: str
    num_rows: int
    skipped: dict[str, int]
    releases: dict[str, int]
    mean_absolute_difference: float | None
    decision_changed_fraction: float | None
    band_changed_fraction: float | None
    largest: tuple[tuple[str, float], ...]
    num_same_release: int
    num_not_same: int
    not_same: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)


class Replay:
    """Replays predictions with one release; memory does not grow with their number.

    Args:
        served: the release, ready to answer.
        num_largest: how many prediction ids the report names of each kind.
    """

    def __init__(self, served: ServedRelease, *, num_largest: int = 10) -> None:
        self._served = served
        self._num_largest = num_largest
        self._needed = needed_columns(served.release.model)
        self._order = itertools.count()
        self._largest: list[tuple[float, int, ReplayedRow]] = []
        self._skipped: Counter[str] = Counter()
        self._releases: Counter[str] = Counter()
        self._num_decisions = self._num_bands = self._num_same_release = self._num_not_same = 0
        self._not_same: list[str] = []
        self._sum_absolute = 0.0

    def rows(self, predictions: Iterable[LoggedPrediction]) -> Iterator[ReplayedRow]:
        """Score ``predictions``, chunk by chunk, and hand each row on.

        Raises:
            SourceError: a prediction is of another contract than the release.
            ValidationFailed: a logged value cannot be one of the release's columns.
        """
        stream = iter(predictions)
        while chunk := list(itertools.islice(stream, _CHUNK_ROWS)):
            for row in self._scored([found for found in chunk if self._is_usable(found)]):
                self._count(row)
                yield row

    def report(self) -> ReplayReport:
        """What was found in the rows so far."""
        num_rows = sum(self._releases.values())
        largest = sorted(self._largest, reverse=True)
        return ReplayReport(
            release=self._served.release_id,
            num_rows=num_rows,
            skipped=dict(self._skipped),
            releases=dict(self._releases),
            mean_absolute_difference=self._sum_absolute / num_rows if num_rows else None,
            decision_changed_fraction=self._num_decisions / num_rows if num_rows else None,
            band_changed_fraction=self._num_bands / num_rows if num_rows else None,
            largest=tuple((row.prediction_id, row.difference) for _, _, row in largest),
            num_same_release=self._num_same_release,
            num_not_same=self._num_not_same,
            not_same=tuple(self._not_same),
        )

    def _is_usable(self, found: LoggedPrediction) -> bool:
        contract = self._served.contract.contract
        schema = found.schema
        if schema is None or schema.contract != contract:
            raise SourceError(
                f"prediction {found.prediction_id} is of contract "
                f"{schema.contract if schema else None!r}, the release of {contract!r}",
                next_step=f"replay it with a release of its own contract, or a log of {contract}",
            )
        lacking = [name for name in self._needed if name not in schema.columns]
        if lacking:
            why = "masked" if set(lacking) <= set(schema.masked) else "not logged"
            self._skipped[f"{', '.join(lacking)}: {why}"] += 1
        return not lacking

    def _scored(self, chunk: Sequence[LoggedPrediction]) -> Iterator[ReplayedRow]:
        if not chunk:
            return
        for found, number in zip(
            chunk, self._served.model.many([f.row() for f in chunk]), strict=True
        ):
            probability = float(number)
            if not math.isfinite(probability):
                self._skipped["the release gives no finite probability"] += 1
                continue
            yield ReplayedRow(
                prediction_id=found.prediction_id,
                time_seconds=found.time_seconds,
                release=found.release,
                model_used=found.model_used,
                logged_probability=found.probability,
                probability=probability,
                logged_prediction=found.prediction,
                prediction=int(probability >= self._served.threshold),
                logged_risk_level=found.risk_level,
                risk_level=self._served.band(probability).name,
                is_same=self._is_same(found, probability),
            )

    def _is_same(self, found: LoggedPrediction, by_model: float) -> bool | None:
        if found.release != self._served.release_id:
            return None
        again = self._again(found, by_model)
        return None if again is None else abs(again - found.probability) <= TOLERANCE

    def _again(self, found: LoggedPrediction, by_model: float) -> float | None:
        """What the part of the release that answered then says now, where that can be known."""
        served = self._served
        masked = found.schema.masked if found.schema else ()
        if found.model_used in (CHAMPION, CHALLENGER):
            return by_model
        if found.model_used == BASE_RATE:
            return base_rate(served.contract)
        if any(name in served.contract.columns for name in masked):
            return None
        if found.model_used == RULES:
            return rule_probability(served.contract, found.row())
        if found.model_used == FALLBACK_MODEL and served.fallback is not None:
            return served.fallback.one(found.row())
        return None

    def _count(self, row: ReplayedRow) -> None:
        self._releases[row.release] += 1
        self._sum_absolute += abs(row.difference)
        self._num_decisions += row.prediction != row.logged_prediction
        self._num_bands += row.risk_level != row.logged_risk_level
        self._num_same_release += row.is_same is not None
        if row.is_same is False:
            self._num_not_same += 1
            self._not_same += [row.prediction_id][: self._num_largest - len(self._not_same)]
        heapq.heappush(self._largest, (abs(row.difference), -next(self._order), row))
        if len(self._largest) > self._num_largest:
            heapq.heappop(self._largest)


def needed_columns(scorer: Scorer) -> tuple[str, ...]:
    """Contract columns that a model looks at, itself or through derived features."""
    contract: Contract = scorer.contract
    wanted = {encoding.name for encoding in scorer.encoder.encodings}
    for name, operation in reversed(contract.derived.items()):
        if name in wanted:
            wanted |= _sources(operation)
    return tuple(name for name in contract.columns if name in wanted)


def _sources(operation: Derived) -> set[str]:
    """Names of the columns that a derived feature is made of."""
    facts = operation.model_dump()
    single = {facts[key] for key in ("numerator", "denominator", "column") if key in facts}
    return single | set(facts.get("columns", ()))
