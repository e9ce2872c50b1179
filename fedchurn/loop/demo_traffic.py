"""What callers of a service do in a demo: ask about customers, and tell what these really did."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fedchurn.data.sample_customers import Customer
from fedchurn.loop.bento_server import BentoServer, failed
from fedchurn.serving.log.log_reader import read_predictions

LOG_SECONDS = 20.0  # the service writes its log four times a second
POLL_SECONDS = 0.05

Answer = dict[str, Any]


def ask_about(server: BentoServer, customers: Sequence[Customer]) -> list[Answer]:
    """Answers about a batch of customers, in order.

    Raises:
        PackageError: the service refused, or left one out.
    """
    told = server.ask("POST", "/predict/batch", {"customers": [c.row for c in customers]})
    answers: list[Answer] = told["predictions"]
    if len(answers) != len(customers):
        raise failed(
            server.bento,
            f"answered {len(answers)} of {len(customers)} customers: {told['errors'][:1]}",
        )
    return answers


def tell_truth(
    server: BentoServer, answers: Sequence[Answer], customers: Sequence[Customer]
) -> int:
    """Say of each answered customer what really happened; returns how many left.

    Raises:
        PackageError: the service did not take it, or does not know its own answer.
    """
    truths = [
        {"prediction_id": answer["prediction_id"], "label": customer.label}
        for answer, customer in zip(answers, customers, strict=True)
    ]
    for receipt in server.ask_each("POST", "/feedback", truths):
        if not receipt["is_known"]:
            raise failed(server.bento, f"does not know its own answer: {receipt}")
    return sum(customer.label for customer in customers)


def await_logged(server: BentoServer, folder: Path, answers: Iterable[Answer]) -> None:
    """Wait until the prediction log in ``folder`` holds all ``answers``.

    Raises:
        PackageError: it does not come to hold them.
    """
    missing = {str(answer["prediction_id"]) for answer in answers}
    end = time.monotonic() + LOG_SECONDS
    while missing:
        missing -= {one.prediction_id for one in read_predictions(folder)}
        if missing and time.monotonic() > end:
            raise failed(server.bento, f"did not log {len(missing)} of its answers in {folder}")
        time.sleep(POLL_SECONDS)
