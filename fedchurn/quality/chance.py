"""How surprising it is that two rows agree: the null model behind near-copy detection.

Two rows of different customers agree in a column by chance, more often at a common value, and more
often still where another column already says so ("no internet service" in six columns is one fact).
The model gives every value of every row a weight: minus the log of the chance that an independent
row has the same value, given its parent in a dependence tree (Chow and Liu 1968). The sum over the
columns in which two rows agree is the evidence that they are one customer (Fellegi and Sunter 1969,
frequency-based weights). Counts leave both rows out, so a copy does not make its own values common.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedchurn.quality.content import Content

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

_SAMPLE_ROWS = 100_000  # structure is learned on at most so many rows
_BINS = 12
_PRIOR_ROWS = 4.0  # weight of the marginal in a conditional chance
_MAX_RULE_COLUMNS = 10
_WINDOW = 5
_FIXED = 0.5  # a column follows from two others where it agrees more often than this


@dataclass(frozen=True)
class Determined:
    """Column ``child`` follows from two others in some rows (total = months x price at month 1)."""

    child: int
    parents: tuple[int, int]
    weight: Floats


@dataclass(frozen=True)
class Chance:
    """Evidence weights in nats, (n, columns); see the module docstring.

    Attributes:
        parent: position of each column's parent in the tree; -1 for the root.
        alone: weight of agreeing in a column by itself.
        given: weight of agreeing in a column, given that the parent agrees too.
        determined: columns that follow from two others.
    """

    parent: tuple[int, ...]
    alone: Floats
    given: Floats
    determined: tuple[Determined, ...]

    def evidence(self, agree: NDArray[np.bool_], rows: NDArray[np.intp]) -> Floats:
        """Nats of evidence of pairs (p, columns) that agree where told, by the values of rows."""
        total = np.zeros(len(agree))
        for column in range(agree.shape[1]):
            weight = self._weight(column, agree, rows)
            total += np.where(agree[:, column], weight, 0.0)
        return total

    def _weight(self, column: int, agree: NDArray[np.bool_], rows: NDArray[np.intp]) -> Floats:
        weight = self.alone[rows, column]
        parent = self.parent[column]
        if parent >= 0:
            weight = np.where(agree[:, parent], self.given[rows, column], weight)
        for rule in self.determined:
            if rule.child == column:
                both = agree[:, rule.parents[0]] & agree[:, rule.parents[1]]
                weight = np.where(both, np.minimum(weight, rule.weight[rows]), weight)
        return weight


def chance_model(content: Content) -> Chance:
    """Fit the null model to rows without exact duplicates."""
    coarse = _coarse(content)
    parent = _dependence_tree(coarse[:_SAMPLE_ROWS])
    alone = np.stack([_alone(content.codes[:, c]) for c in range(len(parent))], axis=1)
    given = [
        alone[:, c] if p < 0 else _given(content.codes[:, c], coarse[:, p], alone[:, c])
        for c, p in enumerate(parent)
    ]
    return Chance(parent, alone, np.stack(given, axis=1), _determined(content, coarse))


def _alone(codes: Codes) -> Floats:
    seen = np.bincount(codes)[codes]
    return -np.log((np.maximum(seen - 2, 0) + 0.5) / len(codes))


def _given(codes: Codes, parent: Codes, alone: Floats) -> Floats:
    joint = codes.astype(np.int64) * (int(parent.max()) + 1) + parent
    _, inverse, counts = np.unique(joint, return_inverse=True, return_counts=True)
    both = np.maximum(counts[inverse] - 2, 0)
    of_parent = np.maximum(np.bincount(parent)[parent] - 2, 0)
    return -np.log((both + _PRIOR_ROWS * np.exp(-alone)) / (of_parent + _PRIOR_ROWS))


def _coarse(content: Content) -> Codes:
    """Codes with few levels: frequent values stay, other numbers fall into quantile bins."""
    columns = [
        _coarse_column(
            content.codes[:, c],
            content.scaled[:, content.numbers.index(c)] if c in content.numbers else None,
        )
        for c in range(content.codes.shape[1])
    ]
    return np.stack(columns, axis=1)


def _coarse_column(codes: Codes, scaled: NDArray[np.int64] | None) -> Codes:
    counts = np.bincount(codes)
    if len(counts) <= 2 * _BINS or scaled is None:
        return codes
    edges = np.unique(np.quantile(scaled, np.linspace(0, 1, _BINS + 1)[1:-1], method="lower"))
    bins = np.searchsorted(edges, scaled)
    frequent = counts[codes] >= max(30.0, 0.004 * len(codes))
    mixed = np.where(frequent, codes.astype(np.int64) + len(edges) + 2, bins)
    return np.unique(mixed, return_inverse=True)[1].astype(np.int32)


def _dependence_tree(coarse: Codes) -> tuple[int, ...]:
    """Maximum spanning tree of mutual information (Chow-Liu), grown from column 0 (Prim)."""
    shared = _mutual_information(coarse)
    parent = [-1] * len(shared)
    waiting = set(range(1, len(shared)))
    nearest = dict.fromkeys(waiting, 0)
    while waiting:
        best = max(sorted(waiting), key=lambda c: shared[nearest[c], c])
        parent[best] = nearest.pop(best)
        waiting.remove(best)
        nearest = {c: best if shared[best, c] > shared[p, c] else p for c, p in nearest.items()}
    return tuple(parent)


def _mutual_information(coarse: Codes) -> Floats:
    """Pairwise mutual information in nats, Miller-Madow bias removed."""
    num_rows, num_columns = coarse.shape
    levels = coarse.max(axis=0) + 1
    shared = np.zeros((num_columns, num_columns))
    for a, b in itertools.combinations(range(num_columns), 2):
        joint = coarse[:, a].astype(np.int64) * levels[b] + coarse[:, b]
        table = np.bincount(joint, minlength=levels[a] * levels[b]).reshape(levels[a], levels[b])
        shared[a, b] = shared[b, a] = _information(table / num_rows, num_rows)
    return shared


def _information(table: Floats, num_rows: int) -> float:
    left, right = table.sum(axis=1, keepdims=True), table.sum(axis=0, keepdims=True)
    cells = table > 0
    value = float((table[cells] * np.log((table / (left * right + (~cells)))[cells])).sum())
    spare = cells.sum() - (left > 0).sum() - (right > 0).sum() + 1
    return value - float(spare) / (2 * num_rows)


def _determined(content: Content, coarse: Codes) -> tuple[Determined, ...]:
    """Number columns that two others fix, judged on pairs that are plainly different customers."""
    levels = {c: int(content.codes[:, c].max()) for c in content.numbers}
    order = sorted(levels, key=lambda c: (levels[c], c))[-_MAX_RULE_COLUMNS:]
    found = []
    for first, second in itertools.combinations(order, 2):
        left, right = _different_pairs(content.codes, (first, second))
        for child in order[order.index(second) + 1 :]:
            rule = _rule(content.codes, coarse, (child, first, second), (left, right))
            if rule is not None:
                found.append(rule)
    return tuple(found)


def _different_pairs(
    codes: Codes, given: tuple[int, int]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs that agree in two columns and differ in a quarter of all columns or more."""
    part = codes[:_SAMPLE_ROWS]
    key = part[:, given[0]].astype(np.int64) * (int(part[:, given[1]].max()) + 1)
    key += part[:, given[1]]
    order = np.argsort(key, kind="stable")
    lefts, rights = [], []
    for step in range(1, _WINDOW + 1):
        left, right = order[:-step], order[step:]
        same = key[left] == key[right]
        left, right = left[same], right[same]
        differ = (part[left] != part[right]).sum(axis=1) >= part.shape[1] / 4
        lefts.append(left[differ])
        rights.append(right[differ])
    return np.concatenate(lefts), np.concatenate(rights)


def _rule(
    codes: Codes,
    coarse: Codes,
    columns: tuple[int, int, int],
    pairs: tuple[NDArray[np.intp], NDArray[np.intp]],
) -> Determined | None:
    child, first, second = columns
    left, right = pairs
    agree = codes[left, child] == codes[right, child]
    tables = [_agreement(coarse[:, p], left, agree) for p in (first, second)]
    if max(table.max() for table in tables) <= _FIXED:
        return None
    levels = coarse[:, first], coarse[:, second]
    chance = np.maximum(tables[0][levels[0]], tables[1][levels[1]])
    fixed = chance > _FIXED
    weight = np.where(fixed, -np.log(np.where(fixed, chance, 1.0)), np.inf)
    return Determined(child, (first, second), weight)


def _agreement(level: Codes, left: NDArray[np.intp], agree: NDArray[np.bool_]) -> Floats:
    """Chance that the child agrees, pooled over the pairs at each coarse level."""
    size = int(level.max()) + 1
    pairs = np.bincount(level[left], minlength=size)
    hits = np.bincount(level[left], weights=agree, minlength=size)
    return np.asarray(hits / (pairs + 1.0))
