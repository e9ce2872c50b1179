"""Pairs of rows with the same categories and label whose numbers differ by one constant shift.

A linear hash turns the question into arithmetic: h(x) = sum of r_c * x_c modulo 2**64 with random
odd r_c, so h(x + s) = h(x) + h(s) for every row, and a shift shared by many pairs is a difference
of hashes that keeps coming back. The search is bounded: differences are taken beside anchor rows
until a budget is spent; a shift that is proposed is then looked for in all rows by one sort.

A shift is believed if it joins far more rows than kindred shifts do (on a coarse lattice of small
whole numbers every small shift joins some rows), and a pair is believed if its content is
distinctive enough for that share of rows (``fedchurn.quality.chance``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.quality.chance import Chance
from fedchurn.quality.content import Content, hash_codes, mix
from fedchurn.quality.near_copies import CERTAIN, NO_PAIRS, Pairs, Rows, join_pairs

Whole = NDArray[np.int64]
Hashes = NDArray[np.uint64]
Places = NDArray[np.intp]

_BUDGET_DIFFERENCES = 4_000_000
_LOOKED_AT = 60  # commonest differences, among which most move one column only
_PROPOSALS = 12
_MAX_SHIFTS = 4
_MIN_PAIRS = 10
_MIN_SHARE = 0.001
_TIMES_CHANCE = 20.0
_TURNS = 8
_MULTIPLES = (5, 7)  # beyond the copies of copies that a shift could have made


@dataclass(frozen=True)
class Shift:
    """One shift and the pairs it joins: ``right`` = ``left`` + ``amounts``, per number column."""

    amounts: tuple[int, ...]
    pairs: Pairs


@dataclass(frozen=True)
class _Lattice:
    """Rows prepared for the search over some of the number columns.

    Attributes:
        used, rest: places of the number columns in the hash, and of those compared afterwards.
        classes: hash of categories, label and the pattern of missing numbers among ``used``.
        hashes: linear hash of the used numbers.
        have, order: sorted hash of class and numbers, and the row of each entry.
    """

    content: Content
    used: Places
    rest: Places
    classes: Hashes
    values: Whole
    missing: NDArray[np.bool_]
    factors: Hashes
    hashes: Hashes
    have: Hashes
    order: Rows

    def shifted(self, amounts: Whole) -> Hashes:
        """Hash of each row after the shift; a missing number stays missing."""
        moves = np.where(self.missing, 0, amounts[self.used])
        return self.hashes + (moves.view(np.uint64) * self.factors).sum(axis=1, dtype=np.uint64)


def constant_shifts(content: Content, chance: Chance) -> tuple[Shift, ...]:
    """Shifts of two or more number columns that join many rows, and their pairs.

    Shifts of one column are near copies, and are left to ``near_pairs``. Rows that an earlier shift
    has joined do not speak for a later one. A number may be missing on one side of a pair only:
    beside all number columns, those that are never missing are searched by themselves.
    """
    if len(content.numbers) < 2 or content.num_rows < 2 * _MIN_PAIRS:
        return ()
    found: dict[tuple[int, ...], Pairs] = {}
    taken = np.zeros(content.num_rows, dtype=bool)
    for used in _column_choices(content):
        lattice = _lattice(content, used)
        for proposal in _proposals(lattice):
            amounts = _completed(lattice, proposal)
            pairs = _believed(lattice, amounts, chance, taken)
            if len(pairs) and len(found) < _MAX_SHIFTS:
                name = tuple(amounts.tolist())
                found[name] = join_pairs([found.get(name, NO_PAIRS), pairs])
                taken[pairs.left] = taken[pairs.right] = True
    return tuple(Shift(name, pairs) for name, pairs in found.items())


def _column_choices(content: Content) -> tuple[Places, ...]:
    every = np.arange(len(content.numbers))
    known = np.flatnonzero(~content.missing.any(axis=0))
    return (every,) if len(known) in (0, len(every)) else (every, known)


def moved_codes(content: Content, amounts: tuple[int, ...]) -> NDArray[np.int32]:
    """``content.codes`` of the rows after a shift; -1 for a value that no row has."""
    moved = content.codes.copy()
    for place, column in enumerate(content.numbers):
        if amounts[place]:
            values = content.scaled[:, place]
            known, first = np.unique(values, return_index=True)
            goal = np.where(content.missing[:, place], values, values + amounts[place])
            at = np.minimum(np.searchsorted(known, goal), len(known) - 1)
            codes = content.codes[first[at], column]
            moved[:, column] = np.where(known[at] == goal, codes, -1)
    return moved


def _lattice(content: Content, used: Places) -> _Lattice:
    missing = content.missing[:, used]
    others = tuple(c for c in range(len(content.names)) if c not in content.numbers)
    pattern = hash_codes(missing.astype(np.int32), tuple(range(len(used))))
    factors = mix(np.arange(1, len(used) + 1, dtype=np.uint64)) | np.uint64(1)
    values = np.where(missing, 0, content.scaled[:, used])
    classes = mix(hash_codes(content.codes, others) ^ mix(pattern))
    hashes = (values.view(np.uint64) * factors).sum(axis=1, dtype=np.uint64)
    have = mix(hashes) ^ classes
    order = np.argsort(have, kind="stable")
    return _Lattice(
        content=content,
        used=used,
        rest=np.setdiff1d(np.arange(len(content.numbers)), used),
        classes=classes,
        values=values,
        missing=missing,
        factors=factors,
        hashes=hashes,
        have=have[order],
        order=order,
    )


def _proposals(lattice: _Lattice) -> list[Whole]:
    """Differences that recur most among rows without missing numbers, largest count first."""
    rows = np.flatnonzero(~lattice.missing.any(axis=1))
    rows = rows[np.argsort(lattice.classes[rows], kind="stable")]
    left, right = _sampled_pairs(lattice.classes[rows])
    left, right = rows[left], rows[right]
    difference = lattice.hashes[right] - lattice.hashes[left]
    _, first, counts = np.unique(difference, return_index=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_LOOKED_AT]
    found = []
    for place in order[counts[order] >= 3].tolist():
        pair = right[first[place]], left[first[place]]
        amounts = np.zeros(len(lattice.content.numbers), dtype=np.int64)
        amounts[lattice.used] = _forward(lattice.values[pair[0]] - lattice.values[pair[1]])
        if (amounts != 0).sum() >= (1 if len(lattice.rest) else 2):
            found.append(amounts)
    return found[:_PROPOSALS]


def _completed(lattice: _Lattice, amounts: Whole) -> Whole:
    """The shift with the commonest difference of the joined rows in each column not yet used."""
    if not len(lattice.rest):
        return amounts
    pairs = _matches(lattice, amounts)
    scaled, missing = lattice.content.scaled, lattice.content.missing
    full = amounts.copy()
    for place in lattice.rest.tolist():
        known = ~(missing[pairs.left, place] | missing[pairs.right, place])
        differences = scaled[pairs.right[known], place] - scaled[pairs.left[known], place]
        values, counts = np.unique(differences, return_counts=True)
        full[place] = values[counts.argmax()] if len(values) else 0
    return full


def _forward(amounts: Whole) -> Whole:
    """A shift and its reverse join the same pairs; take the one whose sum is positive."""
    return -amounts if amounts.sum() < 0 else amounts


def _sampled_pairs(classes: Hashes) -> tuple[Rows, Rows]:
    """Pairs of positions of the same class (sorted input), all if the budget allows, else a sample.

    Classes are taken in a fixed random order; every row of a taken class meets all its followers.
    """
    starts = (
        np.flatnonzero(np.r_[True, classes[1:] != classes[:-1]]) if len(classes) else NO_PAIRS.left
    )
    sizes = np.diff(np.r_[starts, len(classes)])
    order = np.random.default_rng(0).permutation(len(starts))
    lefts, rights, budget = [], [], _BUDGET_DIFFERENCES
    for block in order[sizes[order] > 1].tolist():
        start, size = int(starts[block]), int(sizes[block])
        anchors = np.arange(size) if size * size <= budget else _anchors(size, budget)
        left = np.repeat(anchors, size)
        right = np.tile(np.arange(size), len(anchors))
        ahead = left < right if len(anchors) == size else left != right
        lefts.append(start + left[ahead])
        rights.append(start + right[ahead])
        budget -= len(left)
        if budget <= 0:
            break
    if not lefts:
        return NO_PAIRS.left, NO_PAIRS.right
    return np.concatenate(lefts), np.concatenate(rights)


def _anchors(size: int, budget: int) -> Rows:
    count = max(1, budget // size)
    return np.random.default_rng(1).choice(size, size=min(count, size), replace=False)


def _believed(lattice: _Lattice, amounts: Whole, chance: Chance, taken: NDArray[np.bool_]) -> Pairs:
    if (amounts != 0).sum() < 2:
        return NO_PAIRS
    joined = _joined(lattice, amounts)
    fresh = ~(taken[joined.left] | taken[joined.right])
    pairs = Pairs(joined.left[fresh], joined.right[fresh])
    num_rows = len(lattice.hashes)
    least = max(_MIN_PAIRS, _MIN_SHARE * num_rows)
    if len(pairs) < least or len(pairs) < _TIMES_CHANCE * _joined_by_chance(lattice, amounts):
        return NO_PAIRS
    surprise = np.minimum(
        *(chance.evidence(_known(lattice, pairs), side) for side in (pairs.left, pairs.right))
    )
    keep = surprise + np.log(len(pairs) / num_rows) - np.log(num_rows) > CERTAIN
    if keep.sum() < max(least, len(pairs) / 2):
        return NO_PAIRS
    return Pairs(pairs.left[keep], pairs.right[keep])


def _known(lattice: _Lattice, pairs: Pairs) -> NDArray[np.bool_]:
    """Columns (pairs, columns) in which a pair says something: both numbers known or missing."""
    content = lattice.content
    known = np.ones((len(pairs), len(content.names)), dtype=bool)
    missing = content.missing
    known[:, list(content.numbers)] = missing[pairs.left] == missing[pairs.right]
    return known


def _joined_by_chance(lattice: _Lattice, amounts: Whole) -> float:
    """Rows that kindred shifts join: signs turned (mean of several), or all amounts multiplied.

    Where one number follows from another, turned signs join nothing, but every multiple joins as
    many rows as the shift itself does.
    """
    rng = np.random.default_rng(2)
    moving = np.flatnonzero(amounts)
    turned_counts = []
    for _ in range(_TURNS):
        signs = rng.choice([-1, 1], size=len(moving))
        signs[:2] = rng.permutation([-1, 1])  # never all alike: that is the shift itself
        turned = amounts.copy()
        turned[moving] *= signs
        turned_counts.append(len(_joined(lattice, turned)))
    multiples = [len(_joined(lattice, amounts * times)) for times in _MULTIPLES]
    return max(float(np.mean(turned_counts)), float(max(multiples)))


def _joined(lattice: _Lattice, amounts: Whole) -> Pairs:
    """Rows and their shifted selves, where they agree in the columns outside the hash as well."""
    pairs = _matches(lattice, amounts)
    scaled, missing = lattice.content.scaled, lattice.content.missing
    keep = np.ones(len(pairs), dtype=bool)
    for place in lattice.rest.tolist():
        moved = scaled[pairs.left, place] + amounts[place] == scaled[pairs.right, place]
        keep &= moved | missing[pairs.left, place] | missing[pairs.right, place]
    return Pairs(pairs.left[keep], pairs.right[keep])


def _matches(lattice: _Lattice, amounts: Whole) -> Pairs:
    """Every row and one row of the same class that equals it after the shift."""
    goal = mix(lattice.shifted(amounts)) ^ lattice.classes
    place = np.minimum(np.searchsorted(lattice.have, goal), len(goal) - 1)
    match = lattice.order[place]
    hit = np.flatnonzero((lattice.have[place] == goal) & (match != np.arange(len(goal))))
    return Pairs(hit, match[hit])
