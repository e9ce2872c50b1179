"""The peers' alarms on the stored windows of one data set."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.environments import PeerMissingError, peer_python, run_peer
from benchmarks.drift.stored import Check, Meta, StoredWindows, folder_name
from fedchurn.drift.online import LEVEL, ks_p_value

ANCHORS = ("FDR, gaps as median", "FDR, gaps below all")


@dataclass(frozen=True)
class PeerRule:
    """One rule of one peer.

    Attributes:
        name: package, version and rule.
        alarms: by ``SIZE/SHIFT``: 1 for an alarm, (n,), or (streams, windows) where the key is
            ``SIZE/stream_SHIFT``.
    """

    name: str
    alarms: dict[str, NDArray[np.int64]]


def peer_rules(
    peer: str, windows: StoredWindows, folder: Path, most: int, most_shifted: int
) -> list[PeerRule]:
    """Run a peer on the windows; one record per rule.

    Raises:
        PeerMissingError: it cannot be had here.
    """
    counts = ["--most", str(most), "--most-shifted", str(most_shifted)]
    found = run_peer(peer, peer_python(peer, folder), [str(windows.folder), *counts])
    title = f"{found['package']} {found['version']}"
    return [
        PeerRule(f"{title}, {rule}", {key: np.array(flags) for key, flags in alarms.items()})
        for rule, alarms in found["alarms"].items()
    ]


def peer_seconds(peer: str, windows: StoredWindows, folder: Path, repetitions: int) -> Any:
    """Title and seconds by job of the one check of a folder.

    Raises:
        PeerMissingError: it cannot be had here.
    """
    arguments = [str(windows.folder), "--speed", str(repetitions)]
    found = run_peer(peer, peer_python(peer, folder), arguments)
    return f"{found['package']} {found['version']}", found["seconds"]


def online_rule(windows: StoredWindows, most: int, most_shifted: int) -> PeerRule:
    """The reference system's rule: KS on number columns, any p-value below 0.05."""
    alarms = {}
    for size in windows.meta.sizes:
        for shift in ("none", *windows.meta.shifts):
            limit = most if shift == "none" else most_shifted
            checks = windows.checks(size, shift, limit)
            flags = [_online(check, windows.meta) for check in checks]
            alarms[f"{folder_name(size)}/{shift}"] = np.array(flags)
    return PeerRule("reference rule: KS on numbers, any p < 0.05", alarms)


def _online(check: Check, meta: Meta) -> int:
    places = [place for place, name in enumerate(meta.names) if name not in meta.num_labels]
    sides = [(check.reference[:, place], check.window[:, place]) for place in places]
    return int(any(_ks(*side) < LEVEL for side in sides))


def _ks(reference: NDArray[np.float64], window: NDArray[np.float64]) -> float:
    known, seen = (np.sort(side[~np.isnan(side)]) for side in (reference, window))
    if not len(known) or not len(seen):
        return 1.0
    values = np.concatenate([known, seen])
    ranks = [np.searchsorted(side, values, side="right") / len(side) for side in (known, seen)]
    return ks_p_value(float(np.abs(ranks[0] - ranks[1]).max()), len(seen), len(known))


__all__ = ["ANCHORS", "PeerMissingError", "PeerRule", "online_rule", "peer_rules", "peer_seconds"]
