"""A server that does not keep to the protocol gets refusals, not secrets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from fedchurn.errors import FederationError
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.joining.facts import FACTS, JoinFacts
from fedchurn.federation.secure.client import SecureHandler
from fedchurn.federation.secure.messages import SEALED, WORDS
from fedchurn.federation.secure.server import ServerSetup
from fedchurn.settings_secure import SecureSettings
from tests.unit.federation.clients import CONTRACT, table
from tests.unit.federation.secure.vectors import ON, QUESTION, Holder, holders, secured

OTHER = Request("newton", 2, QUESTION.arrays, QUESTION.config)


class Server:
    """Takes clients through the protocol step by step, so that a test can leave the path."""

    def __init__(self, clients: Mapping[str, SecureHandler], setup_id: str = "s") -> None:
        self.clients = clients
        self.setup = ServerSetup(setup_id, len(clients), ON.threshold(len(clients)), 2)

    def advertised(self) -> Server:
        for one in self.clients.values():
            self.setup.take_keys(one.handle(self.setup.keys_request()))
        return self

    def shared(self) -> Server:
        self.advertised()
        for one in self.clients.values():
            self.setup.take_shares(one.handle(self.setup.shares_request()))
        return self

    def sum_from(self, client: str, question: Request = QUESTION, number: int = 0) -> Reply:
        request = self.setup.sum_request(question, number).for_client(client)
        return self.clients[client].handle(request)

    def summed(self, question: Request = QUESTION, number: int = 0) -> Server:
        for client in self.clients:
            self.sum_from(client, question, number)
        return self

    def unmask(self, client: str, survivors: Sequence[str], number: int = 0) -> Reply:
        return self.clients[client].handle(self.setup.unmask_request(number, survivors))


def five() -> dict[str, SecureHandler]:
    return secured(holders(5))


@pytest.mark.parametrize(
    "task",
    ["statistics", "newton", "local_epochs", "evaluate", "dependence", "held_out", "compare",
     "labels", "drift", "anything"],
)  # fmt: skip
def test_nothing_about_rows_is_answered_in_the_clear(task: str) -> None:
    client = five()["a"]
    with pytest.raises(FederationError, match="asked in the clear"):
        client.handle(Request(task, 0))


def test_of_the_facts_by_which_a_client_joins_only_churners_are_a_sum_and_stay() -> None:
    session = ClientSession(table("a", 200, 1), CONTRACT)
    asked = Request("join", 0, config={"min_cell_rows": 1})
    plain, secure = session.handle(asked), SecureHandler("a", session, ON).handle(asked)
    told, kept = (JoinFacts.model_validate_json(bytes(r.arrays[FACTS])) for r in (plain, secure))
    assert told.num_churned
    assert kept == told.model_copy(update={"num_churned": None})


def test_a_task_that_is_no_sum_is_refused_inside_the_protocol_too() -> None:
    with pytest.raises(FederationError, match="'drift' are not sums"):
        Server(five()).shared().sum_from("a", Request("drift", 0))


def test_updates_that_are_not_weighted_are_refused() -> None:
    question = Request("local_epochs", 1, config={"update": '{"summed": false}'})
    with pytest.raises(FederationError, match="not asked for as weighted sums"):
        Server(five()).shared().sum_from("a", question)


def test_too_small_a_cohort_is_refused() -> None:
    with pytest.raises(FederationError, match="to 2 clients is refused: a sum needs 3"):
        Server(secured(holders(2))).advertised()


def test_a_cohort_of_another_size_is_refused() -> None:
    clients = secured(holders(4), SecureSettings(on=True, num_clients=5))
    with pytest.raises(FederationError, match="told of 5"):
        Server(clients).advertised()


def test_keys_that_were_changed_on_their_way_are_refused() -> None:
    server = Server(five()).advertised()
    server.setup.publics["a"] = server.setup.publics["a"][::-1]
    with pytest.raises(FederationError, match="not those that were advertised"):
        server.clients["a"].handle(server.setup.shares_request())


def test_one_key_for_two_clients_is_refused() -> None:
    server = Server(five()).advertised()
    server.setup.publics["b"] = server.setup.publics["c"]
    with pytest.raises(FederationError, match="not those that were advertised"):
        server.clients["a"].handle(server.setup.shares_request())


def test_keys_of_fewer_clients_than_the_threshold_are_refused() -> None:
    server = Server(five()).advertised()
    for client in "de":
        del server.setup.publics[client]
    with pytest.raises(FederationError, match="3 of 5 clients are left, 4 must be behind a sum"):
        server.clients["a"].handle(server.setup.shares_request())


def test_more_keys_than_clients_were_announced_are_refused() -> None:
    server = Server(five()).advertised()
    stranger = Server(secured({"x": Holder("x", [0.0])}))
    stranger.setup.num_asked = 5
    stranger.advertised()
    server.setup.publics["x"] = stranger.setup.publics["x"]
    with pytest.raises(FederationError, match="keys of 6 clients, but 5 were to be asked"):
        server.clients["a"].handle(server.setup.shares_request())


def test_shares_that_were_changed_on_their_way_are_refused() -> None:
    server = Server(five()).shared()
    message = bytearray(server.setup.sealed["a"]["b"])
    message[-1] ^= 1
    server.setup.sealed["a"]["b"] = bytes(message)
    with pytest.raises(FederationError, match="shares of 'b' were changed"):
        server.sum_from("a")


def test_shares_meant_for_another_client_are_refused() -> None:
    server = Server(five()).shared()
    server.setup.sealed["a"]["b"] = server.setup.sealed["c"]["b"]
    with pytest.raises(FederationError, match="shares of 'b' were changed"):
        server.sum_from("a")


def test_a_mask_hides_one_answer_only() -> None:
    server = Server(five()).shared()
    server.sum_from("a")
    with pytest.raises(FederationError, match="mask 0 of this setup hides another answer already"):
        server.sum_from("a", OTHER)
    with pytest.raises(FederationError, match="mask 2 of this setup was never made"):
        server.sum_from("a", OTHER, number=2)


def test_an_answer_that_changed_is_not_hidden_by_the_same_mask() -> None:
    rows = holders(5)
    server = Server(secured(rows)).shared()
    server.sum_from("a")
    rows["a"].vector = rows["a"].vector + 1
    with pytest.raises(FederationError, match="another one than before"):
        server.sum_from("a")


def test_a_message_that_comes_twice_is_answered_equally() -> None:
    server = Server(five()).shared()
    once = [server.clients["a"].handle(server.setup.keys_request())]
    once += [server.clients["a"].handle(server.setup.shares_request()), server.sum_from("a")]
    twice = [server.clients["a"].handle(server.setup.keys_request())]
    twice += [server.clients["a"].handle(server.setup.shares_request()), server.sum_from("a")]
    for first, second in zip(once, twice, strict=True):
        assert {n: a.tobytes() for n, a in first.arrays.items()} == {
            n: a.tobytes() for n, a in second.arrays.items()
        }


def test_a_sum_is_unmasked_for_one_set_of_survivors_only() -> None:
    server = Server(five()).shared().summed()
    first = server.unmask("a", "abcde")
    again = server.unmask("a", "abcde")
    assert np.array_equal(first.arrays["secure.seed_shares"], again.arrays["secure.seed_shares"])
    with pytest.raises(FederationError, match="this sum was unmasked for a, b, c, d, e"):
        server.unmask("a", "abcd")


def test_no_sum_of_fewer_than_the_threshold_is_unmasked() -> None:
    server = Server(five()).shared().summed()
    with pytest.raises(FederationError, match="3 of 5 clients are left"):
        server.unmask("a", "abc")


def test_strangers_cannot_survive_or_share() -> None:
    server = Server(five()).shared().summed()
    with pytest.raises(FederationError, match="strangers are said to survive"):
        server.unmask("a", "abcdx")
    request = server.setup.sum_request(OTHER, 1)
    config = {**request.config, "sharers": '["a", "b", "c", "d", "x"]'}
    with pytest.raises(FederationError, match="other clients share keys than before"):
        server.clients["a"].handle(replace(request, config=config).for_client("a"))


def test_a_question_that_was_not_answered_is_not_unmasked() -> None:
    with pytest.raises(FederationError, match="question 1 was not asked"):
        Server(five()).shared().summed().unmask("a", "abcde", number=1)


def test_the_same_question_to_other_clients_is_not_unmasked() -> None:
    """Both sums together would show the vector of the client that is in one of them only."""
    clients = five()
    Server(clients, "first").shared().summed().unmask("a", "abcde")
    second = Server(clients, "second").shared().summed()
    with pytest.raises(FederationError, match="the two sums could be subtracted"):
        second.unmask("a", "abcd")
    assert second.unmask("a", "abcde").client == "a"


def test_the_same_answer_to_other_clients_is_not_unmasked_however_it_is_asked_for() -> None:
    """Another round number, or a setting that nobody reads, asks for the same again."""
    clients = five()
    Server(clients, "first").shared().summed().unmask("a", "abcde")
    for setup_id, question in (
        ("second", replace(QUESTION, round_num=7)),
        ("third", replace(QUESTION, config={**QUESTION.config, "salt": 1})),
    ):
        server = Server(clients, setup_id).shared().summed(question)
        with pytest.raises(FederationError, match="the two sums could be subtracted"):
            server.unmask("a", "abcd")


def test_zeros_are_the_same_answer_to_many_questions_and_hide_nothing() -> None:
    clients = secured({c: Holder(c, [0.0], count=0) for c in "abcde"})
    Server(clients, "first").shared().summed().unmask("a", "abcde")
    second = Server(clients, "second").shared().summed(OTHER)
    assert second.unmask("a", "abcd").client == "a"


def test_a_client_that_forgot_a_setup_says_so() -> None:
    server = Server(five()).advertised()
    server.clients = five()
    with pytest.raises(FederationError, match="this setup is not known here"):
        server.clients["a"].handle(server.setup.shares_request())


def test_secrets_outlive_the_process_in_a_store_of_texts() -> None:
    rows = holders(3)
    stores: dict[str, dict[str, str]] = {client: {} for client in rows}

    def born_again() -> dict[str, SecureHandler]:
        return {c: SecureHandler(c, rows[c], ON, stores[c]) for c in rows}

    server = Server(born_again()).advertised()
    for client in "abc":
        server.setup.take_shares(born_again()[client].handle(server.setup.shares_request()))
    server.clients = born_again()
    vector = server.sum_from("a").arrays[WORDS]
    server.clients = born_again()
    assert np.array_equal(server.sum_from("a").arrays[WORDS], vector)
    assert SEALED in server.setup.sum_request(QUESTION, 0).own_arrays["a"]
