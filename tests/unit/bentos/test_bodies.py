"""Large bodies: none of them may hold up other requests."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest

from bentos.churn.api import bodies
from bentos.churn.api.bodies import object_in, read_object
from bentos.churn.api.findings import Refused


def test_a_name_that_comes_twice_among_many_is_found_in_one_pass() -> None:
    # Half a million names: looking through all earlier ones for each would take half an hour.
    names = [f"k{number}" for number in range(500_000)]
    body = json.dumps(dict.fromkeys(names, 1))[:-1] + ', "k499999": 2}'
    with pytest.raises(Refused) as caught:
        read_object(body.encode())
    assert "'k499999' comes twice" in caught.value.findings[0].message


@pytest.mark.parametrize(("num_fields", "on_the_loop"), [(10, True), (20_000, False)])
def test_only_small_bodies_are_read_by_the_event_loop(
    monkeypatch: pytest.MonkeyPatch, num_fields: int, on_the_loop: bool
) -> None:
    readers: list[threading.Thread] = []

    def read(body: bytes) -> dict[str, Any]:
        readers.append(threading.current_thread())
        return read_object(body)

    monkeypatch.setattr(bodies, "read_object", read)
    sent = {f"field {number}": number for number in range(num_fields)}
    assert asyncio.run(object_in(json.dumps(sent).encode())) == sent
    assert [reader is threading.current_thread() for reader in readers] == [on_the_loop]
