"""Windows of one data set with everybody's answers to them, each worked out once."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.ours import Found, check_all, check_streams
from benchmarks.drift.peers import ANCHORS, PeerMissingError, PeerRule, online_rule, peer_rules
from benchmarks.drift.populations import Population
from benchmarks.drift.references import contract_of
from benchmarks.drift.stored import NONE, StoredWindows, folder_name
from fedchurn.contract.schema import Contract
from fedchurn.drift.verdict import DriftRule

Size = tuple[int, int]

FREE_RULE = DriftRule(min_effect=0.0, min_missing_effect=0.0)  # p-values alone decide


@dataclass(frozen=True)
class Counts:
    """How many of the stored checks each side works on."""

    most: int | None = None
    most_shifted: int | None = None
    slow_most: int = 1000
    slow_most_shifted: int = 50


@dataclass
class Material:
    """One data set."""

    population: Population
    windows: StoredWindows
    folder: Path
    counts: Counts
    _rules: list[PeerRule] | None = None
    _found: dict[tuple[str, str], Found] = field(default_factory=dict)

    @property
    def contract(self) -> Contract:
        return contract_of(self.windows.meta)

    @property
    def name(self) -> str:
        return self.windows.meta.contract

    @property
    def rules(self) -> list[PeerRule]:
        """Rules of all peers that can be had; a peer that cannot is named on stderr."""
        if self._rules is None:
            counts = self.counts
            most = counts.most or sys.maxsize
            most_shifted = counts.most_shifted or sys.maxsize
            self._rules = [online_rule(self.windows, most, most_shifted)]
            slow = (counts.slow_most, counts.slow_most_shifted)
            for peer, amount in {
                "alibi": (most, most_shifted),
                "evidently": slow,
                "nannyml": slow,
            }.items():
                try:
                    self._rules += peer_rules(peer, self.windows, self.folder, *amount)
                except PeerMissingError as error:
                    print(f"SKIPPED: {error}", file=sys.stderr)
        return self._rules

    @property
    def anchors(self) -> list[PeerRule]:
        """What our power is held against: alibi-detect's FDR rule, gaps filled either way."""
        return [rule for rule in self.rules if rule.name.endswith(ANCHORS)]

    def anchor_rate(self, size: Size, key: str = NONE) -> float:
        """The lowest share of false alarms of the anchors."""
        name = f"{folder_name(size)}/{key}"
        return min(float(np.mean(rule.alarms[name])) for rule in self.anchors)

    def found(self, size: Size, shift: str = NONE) -> Found:
        """Our p-values on the independent pairs."""
        key = (folder_name(size), shift)
        if key not in self._found:
            most = self.counts.most if shift == NONE else self.counts.most_shifted
            checks = self.windows.checks(size, shift, most)
            self._found[key] = check_all(checks, self.windows.meta, self.contract, FREE_RULE)
        return self._found[key]

    def found_in_streams(self, size: Size, shift: str = NONE) -> Found:
        """Our p-values on windows in a row."""
        key = (folder_name(size), f"stream_{shift}")
        if key not in self._found:
            streams = self.windows.streams(size, shift)
            found = check_streams(streams, self.windows.meta, self.contract, FREE_RULE)
            self._found[key] = found
        return self._found[key]


def alarms_of(rule: PeerRule, size: Size, shift: str) -> NDArray[np.int64]:
    """A peer's alarms on windows of a size after a shift."""
    return rule.alarms[f"{folder_name(size)}/{shift}"]
