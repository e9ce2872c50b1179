"""The exchange over a Flower grid: discovery, deadlines and replies that answer something else."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from fedchurn.errors import FederationError
from fedchurn.federation.exchange import Exchange, Reply, Request
from fedchurn.federation.flower.app import GridExchange, make_client_app
from fedchurn.federation.flower.grid import InProcessGrid, node_contexts, run_in_process
from fedchurn.federation.flower.messages import reply_content, request_of


class Echo:
    def __init__(self, client: str) -> None:
        self.client = client

    def handle(self, request: Request) -> Reply:
        return Reply(self.client, request.arrays)


def named(context: Context) -> str:
    return str(context.node_config["client"])


def echo_app() -> ClientApp:
    return make_client_app(lambda context: Echo(named(context)), named)


class Roster(InProcessGrid):
    """A grid whose nodes come and go, and which keeps what was sent."""

    def __init__(self, app: ClientApp, contexts: dict[int, Context]) -> None:
        super().__init__(app, contexts)
        self.away: set[int] = set()
        self.sent: list[Message] = []

    def get_node_ids(self) -> Iterable[int]:
        return [node for node in super().get_node_ids() if node not in self.away]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        kept = list(messages)
        self.sent += kept
        return super().push_messages(kept)


def test_messages_live_no_longer_than_the_deadline_and_carry_the_round() -> None:
    grid = Roster(echo_app(), node_contexts(["a", "b"]))
    GridExchange(grid).ask(Request("local_epochs", 4), timeout_seconds=30)
    asked = grid.sent[2:]
    assert [m.metadata.ttl for m in asked] == [30, 30]
    assert {m.metadata.message_type for m in asked} == {"train"}
    assert {m.metadata.group_id for m in asked} == {"4"}
    assert len({id(m.content) for m in asked}) == 2


def test_names_are_asked_for_once() -> None:
    grid = Roster(echo_app(), node_contexts(["a", "b"]))
    exchange = GridExchange(grid)
    for round_num in (1, 2):
        exchange.ask(Request("newton", round_num))
    tasks = [request_of(m.content).task for m in grid.sent]
    assert tasks == ["hello"] * 2 + ["newton"] * 4


def test_a_client_that_left_is_absent_and_may_come_back_as_another_node() -> None:
    contexts = node_contexts(["a", "b"])
    contexts[9] = node_contexts(["a"])[1]
    contexts[9].node_id = 9
    grid = Roster(echo_app(), contexts)
    grid.away = {9}
    exchange = GridExchange(grid, num_clients=2)
    grid.away = {1, 9}
    replies = exchange.ask(Request("newton", 1))
    assert [(r.client, r.error) for r in replies] == [("a", "not connected"), ("b", "")]
    grid.away = {1}
    assert [r.error for r in exchange.ask(Request("newton", 2))] == ["", ""]
    assert exchange.clients() == ("a", "b")


def test_two_nodes_of_one_name_are_refused() -> None:
    contexts = node_contexts(["a", "b"])
    contexts[2].node_config["client"] = "a"
    with pytest.raises(FederationError, match="nodes 1 and 2 both call themselves 'a'"):
        GridExchange(InProcessGrid(echo_app(), contexts))


def test_too_few_clients_say_who_is_there() -> None:
    grid = InProcessGrid(echo_app(), node_contexts(["a"]))
    with pytest.raises(FederationError, match=r"1 of 3 clients connected within 0\.05 s: a"):
        GridExchange(grid, num_clients=3, connect_timeout_seconds=0.05)


def test_a_reply_to_another_round_or_task_is_refused() -> None:
    app = ClientApp()

    def late(message: Message, context: Context) -> Message:
        request = request_of(message.content)
        if request.task != "hello":
            request = Request("newton", 1)
        return Message(reply_content(Reply("a", {"x": np.ones(1)}), request), reply_to=message)

    for register in (app.train, app.query, app.evaluate):
        register()(late)
    exchange = GridExchange(InProcessGrid(app, node_contexts(["a"])))
    assert exchange.ask(Request("newton", 1))[0].error == ""
    (reply,) = exchange.ask(Request("newton", 2))
    assert reply.error == "stale reply: answers newton of round 1, asked was newton of round 2"
    assert not reply.arrays
    assert "asked was evaluate of round 1" in exchange.ask(Request("evaluate", 1))[0].error


def test_a_handler_that_cannot_be_built_is_an_error_of_its_client() -> None:
    def build(context: Context) -> Echo:
        if named(context) == "b":
            raise FileNotFoundError("b.npz")
        return Echo(named(context))

    exchange = GridExchange(
        InProcessGrid(make_client_app(build, named), node_contexts(["a", "b"])), num_clients=2
    )
    errors = [reply.error for reply in exchange.ask(Request("newton", 1))]
    assert errors == ["", "FileNotFoundError: b.npz"]


def test_an_array_that_only_a_pickle_could_carry_is_an_error_of_its_client() -> None:
    class Sending:
        def handle(self, request: Request) -> Reply:
            return Reply("a", {"x": np.array([{}], dtype=object)})

    app = make_client_app(lambda context: Sending(), named)
    (reply,) = GridExchange(InProcessGrid(app, node_contexts(["a"]))).ask(Request("newton", 1))
    assert "Object arrays cannot be saved" in reply.error


def test_a_server_app_drives_client_apps_in_this_process() -> None:
    answered: list[Reply] = []

    def drive(exchange: Exchange, context: Context) -> None:
        answered.extend(exchange.ask(Request("newton", 1, {"x": np.arange(3)})))

    run_in_process(drive, {"b": Echo("b"), "a": Echo("a")})
    assert [reply.client for reply in answered] == ["a", "b"]
    assert [reply.arrays["x"].tolist() for reply in answered] == [[0, 1, 2]] * 2


def test_what_the_driver_raises_ends_the_run() -> None:
    def drive(exchange: Exchange, context: Context) -> None:
        raise FederationError("quorum lost")

    with pytest.raises(FederationError, match="quorum lost"):
        run_in_process(drive, {"a": Echo("a")})
