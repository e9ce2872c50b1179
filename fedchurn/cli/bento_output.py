"""Tells people about a bento, and shows it at work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedchurn.loop.package_store import StoredBento
from fedchurn.loop.package_trial import Trial, try_bento

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


def stored_bento(result: Mapping[str, Any]) -> StoredBento:
    """The bento behind what packaging returns."""
    name, _, version = result["tag"].partition(":")
    return StoredBento(Path(result["store"]), name, version)


def try_alone(result: Mapping[str, Any]) -> dict[str, Any]:
    """Serve a packaged bento in a folder of its own, and show its answer to one request."""
    trial = try_bento(stored_bento(result))
    told = tell_answer(result["tag"], trial)
    print("  the server has been stopped again")
    return told


def tell_answer(tag: str, trial: Trial) -> dict[str, Any]:
    """Show one answer of a served bento; returns what programs ask for."""
    shown = {key: trial.answer[key] for key in _SHOWN if key in trial.answer}
    print(f"SERVED by `bentoml serve {tag}`, ready in {trial.start_seconds:.1f} s:")
    print(f"  POST /predict {json.dumps(trial.customer)}")
    print(f"  -> {json.dumps(shown)}, as expected of this release")
    return {"tag": tag, "url": trial.url, "answer": trial.answer}
