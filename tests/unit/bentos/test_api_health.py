"""What /health says to anybody, and how answers say why nothing is explained."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from fedchurn.serving.access.api_keys import new_api_key
from fedchurn.serving.examples import example_customers
from fedchurn.serving.fallback.chain import FallbackChain
from tests.unit.bentos.shipped import Api, shipped_api
from tests.unit.serving.models import broken

FAILURE = "release folder /srv/private/releases/x: file 'weights.npz' is changed"


def health(api: Api) -> dict[str, object]:
    api.reloads.failure = FAILURE
    found: dict[str, object] = api.get("/health").json()
    api.close()
    return found


def test_without_keys_health_has_all_the_words(tmp_path: Path) -> None:
    found = health(shipped_api(tmp_path, "ecommerce"))
    assert found["status"] == "degraded"
    assert found["last_reload_failure"] == FAILURE
    assert found["workers"] != []


def test_with_keys_anybody_learns_that_but_not_where(tmp_path: Path) -> None:
    entry = new_api_key("shop", ["predict"])[1]
    found = health(shipped_api(tmp_path, "ecommerce", api_keys=(entry,)))
    assert found["status"] == "degraded"
    assert found["last_reload_failure"] == "the service's log says why"
    assert found["workers"] == []


def test_rules_that_answer_say_which(tmp_path: Path) -> None:
    api = shipped_api(tmp_path, "ecommerce")
    chain = FallbackChain(
        api.served.contract,
        "champion",
        broken(),  # type: ignore[arg-type]
        None,
        timeout_seconds=60,
    )
    served = dataclasses.replace(api.served, chain=chain)
    api.live.swap(dataclasses.replace(api.live.state, champion=served))
    row = example_customers(api.served.contract)["typical"] | {"Tenure": 0, "Complain": 1}
    answer = api.post("/predict?explain=true", json=row).json()
    api.close()
    assert (answer["model_used"], answer["fallback_reason"]) == ("rules", "error")
    assert answer["feature_contributions"] == []
    assert answer["explanation_note"].startswith("rules answered: New customer, Complained")
