"""What secure aggregation costs per question and client: processor time and bytes.

Run as ``python -m benchmarks.federation.secure_cost``; about a minute. Clients and server run in
this process, so the time is that of the whole federation by clients, without any network.
"""

from __future__ import annotations

import time

import numpy as np

from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.exchange import ClientHandler, Exchange, Reply, Request
from fedchurn.federation.secure.client import SecureHandler
from fedchurn.federation.secure.exchange import SecureExchange
from fedchurn.settings_secure import SecureSettings

ON = SecureSettings(on=True)
NUM_QUESTIONS = 8


class Holder:
    """A client with a vector of float64."""

    def __init__(self, client: str, size: int) -> None:
        self.client = client
        self.vector = np.random.default_rng(0).normal(size=size)

    def handle(self, request: Request) -> Reply:  # noqa: ARG002
        return Reply(self.client, {"vector": self.vector}, {"num_rows": 1.0})


def seconds_per_question(exchange: Exchange) -> float:
    """Mean over as many questions as one setup serves."""
    begun = time.process_time()
    for round_num in range(1, NUM_QUESTIONS + 1):
        exchange.ask(Request("newton", round_num))
    return (time.process_time() - begun) / NUM_QUESTIONS


def measure(num_clients: int, size: int, questions_per_setup: int) -> dict[str, float]:
    """Seconds and kB per question and client."""
    clients: dict[str, ClientHandler] = {
        name: Holder(name, size) for name in (f"c{number:03}" for number in range(num_clients))
    }
    plain = DirectExchange(clients)
    masked = DirectExchange({n: SecureHandler(n, one, ON) for n, one in clients.items()})
    secure = SecureExchange(masked, ON, num_questions=questions_per_setup)
    found = seconds_per_question(secure), seconds_per_question(plain)
    again = SecureExchange(masked, ON, num_questions=questions_per_setup)
    kilobytes = 0.0
    for round_num in range(1, questions_per_setup + 1):
        again.ask(Request("newton", round_num))
        cost = again.last_cost
        kilobytes += (cost.bytes_up["c000"] + cost.bytes_down["c000"]) / 1000
    return {
        "ms": 1000 * found[0] / num_clients,
        "ms_plain": 1000 * found[1] / num_clients,
        "kB": kilobytes / questions_per_setup,
        "kB_plain": size * 8 / 1000,
    }


def main() -> None:
    print(
        f"{'clients':>8}{'numbers':>9}{'setup for':>10}{'ms':>8}{'plain':>8}{'kB':>9}{'plain':>9}"
    )
    for num_clients, size in ((5, 8_000), (5, 100_000), (10, 100_000), (30, 8_000)):
        for questions in (1, 8):
            m = measure(num_clients, size, questions)
            print(
                f"{num_clients:8}{size:9}{questions:10}{m['ms']:8.2f}{m['ms_plain']:8.2f}"
                f"{m['kB']:9.1f}{m['kB_plain']:9.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
