"""Pairs of rows that agree in too much to be two customers, though a few columns were altered.

Candidates come from blocking: the columns are dealt into b blocks of about equal evidence, and rows
are sorted by every choice of b - m blocks, so any two rows that differ in up to m columns meet in
one of the passes (pigeonhole). A pair counts as a copy where the evidence of the columns it agrees
in (``fedchurn.quality.chance``) outweighs the number of pairs in the table and of column choices,
and only if the table as a whole shows an excess: where chance is at work (and columns depend on
each other in ways the null model does not know), counts fall off steeply with evidence, so there
are several times more pairs in the band of doubt below the threshold than above it; copies lie
above it.

Order helps as well: where many copies lie a fixed number of rows apart, every pair at that offset
is weighed against that one partner instead of against all rows of the table.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from fedchurn.quality.chance import Chance
from fedchurn.quality.content import hash_codes

Rows = NDArray[np.intp]
Codes = NDArray[np.int32]

CERTAIN = 3.0  # nats beyond all pairs of the table: e**-3 false pairs are expected in all of it
LIKELY = 0.0
_DOUBT = 6.0  # width in nats of the band below CERTAIN
_COPIES_PER_DOUBT = 0.5
_SPARE_DOUBTS = 4
_WINDOW = 8
_CHUNK_PAIRS = 400_000
_MAX_OFFSETS = 8
_MIN_OFFSET_PAIRS = 10


@dataclass(frozen=True)
class Pairs:
    """Pairs of positions: ``left[i]`` and ``right[i]`` are copies of one customer."""

    left: Rows
    right: Rows

    def __len__(self) -> int:
        return len(self.left)


NO_PAIRS = Pairs(np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp))


@dataclass(frozen=True)
class Effort:
    """How far the search goes: any pair that differs in up to ``altered`` columns is looked at.

    The number of sorted passes is ``blocks`` choose ``altered``.
    """

    altered: int
    blocks: int


def effort_for(num_rows: int, num_columns: int) -> Effort:
    """Up to 4 altered columns in 35 passes to 200,000 rows, beyond that 2 in 10 passes."""
    altered = min(4 if num_rows <= 200_000 else 2, num_columns // 4)
    return Effort(altered, min(altered + 3, num_columns))


def near_pairs(codes: Codes, chance: Chance, effort: Effort) -> Pairs:
    """Near copies among rows that are all different; none where the table shows no excess."""
    return _beyond_doubt(*_candidates(codes, codes[:0], chance, effort))


def near_pairs_across(codes: Codes, moved: Codes, chance: Chance, effort: Effort) -> Pairs:
    """Near copies between rows (``right``) and the same rows after a shift (``left``)."""
    rows, moved_rows, evidence = _candidates(codes, moved, chance, effort)
    pairs = _beyond_doubt(rows, moved_rows - len(codes), evidence)
    return Pairs(pairs.right, pairs.left)


def offset_pairs(codes: Codes, moved: Codes, chance: Chance, places: Rows, found: Pairs) -> Pairs:
    """Pairs at the offsets that ``found`` repeats; ``places`` = row position in the whole table.

    ``moved`` is ``codes`` itself, or the codes of the rows after a shift.
    """
    where = np.full(int(places.max(initial=0)) + 1, -1, dtype=np.intp)
    where[places] = np.arange(len(places))
    parts = [NO_PAIRS]
    for offset, count in repeated_offsets(places[found.left], places[found.right], len(where)):
        parts.append(_at_offset(codes, moved, chance, where, (offset, count)))
    return join_pairs(parts)


def join_pairs(parts: Sequence[Pairs]) -> Pairs:
    """All pairs of all parts."""
    return Pairs(np.concatenate([p.left for p in parts]), np.concatenate([p.right for p in parts]))


def without(pairs: Pairs, others: Pairs) -> Pairs:
    """The pairs that are not among others, whichever way round."""
    size = 1 + max(int(side.max(initial=0)) for p in (pairs, others) for side in (p.left, p.right))
    keep = ~np.isin(_unordered(pairs, size), _unordered(others, size))
    return Pairs(pairs.left[keep], pairs.right[keep])


def _unordered(pairs: Pairs, size: int) -> NDArray[np.int64]:
    low, high = np.minimum(pairs.left, pairs.right), np.maximum(pairs.left, pairs.right)
    return low.astype(np.int64) * size + high


def repeated_offsets(left: Rows, right: Rows, num_rows: int) -> list[tuple[int, int]]:
    """Row distances that recur among pairs far beyond chance, and counts, commonest first."""
    if not len(left):
        return []
    offsets, counts = np.unique(right - left, return_counts=True)
    least = max(_MIN_OFFSET_PAIRS, 0.02 * len(left), 20 * len(left) / num_rows)
    order = np.argsort(-counts, kind="stable")[:_MAX_OFFSETS]
    return [(int(offsets[i]), int(counts[i])) for i in order if counts[i] >= least]


def _at_offset(
    codes: Codes, moved: Codes, chance: Chance, where: Rows, offset_count: tuple[int, int]
) -> Pairs:
    offset, count = offset_count
    size = len(where) - abs(offset)
    left = where[max(0, -offset) :][:size]
    right = where[max(0, offset) :][:size]
    present = (left >= 0) & (right >= 0)
    left, right = left[present], right[present]
    share = min(1.0, count / max(1, len(left)))
    evidence = _evidence(moved[left], codes[right], chance, (right,)) + np.log(share)
    keep = evidence > CERTAIN
    return Pairs(left[keep], right[keep])


def _beyond_doubt(left: Rows, right: Rows, evidence: NDArray[np.float64]) -> Pairs:
    certain = int((evidence > CERTAIN).sum())
    doubtful = int(((evidence > CERTAIN - _DOUBT) & (evidence <= CERTAIN)).sum())
    if certain < _COPIES_PER_DOUBT * (doubtful + _SPARE_DOUBTS):
        return NO_PAIRS
    keep = evidence > LIKELY
    return Pairs(left[keep], right[keep])


def _candidates(
    codes: Codes, moved: Codes, chance: Chance, effort: Effort
) -> tuple[Rows, Rows, NDArray[np.float64]]:
    """Distinct candidate pairs and their evidence beyond the number of pairs of the table.

    Positions from ``len(codes)`` on stand for rows of ``moved``; if there are any, only pairs of a
    row and another row's moved self are looked at.
    """
    num_rows, size = len(codes), len(codes) + len(moved)
    every = np.concatenate([codes, moved])
    seen = np.empty(0, dtype=np.int64)
    kept: list[NDArray[np.float64]] = [np.empty((3, 0))]
    all_pairs = np.log(max(1.0, num_rows * (num_rows - 1) / 2))
    for left, right in _meetings(every, chance, effort):
        pairs = np.unique(np.minimum(left, right) * size + np.maximum(left, right))
        first, second = pairs // size, pairs % size
        if len(moved):
            fair = (first < num_rows) & (second >= num_rows) & (second - num_rows != first)
            pairs, first, second = pairs[fair], first[fair], second[fair]
        new = ~np.isin(pairs, seen)
        pairs, first, second = pairs[new], first[new], second[new]
        rows = (first,) if len(moved) else (first, second)
        evidence = _evidence(every[first], every[second], chance, rows) - all_pairs
        hopeful = evidence > CERTAIN - _DOUBT
        seen = np.union1d(seen, pairs[hopeful])
        kept.append(np.stack([first[hopeful], second[hopeful], evidence[hopeful]]))
    table = np.concatenate(kept, axis=1)
    return table[0].astype(np.intp), table[1].astype(np.intp), table[2]


def _evidence(
    left: Codes, right: Codes, chance: Chance, rows: tuple[Rows, ...]
) -> NDArray[np.float64]:
    """Nats of evidence for each pair, the choice of altered columns paid for."""
    agree = left == right
    columns = agree.shape[1]
    altered = columns - agree.sum(axis=1)
    price = gammaln(columns + 1) - gammaln(altered + 1) - gammaln(columns - altered + 1)
    weight = np.min([chance.evidence(agree, r) for r in rows], axis=0)
    return np.where(altered <= columns / 3, weight - price, -np.inf)


def _meetings(codes: Codes, chance: Chance, effort: Effort) -> Iterator[tuple[Rows, Rows]]:
    """Pairs of rows that are neighbours in one of the passes, in chunks of bounded size."""
    blocks = _blocks(chance.given.mean(axis=0), effort.blocks)
    hashes = [hash_codes(codes, block) for block in blocks]
    for chosen in itertools.combinations(range(len(blocks)), len(blocks) - effort.altered):
        key = np.stack([hashes[i] for i in chosen]).sum(axis=0, dtype=np.uint64)
        order = np.argsort(key, kind="stable")
        key = key[order]
        for step in range(1, _WINDOW + 1):
            same = np.flatnonzero(key[:-step] == key[step:])
            for start in range(0, len(same), _CHUNK_PAIRS):
                part = same[start : start + _CHUNK_PAIRS]
                yield order[part], order[part + step]


def _blocks(evidence: NDArray[np.float64], num_blocks: int) -> list[tuple[int, ...]]:
    """Columns dealt to blocks, the most telling first, each to the lightest block."""
    blocks: list[list[int]] = [[] for _ in range(num_blocks)]
    weight = np.zeros(num_blocks)
    for column in np.argsort(-evidence, kind="stable").tolist():
        lightest = int(np.argmin(weight))
        blocks[lightest].append(column)
        weight[lightest] += evidence[column] + 1e-9
    return [tuple(sorted(block)) for block in blocks]
