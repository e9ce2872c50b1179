"""A window with drift asks for a retrain: one trigger, however often the window is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fedchurn.drift.verdict import Verdict
from fedchurn.retraining.inbox import TriggerInbox
from fedchurn.retraining.places import inbox_folder
from fedchurn.retraining.trigger import Source, Trigger


def add_trigger(home: Path, record: Mapping[str, Any]) -> bool:
    """Put the window's trigger into the inbox, if columns drifted and it is not there yet.

    Decay has a trigger of its own (``performance.look_at_labels``).

    Returns:
        whether it is new.

    Raises:
        RetrainingError: the disk does not take it.
    """
    if record["drift"]["verdict"] != Verdict.DRIFT:
        return False
    return TriggerInbox(inbox_folder(home, record["contract"])).add(_trigger(record))


def _trigger(record: Mapping[str, Any]) -> Trigger:
    return Trigger(
        key=f"window-{record['window_id']}",
        source=Source.DRIFT,
        time=record["time"],
        summary=record["summary"],
        release_id=record["release"],
        evidence={
            "window_id": record["window_id"],
            "columns": record["drifted"],
            "subjects": record["evidence"],
            "clients": record["clients"],
            "num_customers": record["num_customers"],
            "report_path": record["report_path"],
        },
    )
