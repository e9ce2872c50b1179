"""A small release at work, and what it is asked."""

from __future__ import annotations

import time
from pathlib import Path

from fedchurn.release.write import write_release
from fedchurn.serving.answering import Answering, Question
from fedchurn.serving.live import Live, Serving
from fedchurn.serving.prediction_ids import PredictionIds
from fedchurn.serving.recorder import Recorder
from fedchurn.serving.served_release import serve_release
from fedchurn.serving.tracing.tracing import Tracing
from tests.unit.release.releases import parts

ROW = {"Tenure": 3, "Cashback": 271.83, "Device": "Computer", "City": "Castrop-Rauxel"}
VALUES = ("271.83", "Computer", "Castrop")


def answering(
    folder: Path, tracing: Tracing | None = None, *, fault: str | None = None
) -> Answering:
    served = serve_release(write_release(parts(), folder), "7")
    live = Live(Serving(served, champion_fault=fault))
    return Answering(live, Recorder([]), PredictionIds(), tracing)


def question(*, explain: bool = False) -> Question:
    return Question("/predict", time.perf_counter(), explain)
