"""Round records as a cost sheet."""

from __future__ import annotations

from fedchurn.evaluation.costs import ClientCost
from fedchurn.federation.training.state import RoundRecord
from fedchurn.loop.cost_rows import cost_sheet


def record(round_num: int, up: dict[str, int], down: dict[str, int]) -> RoundRecord:
    return RoundRecord(
        round_num,
        "fedavg",
        tuple(up),
        bytes_up=sum(up.values()),
        bytes_down=sum(down.values()),
        client_bytes_up=up,
        client_bytes_down=down,
        seconds={"train": 2.0},
    )


def test_a_client_that_was_asked_and_stayed_silent_costs_the_way_down() -> None:
    sheet = cost_sheet([record(1, {"a": 8}, {"a": 4, "b": 4}), record(2, {"a": 8}, {"a": 4})])
    assert sheet.clients == {"a": ClientCost(2, 16, 8), "b": ClientCost(1, 0, 4)}
    assert [one.num_clients for one in sheet.rounds] == [2, 1]
    assert sheet.seconds == {"train": 4.0}


def test_a_sum_over_clients_is_counted_as_one_sender() -> None:
    sheet = cost_sheet([record(1, {"clients together": 8}, {"a": 4, "b": 4})])
    assert sheet.clients["clients together"] == ClientCost(1, 8, 0)
    assert sheet.bytes_down == 8


def test_records_of_older_versions_have_totals_only() -> None:
    sheet = cost_sheet([RoundRecord(1, "newton", ("a",), bytes_up=5, bytes_down=3)])
    assert (sheet.bytes_up, sheet.bytes_down, sheet.clients) == (5, 3, {})
    assert sheet.rounds[0].num_clients == 1
