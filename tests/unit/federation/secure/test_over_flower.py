"""The protocol over Flower's messages, with clients whose process is another one every time."""

from __future__ import annotations

from flwr.app import Context

from fedchurn.federation.exchange import ClientHandler, Exchange, Request
from fedchurn.federation.flower.app import make_client_app, make_server_app
from fedchurn.federation.flower.grid import InProcessGrid, node_contexts
from fedchurn.federation.secure.client import SecureHandler
from fedchurn.federation.secure.exchange import SecureExchange
from fedchurn.federation.secure.store_flower import with_context
from tests.unit.federation.secure.test_sums import check_sum, summed
from tests.unit.federation.secure.vectors import ON, QUESTION, holders


def test_secrets_live_in_what_flower_keeps_for_a_node() -> None:
    clients = holders(4)

    def born_for(context: Context) -> ClientHandler:
        name = str(context.node_config["client"])
        return with_context(SecureHandler(name, clients[name], ON), context)

    def name_of(context: Context) -> str:
        return str(context.node_config["client"])

    def drive(exchange: Exchange, _context: Context) -> None:
        secure = SecureExchange(exchange, ON)
        for round_num in (1, 2):
            question = Request("newton", round_num, QUESTION.arrays, QUESTION.config)
            check_sum(summed(secure.ask(question)), clients, ("a", "b", "c", "d"))
        done.append(secure.last_cost.bytes_up["a"])

    done: list[int] = []
    contexts = node_contexts(clients)
    app = make_server_app(drive, num_clients=4)
    app(InProcessGrid(make_client_app(born_for, name_of), contexts), contexts[1])
    assert done
    assert all("secure" in context.state.config_records for context in contexts.values())
