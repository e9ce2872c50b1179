"""A client that adds noise answers a question that comes twice with the same noise."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from fedchurn.encoding.fit import EncoderSettings
from fedchurn.encoding.from_contract import contract_encoder
from fedchurn.federation.client.session import ClientSession
from fedchurn.federation.client.update import UpdateRules
from fedchurn.federation.exchange import Request
from fedchurn.federation.model_messages import weights_to_arrays
from fedchurn.federation.privacy.keyed_noise import QuestionNoise
from fedchurn.learning.spec import ModelSpec
from tests.unit.federation.clients import CONTRACT, table

ENCODER = contract_encoder(CONTRACT, EncoderSettings(basis="linear", scaling="minmax"))
SPEC = ModelSpec(ENCODER.num_inputs, linear=True, hidden=())


def question() -> Request:
    weights = tuple(np.zeros(shape, dtype=np.float32) for _, shape in SPEC.weight_shapes())
    return Request(
        "local_epochs",
        1,
        weights_to_arrays(SPEC, [weights]),
        {
            "encoder": ENCODER.to_json(),
            "spec": json.dumps(SPEC.to_dict()),
            "epochs": "{}",
            "update": UpdateRules(clip_norm=1.0, noise_std=1.0, weighting="clients").to_json(),
            "seed": 0,
        },
    )


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> ClientSession:
    """One whose training moves nothing, so that its updates are noise alone."""

    def local_epochs(_spec: object, before: object, *_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(weights=before, num_rows=3, loss=0.0, accuracy=0.0)

    network = SimpleNamespace(EpochSettings=SimpleNamespace, local_epochs=local_epochs)
    monkeypatch.setitem(sys.modules, "fedchurn.learning.keras_epochs", network)
    return ClientSession(table("a", 200, 1), CONTRACT)


def test_asking_again_does_not_average_the_noise_away(client: ClientSession) -> None:
    answers = [client.handle(question()).arrays["update"] for _ in range(3)]
    assert np.all(answers[0] != 0)
    assert all(np.array_equal(answer, answers[0]) for answer in answers)


def test_the_next_round_has_other_noise(client: ClientSession) -> None:
    first = client.handle(question()).arrays["update"]
    second = client.handle(replace(question(), round_num=2)).arrays["update"]
    assert not np.any(first == second)


def test_another_client_or_process_has_other_noise() -> None:
    first, second = (QuestionNoise().of("asked")(100) for _ in range(2))
    assert not np.any(first == second)
