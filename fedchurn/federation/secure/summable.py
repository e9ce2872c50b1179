"""Which answers may be summed, and what is left out of them because it is no sum."""

from __future__ import annotations

import json
from collections.abc import Mapping

from fedchurn.encoding.statistics import arrays_without_ranges
from fedchurn.errors import FederationError
from fedchurn.federation.exchange import Arrays, Reply, Request

SUMMABLE = (
    "compare",
    "dependence",
    "evaluate",
    "held_out",
    "labels",
    "local_epochs",
    "newton",
    "statistics",
)
PLAIN = ("join",)  # facts by which clients are known: sizes and digests
WIDE = ("statistics",)  # squares of a column of money, summed, leave too little of 64 bits


def check_summable(task: str) -> None:
    """Refuse tasks whose answers are not sums.

    Raises:
        FederationError: the task is not among ``SUMMABLE``.
    """
    if task not in SUMMABLE:
        raise FederationError(
            f"answers to {task!r} are not sums, so they cannot leave under secure aggregation",
            where="federation.secure",
            next_step=f"ask for sums ({', '.join(SUMMABLE)}), or switch federation.secure.on off",
        )


def check_request(request: Request) -> None:
    """Refuse questions whose answers cannot be added.

    Raises:
        FederationError: the task is not among ``SUMMABLE``, or updates are not asked for as
            weighted sums.
    """
    check_summable(request.task)
    if request.task != "local_epochs":
        return
    if not json.loads(str(request.config["update"])).get("summed"):
        raise FederationError(
            "updates were not asked for as weighted sums, so they cannot be added",
            where="federation.secure",
            next_step="train with RoundPolicy(summed=True)",
        )


def sums_of(request: Request, reply: Reply) -> tuple[Arrays, Mapping[str, float]]:
    """Arrays and scalars of a client's answer that may be added to others'.

    Raises:
        FederationError: the answer is no sum.
    """
    check_request(request)
    if request.task == "statistics":
        return arrays_without_ranges(reply.arrays), reply.numbers
    if request.task == "compare":
        # The registry's mathematics are needed by this task only.
        from fedchurn.registry.comparison import ClientComparison

        comparison = ClientComparison.from_numbers(reply.client, reply.numbers)
        return reply.arrays, {**comparison.to_sums(), "num_rows": reply.numbers["num_rows"]}
    return reply.arrays, reply.numbers
