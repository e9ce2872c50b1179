"""All that speaks for or against a window, and the one verdict that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedchurn.drift.clients.client_verdicts import FederatedDrift
from fedchurn.drift.verdict import DriftVerdict, Verdict
from fedchurn.loop.watching.client_windows import flags_by_client
from fedchurn.loop.watching.performance import PERFORMANCE, verdict_by_labels

_RANK = (Verdict.NONE, Verdict.WARNING, Verdict.DRIFT)
_CLIENT = "client"


@dataclass(frozen=True)
class Evidence:
    """What was found in one window.

    The release promises how rarely columns of all customers together are called drift; so a client
    that drifts by itself, or an estimate, raises the verdict to a warning at most. Labels that show
    decay are drift.

    Attributes:
        drift: columns of all customers together.
        clients: the same by client, or None.
        estimated: what the figures should be (``EstimatedPerformance``), or None.
        by_labels: what mature labels say (``PerformanceRecord``), or None.
    """

    drift: DriftVerdict
    clients: FederatedDrift | None = None
    estimated: Mapping[str, Any] | None = None
    by_labels: Mapping[str, Any] | None = None

    @property
    def verdict(self) -> Verdict:
        """The worst of them, see above."""
        if self.drift.verdict is Verdict.TOO_FEW_ROWS:
            return Verdict.TOO_FEW_ROWS
        beside = self._warns_of_client or self._warns_by_estimate
        found = (
            self.drift.verdict,
            self.verdict_by_labels,
            Verdict.WARNING if beside else Verdict.NONE,
        )
        return max(found, key=_RANK.index)

    @property
    def verdict_by_labels(self) -> Verdict:
        return verdict_by_labels(self.by_labels)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What speaks for the verdict: values of ``Subject``, ``client``, ``performance``."""
        columns = self.drift.drifted or self.drift.warned
        kinds = [str(column.subject) for column in columns]
        if self._warns_of_client:
            kinds.append(_CLIENT)
        if self._warns_by_estimate or self.verdict_by_labels is not Verdict.NONE:
            kinds.append(PERFORMANCE)
        return tuple(dict.fromkeys(kinds))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready fields of a window's record."""
        clients = self.clients
        return {
            "verdict": str(self.verdict),
            "evidence": list(self.kinds),
            "flagged": list(self.drift.flagged),
            "warned": [column.column for column in self.drift.warned],
            "drifted": [column.column for column in self.drift.drifted],
            "clients": list(clients.named) if clients else [],
            "extent": str(clients.extent) if clients else None,
            "client_flags": flags_by_client(clients),
            "drift": self.drift.to_dict(),
            "by_client": clients.to_dict() if clients else None,
            "estimated": self.estimated,
            "decay": self.by_labels["decay"] if self.by_labels else None,
        }

    @property
    def _warns_of_client(self) -> bool:
        return self.clients is not None and self.clients.verdict is Verdict.DRIFT

    @property
    def _warns_by_estimate(self) -> bool:
        return self.estimated is not None and self.estimated["verdict"] == Verdict.WARNING
