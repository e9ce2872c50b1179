"""Which rows are copies of one customer: exact, shifted by a constant, or altered in a few columns.

Copies that stand on both sides of a split turn evaluation into a test of memory, so every split is
made on the groups found here. Nothing about a file is assumed: no offsets, amounts or column names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fedchurn.contract.columns import Columns
from fedchurn.contract.schema import Contract
from fedchurn.quality.chance import Chance, chance_model
from fedchurn.quality.content import Content, hash_codes, hash_columns, row_content
from fedchurn.quality.copy_words import altered_words, exact_words, shift_words
from fedchurn.quality.near_copies import (
    NO_PAIRS,
    Effort,
    Pairs,
    effort_for,
    join_pairs,
    near_pairs,
    near_pairs_across,
    offset_pairs,
    without,
)
from fedchurn.quality.shifts import Shift, constant_shifts, moved_codes

_MAX_CHAIN_ROWS = 50
_MAX_CHAIN_SHARE = 0.01
_CROSS_SHIFT_ROWS = 400_000  # above it a shift joins exact matches and repeated offsets only


@dataclass(frozen=True)
class CopyGroups:
    """Customers behind n rows.

    Attributes:
        groups: int64 (n,), 0-based customer of each row, numbered by first appearance.
        num_customers: number of groups.
        num_exact_duplicates: rows equal to an earlier row in every contract column (label aside).
        num_rows_in_copies: rows in groups of two or more.
        patterns: what was found, in words.
    """

    groups: NDArray[np.int64]
    num_customers: int
    num_exact_duplicates: int
    num_rows_in_copies: int
    patterns: tuple[str, ...]


def copy_groups(
    columns: Columns,
    target: NDArray[np.int8],
    contract: Contract,
    *,
    effort: Effort | None = None,
) -> CopyGroups:
    """Group the rows of one table by customer.

    Three searches, each over what the one before has left distinct: exact duplicates of the
    contract's columns (one hash); pairs that differ by one constant shift (``quality.shifts``);
    pairs altered in a few columns, found by blocking and judged by a null model
    (``quality.near_copies``). A missing value is a value of its own. Only exact duplicates are
    certain by definition; the other two ask for evidence beyond chance, and chance here knows how
    columns depend on each other.

    Args:
        columns: canonical columns of n rows; derived features are ignored. target: labels, 0 or 1.
        contract: names the columns that count. effort: the scale knob: how many columns may be
        altered, and how many sorted passes that takes.
            By default 4 columns (35 passes) up to 200,000 rows and 2 columns (10 passes) beyond;
            ``Effort(0, 1)`` looks for exact duplicates and shifts alone. Memory stays within some
            hundred bytes per row and column.

    Returns:
        The groups; without any copies every row is its own customer.
    """
    if len(target) == 0:
        return CopyGroups(np.empty(0, dtype=np.int64), 0, 0, 0, ())
    content = row_content(columns, target, contract)
    same_features = hash_codes(content.codes, tuple(range(len(content.names) - 1)))
    _, twin = np.unique(same_features, return_inverse=True)
    num_exact = len(twin) - (int(twin.max()) + 1)
    places, repeats = _distinct(content)
    pairs, words = _copies_among(content, places, repeats, effort)
    nodes = Pairs(twin[places[pairs.left]], twin[places[pairs.right]])
    groups = _number_by_first(_components(nodes, int(twin.max()) + 1)[twin])
    sizes = np.bincount(groups)
    return CopyGroups(
        groups=groups,
        num_customers=len(sizes),
        num_exact_duplicates=num_exact,
        num_rows_in_copies=int(sizes[sizes > 1].sum()),
        patterns=(*exact_words(num_exact), *words),
    )


def given_groups(groups: NDArray[np.int64], is_repeat: NDArray[np.bool_]) -> CopyGroups:
    """Groups that were found on a larger table, of which these rows are a part.

    Args:
        groups: customer of each row, any numbers.
        is_repeat: rows equal to an earlier one in every contract column.
    """
    numbered = _number_by_first(groups)
    sizes = np.bincount(numbered)
    num_copies = int(sizes[sizes > 1].sum())
    words = f"{num_copies} rows share a customer with another row of this client"
    return CopyGroups(
        groups=numbered,
        num_customers=len(sizes),
        num_exact_duplicates=int(is_repeat.sum()),
        num_rows_in_copies=num_copies,
        patterns=(words,) if num_copies else (),
    )


def group_keys(columns: Columns, groups: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Content hash of each row's group, (n,): the smallest row hash in the group.

    It depends neither on row order nor on group numbers, and stays when other customers' rows come.
    """
    if len(groups) == 0:
        return np.empty(0, dtype=np.uint64)
    hashes = hash_columns(columns)
    _, member = np.unique(groups, return_inverse=True)
    smallest = np.full(int(member.max()) + 1, np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(smallest, member, hashes)
    return smallest[member]


def _distinct(content: Content) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """First position of each distinct content (label included), and how often it occurs."""
    everything = hash_codes(content.codes, tuple(range(len(content.names))))
    _, first, counts = np.unique(everything, return_index=True, return_counts=True)
    order = np.argsort(first, kind="stable")
    return first[order], counts[order].astype(np.int64)


def _copies_among(
    content: Content, places: NDArray[np.intp], repeats: NDArray[np.int64], effort: Effort | None
) -> tuple[Pairs, tuple[str, ...]]:
    """Pairs of distinct rows (numbered as in ``places``) that are copies, and words about them."""
    if len(places) < 3:
        return NO_PAIRS, ()
    rows = content.take(places)
    chance = chance_model(rows)
    effort = effort or effort_for(len(places), len(content.names))
    words: list[str] = []
    parts = [NO_PAIRS]
    for shift in constant_shifts(rows, chance):
        pairs = _shift_pairs(rows, chance, places, shift, effort)
        words.append(shift_words(rows, shift.amounts, pairs, repeats, places))
        parts.append(pairs)
    near, chained = _unchained(_near(rows, chance, places, effort), len(places))
    shifted = join_pairs(parts)
    words.extend(altered_words(rows, without(near, shifted), repeats, places, chained))
    return join_pairs([shifted, near]), tuple(words)


def _shift_pairs(
    rows: Content, chance: Chance, places: NDArray[np.intp], shift: Shift, effort: Effort
) -> Pairs:
    moved = moved_codes(rows, shift.amounts)
    found = shift.pairs
    if effort.altered and rows.num_rows <= _CROSS_SHIFT_ROWS:
        found = join_pairs([found, near_pairs_across(rows.codes, moved, chance, effort)])
    return join_pairs([found, offset_pairs(rows.codes, moved, chance, places, found)])


def _near(rows: Content, chance: Chance, places: NDArray[np.intp], effort: Effort) -> Pairs:
    if not effort.altered:
        return NO_PAIRS
    found = near_pairs(rows.codes, chance, effort)
    return join_pairs([found, offset_pairs(rows.codes, rows.codes, chance, places, found)])


def _unchained(pairs: Pairs, num_rows: int) -> tuple[Pairs, int]:
    """No pairs, and the longest chain, where pair by pair many rows would become one customer."""
    if not len(pairs):
        return pairs, 0
    longest = int(np.bincount(_components(pairs, num_rows)).max())
    if longest > max(_MAX_CHAIN_ROWS, _MAX_CHAIN_SHARE * num_rows):
        return NO_PAIRS, longest
    return pairs, 0


def _components(pairs: Pairs, num_nodes: int) -> NDArray[np.int32]:
    links = coo_array(
        (np.ones(len(pairs), dtype=np.int8), (pairs.left, pairs.right)),
        shape=(num_nodes, num_nodes),
    )
    return connected_components(links, directed=False)[1]


def _number_by_first(labels: NDArray[np.int32] | NDArray[np.int64]) -> NDArray[np.int64]:
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[inverse]


__all__: Sequence[str] = ("CopyGroups", "Effort", "copy_groups", "group_keys")
