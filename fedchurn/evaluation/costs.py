"""What a training cost: bytes per client and round, wall seconds per phase of a round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

PHASES = ("train", "combine", "evaluate")


@dataclass(frozen=True)
class RoundCost:
    """One round.

    Attributes:
        round_num: numbered over all phases; 0 is the evaluation before training.
        strategy: what combined the updates.
        num_clients: clients that were asked to train.
        bytes_up, bytes_down: arrays of the training question and its answers, all clients.
        seconds: wall time by phase: ``train``, ``combine``, ``evaluate``.
    """

    round_num: int
    strategy: str
    num_clients: int
    bytes_up: int
    bytes_down: int
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ClientCost:
    """One client over all rounds.

    Attributes:
        num_rounds: rounds in which it answered.
        bytes_up, bytes_down: of all of them.
    """

    num_rounds: int
    bytes_up: int
    bytes_down: int


@dataclass(frozen=True)
class CostSheet:
    """See the module docstring. Names and envelopes of messages, statistics and evaluations are not
    counted: they are the same for every strategy.

    Attributes:
        rounds: in order.
        clients: by name; of a sum over clients, ``clients together``.
    """

    rounds: tuple[RoundCost, ...]
    clients: Mapping[str, ClientCost]

    @property
    def bytes_up(self) -> int:
        """All that clients sent."""
        return sum(one.bytes_up for one in self.rounds)

    @property
    def bytes_down(self) -> int:
        """All that was sent to clients."""
        return sum(one.bytes_down for one in self.rounds)

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time by phase, over all rounds."""
        return add_seconds([one.seconds for one in self.rounds])

    def summary(self) -> dict[str, float]:
        """Totals and means per client and round, JSON-ready: for cards."""
        answers = sum(one.num_clients for one in self.rounds)
        return {
            "num_rounds": float(sum(one.round_num > 0 for one in self.rounds)),
            "bytes_up": float(self.bytes_up),
            "bytes_down": float(self.bytes_down),
            "bytes_up_per_client_round": self.bytes_up / max(answers, 1),
            "bytes_down_per_client_round": self.bytes_down / max(answers, 1),
            **{f"seconds_{phase}": value for phase, value in self.seconds.items()},
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> CostSheet:
        """The sheet behind ``to_dict``."""
        clients = {client: ClientCost(**one) for client, one in stored["clients"].items()}
        return cls(tuple(RoundCost(**one) for one in stored["rounds"]), clients)


def add_seconds(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Sums by phase, in the order of a round."""
    total = {phase: 0.0 for phase in PHASES if any(phase in part for part in parts)}
    for part in parts:
        for phase, seconds in part.items():
            total[phase] = total.get(phase, 0.0) + seconds
    return total


def bytes_text(num_bytes: float) -> str:
    """Bytes for people.

    >>> bytes_text(1536), bytes_text(3 * 2**20)
    ('1.5 KiB', '3.0 MiB')
    """
    size = float(num_bytes)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
