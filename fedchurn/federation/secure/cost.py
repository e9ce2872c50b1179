"""What a question cost when several messages carry it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fedchurn.federation.exchange import NOT_CONNECTED, Exchange, Reply, Request, num_bytes


@dataclass
class SecureCost:
    """Bytes of arrays by client, and seconds by step, of one question."""

    bytes_up: dict[str, int] = field(default_factory=dict)
    bytes_down: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, request: Request, replies: Sequence[Reply], seconds: float) -> None:
        """Count one exchange of messages."""
        for reply in replies:
            name = reply.client
            self.bytes_up[name] = self.bytes_up.get(name, 0) + num_bytes(reply.arrays)
            if reply.error != NOT_CONNECTED:
                down = request.num_bytes_for(name)
                self.bytes_down[name] = self.bytes_down.get(name, 0) + down
        self.seconds[request.task] = self.seconds.get(request.task, 0.0) + seconds


def cost_of(exchange: Exchange) -> SecureCost | None:
    """Of the last question; None where a question is one message."""
    cost = getattr(exchange, "last_cost", None)
    return cost if isinstance(cost, SecureCost) else None
