"""Tells people about a bento, and shows it at work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fedchurn.loop.package import package_production
from fedchurn.loop.package_store import StoredBento
from fedchurn.loop.package_trial import try_bento
from fedchurn.settings import Settings

_SHOWN = ("churn_probability", "churn_prediction", "risk_level", "release", "model_version")


def tell_bento(result: dict[str, Any]) -> None:
    """What was packaged, and the command that serves it."""
    proof = result["proof"]
    kilobytes = result["size_bytes"] / 1024
    print(f"{result['outcome'].upper()}: bento {result['tag']}, {kilobytes:.0f} KiB, ", end="")
    print(f"release {result['release_id']}, version {result['version']}")
    print(f"  passed: {proof['rows']} golden rows inside the bento (largest difference", end="")
    print(f" {proof['max_difference']:.1e}), with the packages of its lock alone")
    print(f"  serve it: {result['command']}")


def serve_one(settings: Settings, packaged: dict[str, Any] | None) -> dict[str, Any]:
    """Serve the bento of what is in production, and show its answer to one request.

    Args:
        settings: name home and contract.
        packaged: the bento, where it was packaged just now.
    """
    result = packaged or package_production(settings)
    name, _, version = result["tag"].partition(":")
    trial = try_bento(StoredBento(Path(result["store"]), name, version))
    shown = {key: trial.answer[key] for key in _SHOWN if key in trial.answer}
    print(f"SERVED by `bentoml serve {result['tag']}`, ready in {trial.start_seconds:.1f} s:")
    print(f"  POST /predict {json.dumps(trial.customer)}")
    print(f"  -> {json.dumps(shown)}")
    print("  as expected of this release; the server has been stopped again")
    return {"tag": result["tag"], "url": trial.url, "answer": trial.answer}
