"""Which clients drift, and in what: every client's window against that client's own reference.

Columns are adjusted within a client, and clients among each other (Benjamini, Bogomolov 2014),
so the level is the chance that anything is called out while nothing drifts anywhere, however many
clients there are. Over all columns of all clients at once, twenty drifting columns of one client
would buy its quiet neighbours twenty times their chance of being named.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.schema import Contract
from fedchurn.drift.check import Compared, compare, judge
from fedchurn.drift.clients.hidden_counts import in_pieces, likely_reference
from fedchurn.drift.comparing.adjustment import benjamini_hochberg
from fedchurn.drift.comparing.effects import effects_between
from fedchurn.drift.histogram import Histogram
from fedchurn.drift.reference import DriftReference, ReferenceColumn, read_reference
from fedchurn.drift.verdict import (
    LABEL_COLUMN,
    ColumnDrift,
    ColumnTest,
    DriftRule,
    Subject,
    Verdict,
)

MIN_CELL_ROWS = 5  # k of references that do not say theirs

_RANK = (Verdict.TOO_FEW_ROWS, Verdict.NONE, Verdict.WARNING, Verdict.DRIFT)


class Extent(StrEnum):
    """How many of the clients that could be judged are called out."""

    NONE = "none"
    SOME = "some"
    ALL = "all"


@dataclass(frozen=True)
class ClientWindow:
    """A client's rows, reduced to counts.

    Attributes:
        num_rows: customers.
        histograms: by column, over the cells of the client's reference; columns that are not in it
            are left out.
        pieces: first cells of what was told as one count, of numbers; the test is as coarse.
        p_values: of columns that were tested already, because their counts hold noise.
    """

    num_rows: int
    histograms: Mapping[str, Histogram]
    pieces: Mapping[str, NDArray[np.intp]] = field(default_factory=dict)
    p_values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ClientDrift:
    """What was found at one client.

    Attributes:
        client: its name.
        verdict: the worst of the columns.
        kind: what drifted, in words: ``covariate``, ``covariate and label``, ...; empty for
            nothing.
        num_reference_rows: training rows behind its reference.
        num_window_rows: customers that were looked at.
        columns: one record per tested column; adjusted over all clients.
        left_out: columns that could not be tested.
    """

    client: str
    verdict: Verdict
    kind: str
    num_reference_rows: int
    num_window_rows: int
    columns: tuple[ColumnDrift, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def flagged(self) -> tuple[str, ...]:
        """Columns that this window alone warns of."""
        return tuple(column.column for column in self.columns if column.flagged)

    def called_out(self, verdict: Verdict) -> tuple[ColumnDrift, ...]:
        """Columns with this verdict, the strongest first."""
        found = [column for column in self.columns if column.verdict is verdict]
        return tuple(sorted(found, key=lambda column: (column.p_value, -column.score)))


@dataclass(frozen=True)
class FederatedDrift:
    """The result of one check of all clients.

    Attributes:
        verdict: the worst of the clients.
        extent: whether none, some or all of the clients that could be judged are called out with
            that verdict.
        named: those clients.
        kind: what drifted there, in words.
        clients: one record per client that answered, by name.
        absent: why other clients have no record, by name.
        rule: when a difference is called drift.
    """

    verdict: Verdict
    extent: Extent
    named: tuple[str, ...]
    kind: str
    clients: tuple[ClientDrift, ...]
    absent: Mapping[str, str]
    rule: DriftRule

    @property
    def summary(self) -> str:
        """The whole in one sentence."""
        judged = [one for one in self.clients if one.verdict is not Verdict.TOO_FEW_ROWS]
        if not judged:
            said = "No client has enough rows to be judged"
        elif not self.named:
            said = f"No drift at any of {len(judged)} clients"
        else:
            kind = self.kind.capitalize()
            what = "drift" if self.verdict is Verdict.DRIFT else "warning"
            who = "all" if self.extent is Extent.ALL else f"{len(self.named)} of"
            said = f"{kind} {what} at {who} {len(judged)} clients: "
            said += "; ".join(self._told(one) for one in judged if one.client in self.named)
        few = [one.client for one in self.clients if one.verdict is Verdict.TOO_FEW_ROWS]
        said += f"; too few rows: {', '.join(few)}" if few and judged else ""
        return said + (f"; absent: {', '.join(self.absent)}." if self.absent else ".")

    def _told(self, one: ClientDrift) -> str:
        names = [column.column for column in one.called_out(self.verdict)]
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        return f"{one.client} ({', '.join(names[:3])}{more})"

    def to_dict(self) -> dict[str, Any]:
        """The whole record, JSON-ready."""
        clients = [{**asdict(one), "flagged": list(one.flagged)} for one in self.clients]
        return {**asdict(self), "clients": clients, "summary": self.summary}


def client_references(stored: Mapping[str, Any], contract: Contract) -> dict[str, DriftReference]:
    """Every client's own reference in a release's ``reference.json``, with its labels.

    Raises:
        IntegrityError: the content is of another format, or lacks a column.
    """
    found = {}
    for client, part in stored.get("clients", {}).items():
        reference = read_reference(stored, contract, client=client)
        columns = (*reference.columns, *_label_column(part, reference))
        found[client] = replace(reference, columns=columns)
    return found


def label_column(num_negative: float, num_positive: float) -> ReferenceColumn:
    """What happened to customers, as a category: no churn, churn, unknown."""
    cells = np.array([num_negative, num_positive, 0.0])
    return ReferenceColumn(
        LABEL_COLUMN, Subject.LABEL, ColumnTest.CHI_SQUARED, None, Histogram(cells, 0.0)
    )


def _label_column(
    part: Mapping[str, Any], reference: DriftReference
) -> tuple[ReferenceColumn, ...]:
    taken = any(column.name == LABEL_COLUMN for column in reference.columns)
    if taken or "num_positive" not in part or not reference.num_rows:
        return ()
    num_positive = float(part["num_positive"])
    known = float(part.get("num_effective_rows", reference.num_rows)) / reference.num_rows
    column = label_column(reference.num_rows - num_positive, num_positive)
    return (replace(column, effective_fraction=known),)


def judge_clients(
    references: Mapping[str, DriftReference],
    windows: Mapping[str, ClientWindow],
    rule: DriftRule | None = None,
    *,
    absent: Mapping[str, str] | None = None,
    earlier: Mapping[str, Sequence[Collection[str]]] | None = None,
    min_cell_rows: int = MIN_CELL_ROWS,
) -> FederatedDrift:
    """Judge every client's window against its own reference.

    Args:
        references: from ``client_references``.
        windows: by client; a client without a reference becomes an absent one.
        rule: when a difference is called drift; by default the strictest of those that the
            references have for such windows.
        absent: why clients gave no window; those of whom nothing is said are added.
        earlier: per client the columns that each earlier window flagged, oldest first; of the same
            release, and without rows of this one.
        min_cell_rows: k of the references: counts below it are not in them.
    """
    known = {client: windows[client] for client in sorted(windows) if client in references}
    rule = rule or _strictest(references, known)
    # Among more tests only smaller p-values count, and it takes more deals to tell them.
    dealing = replace(rule, max_deals=rule.max_deals * max(len(known), 1))
    looked_at = {c: _compared(references[c], w, dealing, min_cell_rows) for c, w in known.items()}
    adjusted = adjusted_by_client(
        {client: [one.p_value for one in found] for client, found in looked_at.items()}
    )
    clients = []
    for client, found in looked_at.items():
        flags = _last((earlier or {}).get(client, ()), rule.num_windows - 1)
        pairs = zip(found, adjusted[client], strict=True)
        columns = tuple(judge(one, p, rule, flags) for one, p in pairs)
        clients.append(_client(client, references[client], known[client], columns))
    return _concluded(tuple(clients), rule, _absences(references, windows, absent or {}))


def adjusted_by_client(p_values: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """Adjusted p-values of every client's columns; clients without any take no part.

    Within a client as by Benjamini and Hochberg (1995). Its smallest one is that client's p-value
    (Simes 1986), and all are raised by the factor by which adjusting among clients raises it.

    >>> adjusted_by_client({"a": [0.001, 0.5], "b": [0.4, 0.5]})
    {'a': [0.004, 1.0], 'b': [0.5, 0.5]}
    """
    within = {client: benjamini_hochberg(found) for client, found in p_values.items()}
    smallest = {client: min(found) for client, found in within.items() if found}
    among = dict(zip(smallest, benjamini_hochberg(list(smallest.values())), strict=True))
    factors = {client: among[client] / smallest[client] for client in smallest}
    return {
        client: [min(1.0, p * factors[client]) for p in found] for client, found in within.items()
    }


def _last(earlier: Sequence[Collection[str]], num_windows: int) -> Sequence[Collection[str]]:
    return earlier[-num_windows:] if num_windows > 0 else ()


def _strictest(
    references: Mapping[str, DriftReference], windows: Mapping[str, ClientWindow]
) -> DriftRule:
    rules = [references[client].rule(window.num_rows) for client, window in windows.items()]
    if not rules:
        return DriftRule()
    level = min(rule.level for rule in rules)
    return replace(rules[0], level=level, warning_level=min(rule.warning_level for rule in rules))


def _compared(
    reference: DriftReference, window: ClientWindow, rule: DriftRule, min_cell_rows: int
) -> list[Compared]:
    if window.num_rows < rule.min_rows:
        return []
    found = []
    for column in reference.columns:
        histogram = window.histograms.get(column.name)
        if histogram is None:
            continue
        likely = likely_reference(column, histogram, min_cell_rows)
        one = _compare(likely, histogram, window.pieces.get(column.name), rule)
        found.append(replace(one, p_value=window.p_values.get(column.name, one.p_value)))
    return found


def _compare(
    column: ReferenceColumn,
    window: Histogram,
    pieces: NDArray[np.intp] | None,
    rule: DriftRule,
) -> Compared:
    if pieces is None or len(pieces) < 2:
        return compare(column, window, rule)
    found = compare(*in_pieces(column, window, pieces), rule)
    effects = effects_between(window, column.histogram, column.test, column.edges)
    return replace(found, column=column, effects=effects)


def _client(
    client: str,
    reference: DriftReference,
    window: ClientWindow,
    columns: tuple[ColumnDrift, ...],
) -> ClientDrift:
    worst = max((c.verdict for c in columns), key=_RANK.index, default=Verdict.TOO_FEW_ROWS)
    tested = {column.column for column in columns}
    left_out = tuple(one.name for one in reference.columns if one.name not in tested)
    kind = _kind(columns, worst)
    facts = (reference.num_rows, window.num_rows, columns, left_out)
    return ClientDrift(client, worst, kind, *facts)


def _kind(columns: Sequence[ColumnDrift], verdict: Verdict) -> str:
    """Subjects of the columns with this verdict, joined by "and"."""
    if verdict not in (Verdict.WARNING, Verdict.DRIFT):
        return ""
    found = {column.subject for column in columns if column.verdict is verdict}
    return " and ".join(subject for subject in Subject if subject in found)


def _concluded(
    clients: tuple[ClientDrift, ...], rule: DriftRule, absent: Mapping[str, str]
) -> FederatedDrift:
    worst = max((one.verdict for one in clients), key=_RANK.index, default=Verdict.TOO_FEW_ROWS)
    if worst not in (Verdict.WARNING, Verdict.DRIFT):
        return FederatedDrift(worst, Extent.NONE, (), "", clients, absent, rule)
    named = tuple(one.client for one in clients if one.verdict is worst)
    num_judged = sum(one.verdict is not Verdict.TOO_FEW_ROWS for one in clients)
    extent = Extent.ALL if len(named) == num_judged else Extent.SOME
    kind = _kind([column for one in clients for column in one.columns], worst)
    return FederatedDrift(worst, extent, named, kind, clients, absent, rule)


def _absences(
    references: Mapping[str, DriftReference],
    windows: Mapping[str, ClientWindow],
    given: Mapping[str, str],
) -> dict[str, str]:
    reasons = {client: "sent nothing" for client in references if client not in windows}
    unknown = "took no part in the training of this release"
    reasons |= {client: unknown for client in windows if client not in references}
    reasons |= given
    return dict(sorted(reasons.items()))
