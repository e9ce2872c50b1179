"""What every exchange promises: the direct one, Flower's grid in this process, the simulation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.exchange import ClientHandler, Exchange, Reply, Request
from fedchurn.federation.flower.app import GridExchange, make_client_app
from fedchurn.federation.flower.grid import InProcessGrid, node_contexts
from fedchurn.federation.simulation.exchange import SimulationExchange

Clock = Callable[[], float]
Build = Callable[[Mapping[str, ClientHandler], Clock], Exchange]


@dataclass
class Settable:
    """A clock that handlers move."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Answering:
    """A client that answers with whatever the function makes of a request."""

    respond: Callable[[Request], Reply]

    def handle(self, request: Request) -> Reply:
        return self.respond(request)


def echo(client: str) -> Answering:
    return Answering(
        lambda request: Reply(client, request.arrays, {"round_num": request.round_num})
    )


def broken(message: str) -> Answering:
    def respond(request: Request) -> Reply:
        raise ValueError(message)

    return Answering(respond)


def direct(handlers: Mapping[str, ClientHandler], clock: Clock) -> Exchange:
    return DirectExchange(handlers, clock)


def in_process_grid(handlers: Mapping[str, ClientHandler], clock: Clock) -> Exchange:
    app = make_client_app(
        lambda context: handlers[str(context.node_config["client"])],
        lambda context: str(context.node_config["client"]),
    )
    return GridExchange(InProcessGrid(app, node_contexts(handlers), clock))


def simulation(handlers: Mapping[str, ClientHandler], clock: Clock) -> Exchange:
    return SimulationExchange(list(handlers), handlers.__getitem__, clock=clock)


@pytest.fixture(params=[direct, in_process_grid, simulation], ids=["direct", "grid", "simulation"])
def build(request: pytest.FixtureRequest) -> Build:
    return request.param


def exchange_of(build: Build, **handlers: ClientHandler) -> Exchange:
    return build(handlers, Settable())


def test_clients_are_sorted(build: Build) -> None:
    assert exchange_of(build, c=echo("c"), a=echo("a"), b=echo("b")).clients() == ("a", "b", "c")


def test_replies_are_sorted_by_client(build: Build) -> None:
    exchange = exchange_of(build, c=echo("c"), a=echo("a"), b=echo("b"))
    assert [r.client for r in exchange.ask(Request("newton", 1))] == ["a", "b", "c"]


def test_only_the_asked_clients_answer_each_once(build: Build) -> None:
    exchange = exchange_of(build, a=echo("a"), b=echo("b"), c=echo("c"))
    replies = exchange.ask(Request("evaluate", 1), clients=["c", "a", "c"])
    assert [r.client for r in replies] == ["a", "c"]


@pytest.mark.parametrize(
    "task",
    ["statistics", "newton", "local_epochs", "evaluate", "compare", "dependence", "held_out"],
)
def test_every_task_reaches_the_handler(build: Build, task: str) -> None:
    handler = Answering(lambda request: Reply("a", numbers={request.task: 1.0}))
    (reply,) = exchange_of(build, a=handler).ask(Request(task, 1))
    assert reply == Reply("a", {}, {task: 1.0})


@pytest.mark.parametrize(
    "array",
    [
        np.array([[1.5, -2.0]], np.float32),
        np.array([1e-300, np.pi, np.nan, np.inf]),
        np.array([2**62, -1], np.int64),
        np.array([2**64 - 1], np.uint64),
        np.array([True, False]),
        np.array(3.5),
        np.zeros((0, 4), np.float32),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(["fibre", "dsl"]),
    ],
    ids=str,
)
def test_arrays_keep_type_shape_and_bits(build: Build, array: NDArray[np.generic]) -> None:
    (reply,) = exchange_of(build, a=echo("a")).ask(Request("newton", 1, {"x": array}))
    got = reply.arrays["x"]
    assert got.dtype == array.dtype
    assert got.shape == array.shape
    assert got.tobytes() == array.tobytes()


