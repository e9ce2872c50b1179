"""The card: where a release comes from and how good it is, for people and auditors.

It holds no release id, because the id is derived from the files and the card is one of them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fedchurn.errors import ReleaseError

Metrics = Mapping[str, float | None]


@dataclass(frozen=True)
class RoundRecord:
    """Who took part in one round.

    Attributes:
        round_num: 1-based.
        participants: clients whose update was used.
        absences: why a client's update was not used, by client.
    """

    round_num: int
    participants: tuple[str, ...]
    absences: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """Facts about a release; a metric that cannot be computed is None.

    Attributes:
        contract: name of the contract.
        contract_version: its version.
        contract_digest: sha256 of the contract.
        data_digests: sha256 of the canonical rows, by client.
        is_sample: trained on generated rows, so no figure here is about real customers.
        recipe: name of the training recipe.
        settings: every setting of the run, JSON-ready.
        seed: of splits and training.
        rounds: who took part, round by round.
        metrics: pooled metrics on the test rows.
        client_metrics: the same by client.
        baselines: metrics of what the model is compared with, by name.
        threshold: probability from which a customer counts as a churner.
        objective: what the threshold was chosen for.
        library_versions: by package.
        git_commit: of the code, or "" outside a checkout.
        created_at: ISO 8601 with a UTC offset; given by the caller.
        mlflow_run_id: the run that made it, or "".
        privacy_notes: what left the clients and under which protection.
        fairness: by metric, how far apart clients are: ``worst`` client, its ``value`` with ``low``
            and ``high``, ``range``, ``deviation`` and what of it is ``beyond_chance``.
        costs: bytes and seconds of the training, in all and per client and round.
        privacy: what a private training promised (``epsilon``, ``delta``, noise, sampling,
            accountant, assumptions) and has spent by now; empty without privacy.
    """

    contract: str
    contract_version: str
    contract_digest: str
    data_digests: Mapping[str, str]
    is_sample: bool
    recipe: str
    settings: Mapping[str, Any]
    seed: int
    rounds: tuple[RoundRecord, ...]
    metrics: Metrics
    client_metrics: Mapping[str, Metrics]
    baselines: Mapping[str, Metrics]
    threshold: float
    objective: str
    library_versions: Mapping[str, str]
    git_commit: str
    created_at: str
    mlflow_run_id: str = ""
    privacy_notes: tuple[str, ...] = ()
    fairness: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    costs: Mapping[str, float] = dataclasses.field(default_factory=dict)
    privacy: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def participants(self) -> tuple[str, ...]:
        """Clients whose update was used in at least one round, sorted."""
        return tuple(sorted({client for r in self.rounds for client in r.participants}))

    @property
    def data_digest(self) -> str:
        """sha256 over the rows of all clients: equal for equal data dealt equally."""
        lines = (f"{client}\t{sha256}\n" for client, sha256 in sorted(self.data_digests.items()))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form, NaN as None; ``from_dict`` reads it."""
        plain: dict[str, Any] = _plain(dataclasses.asdict(self))
        return plain

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Card:
        """The card behind ``to_dict``.

        Raises:
            ReleaseError: a key is missing or unknown.
        """
        known = {f.name: f for f in dataclasses.fields(cls)}
        needed = {
            n for n, f in known.items() if f.default is f.default_factory is dataclasses.MISSING
        }
        odd = sorted((stored.keys() - known.keys()) | (needed - stored.keys()))
        if odd:
            raise ReleaseError(f"a card may not lack or add: {', '.join(odd)}", where="card.json")
        rounds = tuple(_round(r) for r in stored["rounds"])
        notes = tuple(stored.get("privacy_notes", ()))
        return cls(**{**stored, "rounds": rounds, "privacy_notes": notes})


def _round(stored: Mapping[str, Any]) -> RoundRecord:
    clients = tuple(stored["participants"])
    return RoundRecord(int(stored["round_num"]), clients, dict(stored["absences"]))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) or (hasattr(value, "dtype") and value.dtype.kind == "f"):
        return float(value) if math.isfinite(value) else None
    return value.item() if hasattr(value, "dtype") else value
