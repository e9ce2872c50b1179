"""What leaves a client when it is asked about drift: counts, and nothing of a row."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from flwr.app import Context, Message
from flwr.common.serde import recorddict_to_proto
from hypothesis import given, settings
from hypothesis import strategies as st

from fedchurn.data.client_table import ClientTable
from fedchurn.data.sources import RawTable
from fedchurn.drift.clients.suppression import BELOW, JOINED
from fedchurn.errors import FederationError
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.exchange import Reply, Request
from fedchurn.federation.flower.app import GridExchange, make_client_app
from fedchurn.federation.flower.grid import InProcessGrid, node_contexts
from fedchurn.loop.federated_drift import current_rows
from fedchurn.settings_files import load_settings
from tests.unit.federation.drift_clients import CLIENTS, CONTRACT, K, current, question, values
from tests.unit.federation.drift_clients import table as table_of

REQUEST = question(0).request()
MARKED_SPEND, MARKED_TENURE = 313.3717, 71.0
MARKED_LABEL, MARKED_ID = "zz-unheard-of-plan", "customer-8b1f0c"


class Tap(InProcessGrid):
    """A grid that keeps the bytes of every answer, as they would go over a wire."""

    def __init__(self, tables: dict[str, ClientTable]) -> None:
        handlers = {client: ClientSession(one, CONTRACT) for client, one in tables.items()}
        app = make_client_app(
            lambda context: handlers[_name(context)], lambda context: _name(context)
        )
        super().__init__(app, node_contexts(handlers))
        self.answers: list[bytes] = []

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        answers = list(super().send_and_receive(messages, timeout=timeout))
        contents = [recorddict_to_proto(answer.content) for answer in answers]
        self.answers += [content.SerializeToString() for content in contents]
        return answers


def _name(context: Context) -> str:
    return str(context.node_config["client"])


def marked_tables() -> dict[str, ClientTable]:
    """Tables as a client reads them from files that hold one row like no other."""
    plain = load_settings(None, [], {"data": {"clients": ["unused.csv"]}})
    found = {}
    for client in CLIENTS:
        drawn = values(client, 300, 77)
        plans = [CONTRACT.columns["plan"].categories[int(p)] for p in drawn["plan"]]  # type: ignore[index]
        frame = pd.DataFrame({**drawn, "plan": plans, "name": [f"n{i}" for i in range(300)]})
        frame.loc[7, ["spend", "tenure"]] = [MARKED_SPEND, MARKED_TENURE]
        frame.loc[7, ["plan", "name"]] = [MARKED_LABEL, MARKED_ID]
        raw = RawTable(client, frame, np.arange(300) + 1, "file.csv", "0" * 64, is_sample=False)
        found[client] = current_rows([raw], plain, CONTRACT)[0].table
    return found


def reply_of(table: ClientTable, request: Request = REQUEST) -> Reply:
    return ClientSession(table, CONTRACT).handle(request)


@pytest.mark.parametrize("epsilon", [0.0, 1.0])
def test_nothing_of_a_row_is_in_the_bytes_that_leave_a_client(epsilon: float) -> None:
    tables = marked_tables()
    held = b"".join(values.tobytes() for values in tables["a"].columns.values())
    assert np.float64(MARKED_SPEND).tobytes() in held
    grid = Tap(tables)
    replies = GridExchange(grid).ask(question(0, epsilon=epsilon).request())
    assert [reply.error for reply in replies] == [""] * len(CLIENTS)
    sent = b"".join(grid.answers)
    assert b"drift:spend" in sent
    for text in (MARKED_LABEL, MARKED_ID, repr(MARKED_SPEND), "n7", "file.csv"):
        assert text.encode() not in sent
    for kind in (np.float64, np.float32):
        assert kind(MARKED_SPEND).tobytes() not in sent


@pytest.mark.parametrize("epsilon", [0.0, 1.0])
def test_only_whole_counts_of_k_rows_and_more_leave_a_client(epsilon: float) -> None:
    for table in marked_tables().values():
        reply = reply_of(table, question(0, epsilon=epsilon).request())
        assert set(reply.numbers) == {"num_rows", "min_cell_rows"}
        for name, counts in reply.arrays.items():
            assert name.startswith("drift:")
            assert counts.dtype == np.int64
            assert np.all((counts >= K) | np.isin(counts, [0, BELOW, JOINED]))


def test_no_array_grows_with_the_rows() -> None:
    shapes = [
        {n: a.shape for n, a in reply_of(table_of("a", values("a", rows, 1))).arrays.items()}
        for rows in (20, 200, 5000)
    ]
    assert shapes[0] == shapes[1] == shapes[2]


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(6, 120))
def test_whatever_the_rows_no_count_is_below_k(seed: int, k: int, num_rows: int) -> None:
    table = table_of("b", values("b", num_rows, seed))
    asked = question(0, min_cell_rows=k).request()
    if num_rows < k:
        with pytest.raises(FederationError, match=f"fewer than {k} customers"):
            reply_of(table, asked)
        return
    for counts in reply_of(table, asked).arrays.values():
        assert not np.any((counts > 0) & (counts < k))


def test_a_client_raises_k_and_nobody_lowers_it() -> None:
    table = table_of("a", values("a", 200, 1))
    careful = ClientSession(table, CONTRACT, min_cell_rows=20)
    reply = careful.handle(question(0, min_cell_rows=1).request())
    assert reply.numbers["min_cell_rows"] == 20
    assert all(not np.any((a > 0) & (a < 20)) for a in reply.arrays.values())


def test_one_question_is_answered_and_always_alike() -> None:
    """Two answers about the same rows could be subtracted from each other."""
    session = ClientSession(table_of("a", values("a", 200, 1)), CONTRACT)
    asked = question(0, epsilon=1.0).request()
    first, again = (session.handle(asked).arrays for _ in range(2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    other_weights = {n: np.asarray(a) * 2 for n, a in REQUEST.arrays.items()}
    for other in (REQUEST, question(0, min_cell_rows=4, epsilon=1.0).request()):
        with pytest.raises(FederationError, match="asked about the same rows before"):
            session.handle(other)
    fresh = ClientSession(table_of("a", values("a", 200, 1)), CONTRACT)
    fresh.handle(REQUEST)
    with pytest.raises(FederationError, match="asked about the same rows before"):
        fresh.handle(replace(REQUEST, arrays=other_weights))


def test_the_contract_fixes_the_cells() -> None:
    reference = json.loads(str(REQUEST.config["reference"]))
    reference["edges"]["spend"][3] += 0.01
    asked = replace(REQUEST, config={**REQUEST.config, "reference": json.dumps(reference)})
    with pytest.raises(FederationError, match="other cells for column 'spend'"):
        reply_of(table_of("a", values("a", 200, 1)), asked)


def test_no_client_is_sent_anothers_reference() -> None:
    stored = json.loads(str(REQUEST.config["reference"]))
    assert stored["clients"] == {}
    assert set(stored["pooled"]) >= {"numbers", "categories"}


def test_two_small_cells_cannot_be_told_from_one_another() -> None:
    """Moving a lonely row between cells that are below k changes nothing that is reported."""
    table = current(1)["a"]
    plans = table.columns["plan"].copy()
    plans[plans == 3] = 2
    reports = []
    for label in (3, -2, -1):
        lonely = plans.copy()
        lonely[5] = label
        columns = {**table.columns, "plan": lonely}
        reports.append(reply_of(replace(table, columns=columns)).arrays["drift:plan"])
    assert all(np.array_equal(reports[0], report) for report in reports)


def test_noise_is_fresh_and_as_large_as_the_budget_asks_for() -> None:
    table = table_of("a", values("a", 2000, 1))
    epsilon, asked = 2.0, question(0, epsilon=2.0).request()
    basic = [int(reply_of(table, asked).arrays["drift:plan"][0]) for _ in range(200)]
    true = int(np.sum(table.columns["plan"] == 0))
    # Five columns share the budget, and each changes two counts by one.
    ratio = math.exp(-epsilon / 5 / 2)
    spread = math.sqrt(2 * ratio) / (1 - ratio)
    assert np.std(basic) == pytest.approx(spread, rel=0.25)
    assert np.mean(basic) == pytest.approx(true, abs=4 * spread / 14)
