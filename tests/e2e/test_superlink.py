"""Engine ``superlink`` for real: a SuperLink with TLS and node authentication, a process per
client, and what befalls them while a model is trained."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from fedchurn.contract.load import contract_digest, load_contract
from fedchurn.contract.schema import Contract
from fedchurn.errors import FederationError, QuorumError
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.exchange import ClientHandler, Exchange, Reply, Request
from fedchurn.federation.flower.grid import run_in_process
from fedchurn.federation.joining.join import Joined, join_clients
from fedchurn.federation.superlink.client import ClientPlace, serve_client
from fedchurn.federation.superlink.driver import run_on_superlink
from fedchurn.federation.superlink.keys import client_key, make_keys, read_private_key
from fedchurn.federation.superlink.status import federation_status
from fedchurn.federation.training.checks import RoundPolicy
from fedchurn.federation.training.state import RoundRecord
from fedchurn.federation.training.train import TrainedModel, train_federated
from fedchurn.loop.client_rows import client_table_from_file
from fedchurn.settings_files import load_settings
from tests.e2e.federation_hosts import PATIENCE_SECONDS, Hosts, hosts, processes_with

CLIENTS = ("a", "b", "c")
SETTINGS = load_settings(None, [])
CONTRACT = load_contract(SETTINGS.contract)
POLICY = RoundPolicy(quorum_fraction=0.6, deadline_seconds=60.0)
DIFFERENCE = 'title: "E-commerce customers" here, "Other customers" there'
STATISTICS = Request("statistics", 0, config={"min_cell_rows": 5})

OnRound = Callable[[RoundRecord], None]


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    folder = tmp_path_factory.mktemp("federation")
    with hosts(folder, CLIENTS) as found:
        make_keys(found.keys, [*CLIENTS, "d"])
        for name in CLIENTS:
            found.start_client(name)  # they wait for the link
        found.start_link()
        for name in CLIENTS:
            found.await_words(name, "connected to")
        yield found


@pytest.fixture(scope="module")
def inprocess(federation: Hosts) -> TrainedModel:
    """The same files, trained in one process."""
    files = {name: federation.folder / f"{name}.csv" for name in CLIENTS}
    sessions = {
        name: ClientSession(client_table_from_file(file, CONTRACT, SETTINGS).table, CONTRACT)
        for name, file in files.items()
    }
    trained: list[TrainedModel] = []
    run_in_process(lambda exchange, _context: trained.append(train(exchange)), sessions)
    return trained[0]


def train(exchange: Exchange, on_round: OnRound = lambda _record: None) -> TrainedModel:
    return train_federated(
        exchange,
        CONTRACT,
        SETTINGS.training,
        POLICY,
        seed=SETTINGS.seed,
        on_progress=lambda record, _total: on_round(record),
    )


def train_on(
    federation: Hosts, on_round: OnRound = lambda _record: None, quorum: float = 1.0
) -> TrainedModel:
    return run_on_superlink(
        federation.superlink, lambda exchange: train(exchange, on_round), quorum_fraction=quorum
    )


def join(exchange: Exchange) -> Joined:
    return join_clients(
        exchange,
        CONTRACT,
        RoundPolicy(quorum_fraction=0.6, deadline_seconds=5.0),
        split=SETTINGS.split.model_dump(mode="json"),
    )


def contract_from(change: Callable[[dict[str, Any]], None]) -> Contract:
    plain = CONTRACT.model_dump(mode="json")
    change(plain)
    return Contract.model_validate(plain)


def place(federation: Hosts, name: str) -> ClientPlace:
    """A client in this process."""
    return ClientPlace(
        name=name,
        address=federation.fleet,
        roots=(federation.keys / "link" / "roots.crt").read_bytes(),
        key=read_private_key(client_key(federation.keys, name)),
        data=f"{name}.csv",
        node_file=federation.folder / f"{name}.node",
    )


class Silent:
    """Answers nothing."""

    def handle(self, request: Request) -> Reply:
        raise AssertionError(f"asked for {request.task}")


@contextmanager
def served(client: ClientPlace, handler: ClientHandler, told: list[str]) -> Iterator[None]:
    """A client in a thread of this process, connected."""
    over = threading.Event()
    thread = threading.Thread(
        target=serve_client,
        args=(client, handler),
        kwargs={"tell": told.append, "is_ended": over.is_set},
    )
    thread.start()
    try:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not told and time.monotonic() < deadline:
            time.sleep(0.05)
        yield
    finally:
        over.set()
        thread.join()


def test_weights_are_those_of_one_process_though_the_link_is_killed(
    federation: Hosts, inprocess: TrainedModel
) -> None:
    def interrupt(record: RoundRecord) -> None:
        if record.round_num == 2:
            federation.kill("link")
            federation.start_link()

    trained = train_on(federation, interrupt)
    assert [w.tobytes() for w in trained.weights] == [w.tobytes() for w in inprocess.weights]
    assert not any(record.absences for record in trained.records)


def test_a_client_that_is_killed_misses_rounds_and_is_back_later(federation: Hosts) -> None:
    def interrupt(record: RoundRecord) -> None:
        if record.round_num == 2:
            federation.kill("b")
        if record.round_num == 4:
            federation.start_client("b")
            federation.await_words("b", "connected to")

    trained = train_on(federation, interrupt, quorum=POLICY.quorum_fraction)
    participants = [record.participants for record in trained.records[1:]]
    assert participants[1] == CLIENTS
    assert participants[2:4] == [("a", "c")] * 2
    assert participants[-1] == CLIENTS
    assert {tuple(record.absences) for record in trained.records[3:5]} == {("b",)}


def test_one_that_is_back_before_the_deadline_is_asked_again(federation: Hosts) -> None:
    """The quorum needs all three, so the question waits for the one that was killed."""

    def drive(exchange: Exchange) -> None:
        federation.kill("c")
        federation.start_client("c")
        replies = exchange.ask(STATISTICS, CLIENTS, POLICY.deadline_seconds)
        assert [(reply.client, reply.error) for reply in replies] == [(c, "") for c in CLIENTS]

    run_on_superlink(federation.superlink, drive)


def test_another_contract_is_kept_out_and_told_why(federation: Hosts) -> None:
    changed = contract_from(lambda plain: plain.update(title="Other customers"))
    table = client_table_from_file(federation.folder / "a.csv", changed, SETTINGS, client="d").table
    session = ClientSession(table, changed)
    told: list[str] = []
    with served(place(federation, "d"), session, told):
        joined = run_on_superlink(federation.superlink, join)
    assert tuple(joined.clients) == CLIENTS
    assert DIFFERENCE in joined.refused["d"]
    assert any(DIFFERENCE in line for line in told)


def test_a_key_that_the_link_does_not_know_is_refused(federation: Hosts) -> None:
    make_keys(federation.folder / "foreign", ["stranger"])
    foreign = read_private_key(client_key(federation.folder / "foreign", "stranger"))
    stranger = replace(place(federation, "d"), name="stranger", key=foreign)
    with pytest.raises(FederationError, match="does not know this client's key"):
        serve_client(stranger, Silent())


def test_a_link_that_the_roots_do_not_vouch_for_is_not_spoken_to(federation: Hosts) -> None:
    make_keys(federation.folder / "other", ["d"])
    roots = (federation.folder / "other" / "link" / "roots.crt").read_bytes()
    with pytest.raises(FederationError, match="not vouched for"):
        serve_client(replace(place(federation, "d"), roots=roots), Silent())


def test_a_driver_without_the_secret_gets_no_run(federation: Hosts) -> None:
    make_keys(federation.folder / "other", [], replace=True)
    folder = federation.folder / "thief"
    shutil.copytree(federation.keys / "driver", folder)
    shutil.copy(federation.folder / "other" / "driver" / "driver.secret", folder)
    settings = federation.superlink.model_copy(update={"keys": folder})
    with pytest.raises(FederationError, match="secret is not the link's"):
        run_on_superlink(settings, lambda exchange: exchange.ask(STATISTICS))


def test_status_tells_who_is_connected(federation: Hosts) -> None:
    found = {client.name: client for client in federation_status(federation.superlink, 30.0)}
    assert {name for name, client in found.items() if client.is_connected} == set(CLIENTS)
    assert found["a"].num_rows == 1000
    assert {found[name].contract_digest for name in CLIENTS} == {contract_digest(CONTRACT)}


def test_without_clients_the_deadline_ends_the_round(federation: Hosts) -> None:
    """Near the end: nobody starts them again."""

    def drive(exchange: Exchange) -> Joined:
        assert [federation.end(name) for name in CLIENTS] == [0, 0, 0]
        return join(exchange)

    with pytest.raises(QuorumError, match="not connected"):
        run_on_superlink(federation.superlink, drive)


def test_a_command_that_is_killed_leaves_no_link_behind(federation: Hosts) -> None:
    """The last one."""
    state = str(federation.folder / "homes" / "link")
    assert processes_with(state)
    federation.kill("link")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while processes_with(state) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not processes_with(state)
