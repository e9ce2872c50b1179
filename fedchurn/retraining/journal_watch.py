"""What the retraining journal says in short; whoever looks every second reads new lines only.

The chain is not checked here; ``RetrainJournal`` does that, for those who decide.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fedchurn.retraining.entry import DECISION, OUTCOME


@dataclass
class RetrainingSeen:
    """The journal in short.

    Attributes:
        num_decisions: by outcome: retrain, skip.
        num_runs: trainings that ended, by outcome: promoted, refused, unchanged, failed.
        newest: JSON-ready: ``time`` of the newest decision, its ``outcome``, ``reasons`` (what
            stood in the way, in words), ``trigger_key``, ``release_id``, ``run_key`` and, once it
            is known, ``run_outcome``.
    """

    num_decisions: Counter[str] = field(default_factory=Counter)
    num_runs: Counter[str] = field(default_factory=Counter)
    newest: dict[str, Any] | None = None


class JournalWatch:
    """Follows the journal at ``path`` (``places.journal_path``); safe from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._begin_anew(0)

    def look(self) -> RetrainingSeen:
        """What the journal says now; empty while there is none, or it cannot be read."""
        with self._lock:
            try:
                self._read_on()
            except OSError:
                self._begin_anew(0)
            return self._seen

    def _begin_anew(self, inode: int) -> None:
        self._inode, self._num_bytes_read = inode, 0
        self._seen = RetrainingSeen()

    def _read_on(self) -> None:
        found = self._path.stat()
        if found.st_ino != self._inode or found.st_size < self._num_bytes_read:
            self._begin_anew(found.st_ino)
        if found.st_size == self._num_bytes_read:
            return
        with self._path.open("rb") as file:
            file.seek(self._num_bytes_read)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # being written
                self._num_bytes_read += len(line)
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)["entry"]
            kind, facts = entry["kind"], entry["facts"]
            if kind == DECISION:
                self._decided(entry["time"], facts)
            elif kind == OUTCOME:
                self._ended(facts)
        except (ValueError, TypeError, KeyError):
            return  # no line of ours

    def _decided(self, time: str, facts: Mapping[str, Any]) -> None:
        stood = [c for c in facts["checks"] if not (c["passed"] or c["overridden"])]
        self._seen.newest = {
            "time": time,
            "outcome": facts["outcome"],
            "reasons": [check["sentence"] for check in stood],
            "trigger_key": facts["trigger_key"],
            "release_id": facts["release_id"],
            "run_key": facts.get("run_key", ""),
            "run_outcome": None,
        }
        self._seen.num_decisions[facts["outcome"]] += 1

    def _ended(self, facts: Mapping[str, Any]) -> None:
        self._seen.num_runs[facts["outcome"]] += 1
        newest = self._seen.newest
        if newest is not None and newest["run_key"] == facts["run_key"]:
            self._seen.newest = {**newest, "run_outcome": facts["outcome"]}
