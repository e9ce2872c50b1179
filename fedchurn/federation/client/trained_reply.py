"""The reply to ``local_epochs``: how far a client moved, and sums over its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedchurn.federation.client.update import Noise, UpdateRules, leaving, numbers_leaving
from fedchurn.federation.exchange import Reply
from fedchurn.federation.updates import flat
from fedchurn.learning.spec import Weights

if TYPE_CHECKING:
    from fedchurn.learning.keras_epochs import LocalUpdate


def update_reply(
    client: str,
    before: Weights,
    trained: LocalUpdate,
    rules: UpdateRules,
    noise: Noise | None = None,
) -> Reply:
    """The update as the rules let it leave; ``num_rows``, ``loss_sum`` and ``num_right`` add up."""
    numbers = {
        "num_rows": float(trained.num_rows),
        "loss_sum": trained.loss * trained.num_rows,
        "num_right": trained.accuracy * trained.num_rows,
    }
    update = flat(trained.weights) - flat(before)
    arrays = leaving(update, rules, trained.num_rows, noise)
    return Reply(client, arrays, numbers_leaving(update, rules, numbers))
