"""Which answers may be summed, and what is left out of them because it is no sum."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

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


def sums_request(request: Request) -> Request:
    """The request, with updates asked for as weighted sums.

    Raises:
        FederationError: see ``check_summable``.
    """
    check_summable(request.task)
    if request.task != "local_epochs":
        return request
    rules = {**json.loads(str(request.config.get("update", "{}"))), "weighted_sum": True}
    return replace(request, config={**request.config, "update": json.dumps(rules, sort_keys=True)})


def sums_of(request: Request, reply: Reply) -> tuple[Arrays, Mapping[str, float]]:
    """Arrays and scalars of a client's answer that may be added to others'.

    Raises:
        FederationError: the answer is no sum.
    """
    check_summable(request.task)
    if request.task == "statistics":
        return arrays_without_ranges(reply.arrays), reply.numbers
    if request.task == "compare":
        # The registry's mathematics are needed by this task only.
        from fedchurn.registry.comparison import ClientComparison

        comparison = ClientComparison.from_numbers(reply.client, reply.numbers)
        return reply.arrays, {**comparison.to_sums(), "num_rows": reply.numbers["num_rows"]}
    if request.task == "local_epochs":
        rules = json.loads(str(request.config.get("update", "{}")))
        if not rules.get("weighted_sum") or rules.get("compression", "none") == "top_k":
            raise FederationError(
                "an update that is not a weighted sum over all places cannot be added",
                next_step="ask with update.weighted_sum, without top_k",
            )
    return reply.arrays, reply.numbers
