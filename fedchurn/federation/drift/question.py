"""Asks clients for counts of the rows that they have now, and says what drifts at which of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedchurn.contract.schema import Contract
from fedchurn.drift.clients.client_verdicts import (
    ClientWindow,
    FederatedDrift,
    client_references,
    judge_clients,
)
from fedchurn.drift.clients.hidden_counts import likely_window, told_pieces
from fedchurn.drift.clients.noisy_counts import (
    MAX_DEALS,
    largest_noise,
    noisy_p_value,
    noisy_window,
)
from fedchurn.drift.clients.suppression import IntArray
from fedchurn.drift.histogram import Histogram
from fedchurn.drift.reference import DriftReference, ReferenceColumn, read_reference
from fedchurn.drift.verdict import DriftRule, Subject
from fedchurn.encoding.encoder import Encoder
from fedchurn.federation.drift.counts import PREFIX, noisy_groups
from fedchurn.federation.exchange import Exchange, Reply, Request, Scalar
from fedchurn.federation.model_messages import weights_to_arrays
from fedchurn.federation.training.checks import RoundPolicy, accept
from fedchurn.learning.spec import ModelSpec, Weights


@dataclass(frozen=True)
class DriftQuestion:
    """What clients are asked, and what their answers are compared with.

    Attributes:
        contract: the release's.
        stored: content of the release's ``reference.json``.
        encoder, spec, weights: the released model.
        min_cell_rows: k, the fewest rows behind a count.
        epsilon: budget of the noise per client and check; 0 for none.
        reference_min_cell_rows: k of the reference.
    """

    contract: Contract
    stored: Mapping[str, Any]
    encoder: Encoder
    spec: ModelSpec
    weights: Weights
    min_cell_rows: int = 5
    epsilon: float = 0.0
    reference_min_cell_rows: int = 5

    def request(self) -> Request:
        """The same for all clients: of the reference only what all clients have in common."""
        shared = {**self.stored, "clients": {}, "calibration": None}
        config: dict[str, Scalar] = {
            "reference": json.dumps(shared, sort_keys=True),
            "encoder": self.encoder.to_json(),
            "spec": json.dumps(self.spec.to_dict(), sort_keys=True),
            "min_cell_rows": self.min_cell_rows,
            "epsilon": float(self.epsilon),
        }
        return Request("drift", 0, weights_to_arrays(self.spec, [self.weights]), config)


def ask_about_drift(
    exchange: Exchange,
    policy: RoundPolicy,
    question: DriftQuestion,
    rule: DriftRule | None = None,
) -> FederatedDrift:
    """Ask all clients and judge their answers; see ``fedchurn.drift.clients.client_verdicts``.

    Raises:
        QuorumError: too few clients gave a usable answer.
        IntegrityError: the release has no reference by client.
    """
    references = client_references(question.stored, question.contract)
    reader = _Reader.of(question, references, rule)
    replies = exchange.ask(question.request(), timeout_seconds=policy.deadline_seconds)
    windows: dict[str, ClientWindow] = {}
    checked = []
    for reply in replies:
        try:
            if not reply.error and reply.client in references:
                windows[reply.client] = reader.window(reply)
            checked.append(reply)
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            checked.append(replace(reply, error=f"no usable counts: {error}"))
    accepted = accept(checked, policy, what="drift check")
    unknown = {
        reply.client: "took no part in the training of this release"
        for reply in accepted.replies
        if reply.client not in references
    }
    return judge_clients(
        references,
        windows,
        rule,
        absent={**unknown, **accepted.absences, **accepted.quarantined},
        min_cell_rows=question.reference_min_cell_rows,
    )


@dataclass(frozen=True)
class _Reader:
    """Turns replies into windows."""

    question: DriftQuestion
    references: Mapping[str, DriftReference]
    groups: Mapping[str, Any]
    seed: int

    @classmethod
    def of(
        cls,
        question: DriftQuestion,
        references: Mapping[str, DriftReference],
        rule: DriftRule | None,
    ) -> _Reader:
        groups = noisy_groups(read_reference(question.stored, question.contract))
        return cls(question, references, groups, (rule or DriftRule()).seed)

    def window(self, reply: Reply) -> ClientWindow:
        """Raises an error of Python where the reply holds no such counts."""
        num_rows, k = int(reply.numbers["num_rows"]), int(reply.numbers["min_cell_rows"])
        columns = {one.name: one for one in self.references[reply.client].columns}
        if num_rows < 1 or k < 1:
            raise ValueError(f"{num_rows} rows, k = {k}")
        epsilon = self.question.epsilon / max(len(reply.arrays), 1)
        most = num_rows + (largest_noise(epsilon) if epsilon > 0 else 0.0)
        shown = {
            name.removeprefix(PREFIX): _whole_counts(name, counts, num_rows, most)
            for name, counts in reply.arrays.items()
        }
        known = {name: counts for name, counts in shown.items() if name in columns}
        if epsilon > 0:
            return self._noisy(known, columns, num_rows, k, epsilon)
        likely = {n: likely_window(c, columns[n], num_rows, k) for n, c in known.items()}
        told = {name: histogram for name, histogram in likely.items() if histogram is not None}
        pieces = {n: told_pieces(known[n], columns[n]) for n in told}
        pieces_of = {name: begins for name, begins in pieces.items() if begins is not None}
        return ClientWindow(num_rows, _known_labels(told, columns), pieces_of)

    def _noisy(
        self,
        shown: Mapping[str, IntArray],
        columns: Mapping[str, ReferenceColumn],
        num_rows: int,
        k: int,
        epsilon: float,
    ) -> ClientWindow:
        histograms, p_values = {}, {}
        for place, (name, counts) in enumerate(sorted(shown.items())):
            column, groups = columns[name], self.groups[name]
            histograms[name] = noisy_window(counts, column, groups, num_rows)
            p_values[name] = noisy_p_value(
                counts,
                column,
                groups,
                num_rows,
                epsilon,
                k,
                MAX_DEALS,
                np.random.default_rng([self.seed, place]),
            )
        return ClientWindow(num_rows, _known_labels(histograms, columns), p_values=p_values)


def _whole_counts(name: str, counts: NDArray[np.generic], num_rows: int, most: float) -> IntArray:
    if counts.dtype.kind != "i" or counts.ndim != 1 or not len(counts):
        raise ValueError(f"{name} holds no whole numbers in a row")
    whole = counts.astype(np.int64)
    if whole.max() > most:
        raise ValueError(f"{name} counts more than all {num_rows} rows")
    return whole


def _known_labels(
    histograms: Mapping[str, Histogram], columns: Mapping[str, ReferenceColumn]
) -> dict[str, Histogram]:
    """Labels that are not known yet say nothing about churn."""
    return {
        name: Histogram(one.cells, 0.0) if columns[name].subject is Subject.LABEL else one
        for name, one in histograms.items()
    }