def test_settings_keep_type_and_value(build: Build) -> None:
    config = {
        "text": 'é "quoted"',
        "empty": "",
        "seed": 2**62,
        "rate": 0.1,
        "on": True,
        "off": False,
    }
    seen: dict[str, object] = {}

    def respond(request: Request) -> Reply:
        seen.update(request.config)
        return Reply("a")

    exchange_of(build, a=Answering(respond)).ask(Request("newton", 3, config=config))
    assert seen == config
    assert {key: type(value) for key, value in seen.items()} == {
        key: type(value) for key, value in config.items()
    }


def test_numbers_travel_as_floats_also_when_not_finite(build: Build) -> None:
    numbers = {"num_rows": 3.0, "loss": math.inf, "worst": -0.25}
    (reply,) = exchange_of(build, a=Answering(lambda _: Reply("a", numbers=numbers))).ask(
        Request("evaluate", 1)
    )
    assert dict(reply.numbers) == numbers


def test_a_failing_client_is_named_and_the_others_answer(build: Build) -> None:
    exchange = exchange_of(build, a=echo("a"), b=broken("disk is full"), c=echo("c"))
    replies = exchange.ask(Request("newton", 1))
    assert [bool(r.error) for r in replies] == [False, True, False]
    assert replies[1].client == "b"
    assert replies[1].error == "ValueError: disk is full"


def test_an_error_that_a_client_reports_comes_through(build: Build) -> None:
    handler = Answering(lambda _: Reply("a", error="no rows after the split"))
    (reply,) = exchange_of(build, a=handler).ask(Request("newton", 1))
    assert reply.error == "no rows after the split"


def test_a_late_answer_is_refused(build: Build) -> None:
    clock = Settable()

    def slow(request: Request) -> Reply:
        clock.seconds += 31
        return Reply("slow", {"x": np.ones(1)})

    exchange = build({"quick": echo("quick"), "slow": Answering(slow)}, clock)
    replies = exchange.ask(Request("newton", 1), timeout_seconds=30)
    assert replies[0].error == ""
    assert replies[1] == Reply("slow", error="no answer within 30 s")


def test_a_client_that_is_not_there_is_named(build: Build) -> None:
    replies = exchange_of(build, a=echo("a")).ask(Request("newton", 1), clients=["a", "ghost"])
    assert replies[1] == Reply("ghost", error="not connected")


def test_no_client_answers_in_the_name_of_another(build: Build) -> None:
    (reply,) = exchange_of(build, a=echo("b")).ask(Request("newton", 1))
    assert reply == Reply("a", error="answered in the name of 'b'")


def test_a_client_cannot_change_what_others_are_asked(build: Build) -> None:
    def vandal(request: Request) -> Reply:
        request.arrays["x"][:] = 99  # type: ignore[index]
        request.config["split"] = "test"  # type: ignore[index]
        return Reply("a")

    def honest(request: Request) -> Reply:
        assert request.config["split"] == "train"
        return Reply("b", request.arrays)

    array = np.zeros(2)
    exchange = exchange_of(build, a=Answering(vandal), b=Answering(honest))
    replies = exchange.ask(Request("newton", 1, {"x": array}, {"split": "train"}))
    assert replies[1].error == ""
    np.testing.assert_array_equal(replies[1].arrays["x"], [0, 0])
    np.testing.assert_array_equal(array, [0, 0])


def test_handlers_keep_their_memory_between_rounds(build: Build) -> None:
    counted: list[int] = []

    def respond(request: Request) -> Reply:
        counted.append(request.round_num)
        return Reply("a", numbers={"asked": len(counted)})

    exchange = exchange_of(build, a=Answering(respond))
    for round_num in (1, 2, 3):
        (reply,) = exchange.ask(Request("newton", round_num))
        assert reply.numbers["asked"] == round_num
    assert counted == [1, 2, 3]
