"""The stock BentoML API of the same service: ``@bentoml.api`` with a pydantic model."""

from __future__ import annotations

import bentoml

from benchmarks.serving.peer_model import Customer, Peer, PeerAnswer


@bentoml.service(name="stock", workers=1)
class Stock:
    """Scores with numpy."""

    def __init__(self) -> None:
        self._peer = Peer()

    @bentoml.api(route="/predict")
    async def predict(self, customer: Customer, /) -> PeerAnswer:
        """The answer about one customer."""
        return self._peer.answer(customer)
