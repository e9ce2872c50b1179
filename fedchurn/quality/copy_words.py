"""Copies in words: what a person reads about the pairs that were found."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from fedchurn.quality.content import Content
from fedchurn.quality.near_copies import Pairs, repeated_offsets

_SHOWN_COLUMNS = 4


def exact_words(num_exact: int) -> tuple[str, ...]:
    """``557 rows equal an earlier row in every column (label aside)``."""
    return (f"{num_exact} rows equal an earlier row in every column",) if num_exact else ()


def shift_words(
    rows: Content,
    amounts: tuple[int, ...],
    pairs: Pairs,
    repeats: NDArray[np.int64],
    places: NDArray[np.intp],
) -> str:
    """``2815 pairs: same categories and label, +1 on 9 number columns, +25 on CashbackAmount``."""
    pure = _purely_shifted(rows, amounts, pairs)
    count = num_row_pairs(pure, repeats)
    return f"{count} pairs: same categories and label, {_amounts(rows, amounts)}" + _apart(
        pure, places, repeats
    )


def altered_words(
    rows: Content,
    pairs: Pairs,
    repeats: NDArray[np.int64],
    places: NDArray[np.intp],
    chained: int,
) -> tuple[str, ...]:
    """``2133 pairs alike but for up to 5 columns (CouponUsed in 1262, MaritalStatus in 864)``."""
    if chained:
        return (
            "pairs alike but for a few columns were left apart: they would chain "
            f"{chained} different rows into one customer",
        )
    if not len(pairs):
        return ()
    pairs = _unique(pairs)
    differ = rows.codes[pairs.left] != rows.codes[pairs.right]
    counts = differ.sum(axis=0)
    order = np.argsort(-counts, kind="stable")[:_SHOWN_COLUMNS]
    columns = ", ".join(f"{rows.names[c]} in {counts[c]}" for c in order if counts[c])
    most = int(differ.sum(axis=1).max())
    limit = "one column" if most == 1 else f"up to {most} columns"
    return (
        f"{len(pairs)} pairs alike but for {limit} ({columns})" + _apart(pairs, places, repeats),
    )


def num_row_pairs(pairs: Pairs, repeats: NDArray[np.int64]) -> int:
    """Pairs of rows behind pairs of distinct contents, where each row has one partner."""
    return int(min(repeats[np.unique(side)].sum() for side in (pairs.left, pairs.right)))


def _unique(pairs: Pairs) -> Pairs:
    low, high = np.minimum(pairs.left, pairs.right), np.maximum(pairs.left, pairs.right)
    both = np.unique(np.stack([low, high], axis=1), axis=0)
    return Pairs(both[:, 0], both[:, 1])


def _purely_shifted(rows: Content, amounts: tuple[int, ...], pairs: Pairs) -> Pairs:
    others = [c for c in range(len(rows.names)) if c not in rows.numbers]
    same = (rows.codes[pairs.left][:, others] == rows.codes[pairs.right][:, others]).all(axis=1)
    known = ~(rows.missing[pairs.left] | rows.missing[pairs.right])
    moved = rows.scaled[pairs.left] + np.asarray(amounts) == rows.scaled[pairs.right]
    keep = same & (moved | ~known).all(axis=1)
    return Pairs(pairs.left[keep], pairs.right[keep])


def _amounts(rows: Content, amounts: tuple[int, ...]) -> str:
    shown = [f"{a * s:+g}" if a else "" for a, s in zip(amounts, rows.steps, strict=True)]
    names = dict(zip(shown, (rows.names[c] for c in rows.numbers), strict=True))
    counts = Counter(s for s in shown if s)
    return ", ".join(
        f"{amount} on {names[amount] if count == 1 else f'{count} number columns'}"
        for amount, count in counts.most_common()
    )


def _apart(pairs: Pairs, places: NDArray[np.intp], repeats: NDArray[np.int64]) -> str:
    offsets = repeated_offsets(places[pairs.left], places[pairs.right], int(repeats.sum()))
    if not offsets or offsets[0][1] < len(pairs) / 2:
        return ""
    return f"; most stand {abs(offsets[0][0])} rows apart"
