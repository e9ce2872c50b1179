"""Joining: who takes part, who is refused with which words, and what later requests demand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.contract.schema import Contract
from fedchurn.data.client_table import ClientTable, split_digest
from fedchurn.errors import QuorumError
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.direct_exchange import DirectExchange
from fedchurn.federation.exchange import ClientHandler, Reply, Request
from fedchurn.federation.joining.contract_difference import (
    MAX_DIFFERENCES,
    contract_differences,
    differences_text,
)
from fedchurn.federation.joining.facts import FACTS, ClientValidation, JoinFacts
from fedchurn.federation.joining.join import Joined, RestrictedExchange, join_clients
from fedchurn.federation.training.checks import RoundPolicy
from tests.unit.federation.clients import CONTRACT, Altered, Broken, table

SPLIT = {"seed": 2026, "validation_fraction": 0.2, "test_fraction": 0.2}
HALF = RoundPolicy(quorum_fraction=0.5)
A, B, C = (table(name, 40, seed) for seed, name in enumerate("abc"))


def validation(rows: ClientTable, **changed: Any) -> ClientValidation:
    plain = {
        "source": f"{rows.client}.csv",
        "sha256": f"of {rows.client}",
        "is_sample": False,
        "rows_in": rows.num_rows + 3,
        "rows_used": rows.num_rows,
        "rows_quarantined": 2,
        "rows_dropped_duplicates": 1,
        "split": SPLIT,
    }
    return ClientValidation.model_validate({**plain, **changed})


def session(
    rows: ClientTable, contract: Contract = CONTRACT, k: int = 1, **changed: Any
) -> ClientSession:
    return ClientSession(rows, contract, k, validation(rows, **changed))


def changed_contract(change: Callable[[dict[str, Any]], None]) -> Contract:
    plain = CONTRACT.model_dump(mode="json")
    change(plain)
    return Contract.model_validate(plain)


def join(*handlers: ClientHandler, policy: RoundPolicy = HALF, k: int = 1) -> Joined:
    """``a``, ``b``, ``c`` ... with these handlers."""
    exchange = DirectExchange(dict(zip("abcdefgh", handlers, strict=False)))
    return join_clients(exchange, CONTRACT, policy, split=SPLIT, min_cell_rows=k)


class TestFacts:
    def test_a_client_tells_what_the_server_needs(self) -> None:
        facts = join(session(A, warnings=("age usual: 2 rows",))).clients["a"]
        assert facts.contract == CONTRACT.model_dump(mode="json")
        assert {name: part.num_rows for name, part in facts.parts.items()} == {
            "train": int(np.sum(A.split == 0)),
            "validation": int(np.sum(A.split == 1)),
            "test": int(np.sum(A.split == 2)),
        }
        assert facts.parts["test"].digest == A.part(2).digest()
        assert (facts.data_digest, facts.split_digest) == (A.digest(), split_digest(A))
        assert facts.validation.rows_in == 43
        assert facts.validation.warnings == ("age usual: 2 rows",)
        assert facts.num_churned == int(A.target.sum())

    @pytest.mark.parametrize("asked_for_by", ["client", "server"])
    def test_few_churners_are_not_counted_aloud(self, asked_for_by: str) -> None:
        target = np.zeros(40, dtype=np.int8)
        target[:4] = 1
        rows = replace(A, target=target)
        floors = {"client": (5, 1), "server": (1, 5)}[asked_for_by]
        assert join(session(rows, k=floors[0]), k=floors[1]).clients["a"].num_churned is None
        assert join(session(rows, k=4), k=4).clients["a"].num_churned == 4

    def test_few_loyal_customers_are_not_either(self) -> None:
        rows = replace(A, target=np.ones(40, dtype=np.int8))
        assert join(session(rows), k=1).clients["a"].num_churned is None


class TestRefusals:
    def test_all_differences_of_the_contract_are_told(self) -> None:
        def change(plain: dict[str, Any]) -> None:
            plain["version"] = "1.1.0"
            plain["columns"]["age"]["usual"] = [0, 120]
            plain["columns"]["visits"] = {"kind": "integer"}
            del plain["columns"]["plan"]

        joined = join(session(A), session(B, changed_contract(change)))
        assert list(joined.clients) == ["a"]
        assert joined.refused == {
            "b": 'refused, for its contract differs: version: "1.0.0" here, "1.1.0" there;'
            " columns.age.usual: [0.0, 100.0] here, [0.0, 120.0] there;"
            " columns.plan: only here; columns.visits: only there"
        }

    def test_so_is_another_order_of_columns(self) -> None:
        def change(plain: dict[str, Any]) -> None:
            plain["columns"] = dict(reversed(plain["columns"].items()))

        told = join(session(A), session(B, changed_contract(change))).refused["b"]
        assert told == "refused, for its contract differs: columns: another order"

    def test_another_split_would_test_on_rows_that_others_trained_on(self) -> None:
        told = join(session(A), session(B, split={**SPLIT, "seed": 7})).refused["b"]
        assert told == (
            "refused, for its rows are split otherwise: split.seed: 2026.0 here, 7.0 there"
        )

    def test_an_unknown_split_is_another_one(self) -> None:
        told = join(session(A), ClientSession(B, CONTRACT)).refused["b"]
        assert "split.seed: only here" in told

    @pytest.mark.parametrize("other", [{"sha256": "of a"}, {}])
    def test_rows_that_joined_already_do_not_count_twice(self, other: dict[str, str]) -> None:
        rows = B if other else replace(A, client="b")
        told = join(session(A), session(rows, **other)).refused
        assert told == {"b": "refused, for it holds the rows of client 'a': they would count twice"}

    def test_a_client_that_fails_did_not_join(self) -> None:
        assert join(session(A), Broken()).refused == {
            "b": "did not join: OSError: disk gone during join"
        }


def altered(rows: ClientTable, change: Callable[[dict[str, Any]], Any]) -> Altered:
    """A client whose facts are changed on their way."""

    def tampered(_: Request, reply: Reply) -> Reply:
        facts = json.loads(reply.arrays[FACTS].tobytes())
        change(facts)
        content = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
        return replace(reply, arrays={FACTS: content})

    return Altered(session(rows), tampered)


class TestUnusableAnswers:
    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (lambda f: f.update(client="a"), "answered in the name of 'a'"),
            (lambda f: f.pop("parts"), "parts: Field required"),
            (lambda f: f.update(rows=[[1, 2]]), "rows: Extra inputs are not permitted"),
            (lambda f: f["parts"].pop("test"), "splits train, validation, not"),
            (lambda f: f["parts"]["test"].update(num_rows=99), "40 rows used, but 1"),
            (lambda f: f["parts"]["test"].update(num_rows=-1), "greater than or equal to 0"),
            (lambda f: f["validation"].update(rows_in=1000), "1000 rows in are not the sum"),
            (lambda f: f["parts"]["test"].update(num_rows=10**400), "less than or equal to"),
            (lambda f: f.update(num_churned=41), "41 churned of 40 rows"),
            (lambda f: f.update(split_digest="x"), "split_digest: String should match"),
        ],
    )
    def test_facts_that_cannot_be(self, change: Callable[[Any], Any], why: str) -> None:
        told = join(session(A), altered(B, change)).refused["b"]
        assert told.startswith("did not join: ")
        assert why in told

    def test_a_forged_contract_is_seen_by_its_content(self) -> None:
        def change(facts: dict[str, Any]) -> None:
            facts["contract"]["columns"]["age"]["kind"] = "number"

        assert "columns.age.kind" in join(session(A), altered(B, change)).refused["b"]

    @given(st.binary(max_size=60))
    def test_any_bytes_refuse_one_client_only(self, content: bytes) -> None:
        facts = np.frombuffer(content, dtype=np.uint8)
        odd = Altered(session(B), lambda _, reply: replace(reply, arrays={FACTS: facts}))
        joined = join(session(A), odd)
        assert list(joined.clients) == ["a"]
        assert "unusable answer" in joined.refused["b"]


class TestQuorum:
    def test_refused_clients_count_as_missing(self) -> None:
        policy = RoundPolicy(quorum_fraction=0.6)
        assert list(join(session(A), session(B), Broken(), policy=policy).clients) == ["a", "b"]
        with pytest.raises(QuorumError, match=r"1 of 3 clients could join, 2 are needed") as found:
            join(session(A), Broken(), Broken(), policy=policy)
        assert "b: did not join: OSError: disk gone during join; c: did not" in str(found.value)

    def test_who_has_a_key_and_is_away_is_told_and_not_counted(self) -> None:
        exchange = DirectExchange({"a": session(A)})
        joined = join_clients(
            exchange, CONTRACT, RoundPolicy(), split=SPLIT, expected=("a", "c", "b")
        )
        assert joined.refused == dict.fromkeys("bc", "did not join: not connected")

    def test_nobody_is_too_few(self) -> None:
        with pytest.raises(QuorumError, match="0 of 1 clients could join"):
            join(Broken())


class Counted:
    """A client that notes what it is asked."""

    def __init__(self, handler: ClientHandler) -> None:
        self._handler = handler
        self.requests: list[Request] = []

    def handle(self, request: Request) -> Reply:
        self.requests.append(request)
        return self._handler.handle(request)


def statistics(**changed: Any) -> Request:
    return Request("statistics", 0, config={"min_cell_rows": 1}, **changed)


class TestRestrictedExchange:
    def test_who_was_refused_is_asked_nothing_more(self) -> None:
        other = changed_contract(lambda plain: plain.update(version="2.0.0"))
        a, b, c = Counted(session(A)), Counted(session(B, other)), Counted(session(C))
        inner = DirectExchange({"a": a, "b": b, "c": c})
        joined = join_clients(inner, CONTRACT, HALF, split=SPLIT)
        exchange = RestrictedExchange(inner, joined.stamps)
        assert exchange.clients() == ("a", "c")
        assert [(r.client, r.error) for r in exchange.ask(statistics())] == [("a", ""), ("c", "")]
        assert [(r.client, r.error) for r in exchange.ask(statistics(), ["c", "b"])] == [
            ("b", "did not join"),
            ("c", ""),
        ]
        assert [r.client for r in exchange.ask(statistics(), ["b"])] == ["b"]
        assert [request.task for request in b.requests] == ["join", "refused"]

    def test_the_answer_is_the_one_without_a_stamp(self) -> None:
        facts = join(session(A)).clients["a"]
        inner = DirectExchange({"a": session(A)})
        (plain,) = inner.ask(statistics())
        (stamped,) = RestrictedExchange(inner, {"a": facts.stamp}).ask(statistics())
        assert plain.numbers == stamped.numbers
        assert {n: v.tolist() for n, v in plain.arrays.items()} == {
            n: v.tolist() for n, v in stamped.arrays.items()
        }

    def test_arrays_for_one_client_reach_it_still(self) -> None:
        facts = join(session(A)).clients["a"]
        counted = Counted(session(A))
        exchange = RestrictedExchange(DirectExchange({"a": counted}), {"a": facts.stamp})
        exchange.ask(statistics(own_arrays={"a": {"mine": np.ones(2)}}))
        assert counted.requests[0].arrays["mine"].tolist() == [1.0, 1.0]

    @pytest.mark.parametrize("returned", ["other rows", "other split", "other contract"])
    def test_who_returns_as_somebody_else_is_absent(self, returned: str) -> None:
        stamp = join(session(A)).clients["a"].stamp
        handler = {
            "other rows": session(replace(B, client="a")),
            "other split": session(replace(A, split=A.split[::-1].copy())),
            "other contract": session(A, changed_contract(lambda p: p.update(version="2.0.0"))),
        }[returned]
        exchange = RestrictedExchange(DirectExchange({"a": handler}), {"a": stamp})
        (reply,) = exchange.ask(statistics())
        assert "rows, split or contract are not those that joined" in reply.error

    def test_who_is_away_is_absent_and_stays_a_member(self) -> None:
        stamp = join(session(A)).clients["a"].stamp
        exchange = RestrictedExchange(DirectExchange({}), {"a": stamp})
        assert exchange.clients() == ("a",)
        assert [reply.error for reply in exchange.ask(statistics())] == ["not connected"]


class TestDifferences:
    def test_equal_contracts_have_none(self) -> None:
        plain = CONTRACT.model_dump(mode="json")
        assert contract_differences(plain, json.loads(json.dumps(plain))) == ()

    def test_rules_are_known_by_their_id(self) -> None:
        here = {"rules": [{"id": "one", "max": 1}, {"id": "two", "max": 2}]}
        there = {"rules": [{"id": "one", "max": 1}, {"id": "two", "max": 3}, {"id": "new"}]}
        assert contract_differences(here, there) == (
            "rules.two.max: 2 here, 3 there",
            "rules.new: only there",
        )

    def test_values_of_another_kind(self) -> None:
        assert contract_differences({"a": {"b": 1}}, {"a": None}) == (
            'a: {"b": 1} here, null there',
        )

    def test_a_message_has_an_end(self) -> None:
        found = [f"columns.c{n}: only here" for n in range(MAX_DIFFERENCES + 4)]
        assert differences_text(found).endswith(f"c{MAX_DIFFERENCES - 1}: only here; and 4 more")
        (long,) = contract_differences({"a": "x" * 10_000}, {"a": ""})
        assert len(long) < 100

    def test_what_others_write_stays_on_its_line(self) -> None:
        (told,) = contract_differences({}, {"evil\nname": 1})
        assert told == '"evil\\nname": only there'

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
            max_leaves=8,
        )
    )
    def test_there_is_a_difference_exactly_where_contracts_differ(self, value: Any) -> None:
        plain = CONTRACT.model_dump(mode="json")
        there = {**plain, "version": value}
        assert bool(contract_differences(plain, there)) == (value != plain["version"])


def test_facts_survive_the_trip() -> None:
    facts = join(session(A)).clients["a"]
    assert JoinFacts.model_validate_json(facts.model_dump_json()) == facts


@pytest.mark.parametrize(
    "sent", [np.array(["x"]), np.array([np.nan]), np.array([1 + 2j]), np.array([300])]
)
def test_an_answer_of_anything_but_bytes_is_that_clients_own_failure(sent: np.ndarray) -> None:
    odd = Altered(session(B), lambda _q, reply: replace(reply, arrays={FACTS: sent}))
    exchange = DirectExchange({"a": session(A), "b": odd})
    joined = join_clients(exchange, CONTRACT, HALF, split=SPLIT)
    assert list(joined.clients) == ["a"]
    assert joined.refused["b"].startswith("did not join: unusable answer of ")
