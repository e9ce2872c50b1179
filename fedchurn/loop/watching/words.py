"""What a window's record says in words."""

from __future__ import annotations

from collections.abc import Sequence

from fedchurn.drift.verdict import RELATION_COLUMN, SCORE_COLUMN, DriftVerdict, Verdict
from fedchurn.loop.watching.evidence import Evidence

_OWN_NAMES = {
    SCORE_COLUMN: "the churn probability",
    RELATION_COLUMN: "how columns go together",
}
_MAX_NAMED = 5


def summary(evidence: Evidence, num_customers: int) -> str:
    """The verdict in a sentence, and one more for each other kind of evidence."""
    said = [of_columns(evidence.drift, num_customers)]
    is_quiet = evidence.verdict is Verdict.NONE  # where one client's warning is no news
    if evidence.clients is not None and evidence.clients.named and not is_quiet:
        said.append(evidence.clients.summary)
    if evidence.by_labels is not None and evidence.verdict_by_labels is not Verdict.NONE:
        decay = evidence.by_labels["decay"]
        said.append(f"{decay['summary']}, by {decay['num_labels']} mature labels.".capitalize())
    return " ".join(said)


def of_columns(found: DriftVerdict, num_customers: int) -> str:
    """What is said of columns, in one sentence."""
    of = f"{num_customers:,} customers"
    if found.verdict is Verdict.DRIFT:
        names = listed([column_name(column.column) for column in found.drifted])
        return f"Drift in {of}: {names} {_differ(len(found.drifted))} from the training rows."
    if found.verdict is Verdict.WARNING:
        names = listed([column_name(column.column) for column in found.warned])
        return f"Warning in {of}: {names} may have changed; drift if it lasts."
    if found.verdict is Verdict.TOO_FEW_ROWS:
        return f"{of} are too few for a verdict."
    return f"No drift in {of}: {len(found.columns)} columns look like the training rows."


def column_name(name: str) -> str:
    """A column as people call it."""
    return _OWN_NAMES.get(name, name)


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``, ``a, b, c, d, e and 4 more``.

    >>> listed(["a", "b", "c"]), listed(list("abcdefg"))
    ('a, b and c', 'a, b, c, d, e and 2 more')
    """
    named = list(names[:_MAX_NAMED])
    if len(names) > _MAX_NAMED:
        named.append(f"{len(names) - _MAX_NAMED} more")
    if len(named) < 2:
        return "".join(named)
    return f"{', '.join(named[:-1])} and {named[-1]}"


def _differ(num_columns: int) -> str:
    return "differs" if num_columns == 1 else "differ"
