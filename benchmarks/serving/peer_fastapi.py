"""FastAPI, as its tutorial has it, with an asynchronous handler (the faster kind)."""

from __future__ import annotations

from fastapi import FastAPI

from benchmarks.serving.peer_model import Customer, Peer, PeerAnswer


def make_app() -> FastAPI:
    """The application; ``uvicorn --factory`` calls this."""
    peer = Peer()
    app = FastAPI()

    @app.post("/predict")
    async def predict(customer: Customer) -> PeerAnswer:
        return peer.answer(customer)

    return app
