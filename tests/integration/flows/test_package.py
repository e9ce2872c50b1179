"""Flow ``package``: from an alias in the registry to a bento on record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedchurn.errors import IntegrityError, PromotionError
from fedchurn.loop.package_store import StoredBento
from fedchurn.loop.package_trial import try_bento
from flows.package import package
from tests.integration.flows.conftest import Prefect
from tests.integration.registry.small_home import SmallHome


class Shop(SmallHome):
    """A small home, and the flow in it."""

    def package(self) -> Any:
        """The final state of the flow."""
        return package(self.contract, assignments=[f"home={self.folder}"], return_state=True)


@pytest.fixture(scope="module")
def shop(prefect: Prefect, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return Shop(tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="module")
def nothing_yet(shop: Shop) -> Any:
    return shop.package()


@pytest.fixture(scope="module")
def first(shop: Shop, nothing_yet: Any) -> Any:
    """Version 1 is in production; version 2 is newer and is not."""
    shop.register(7)
    shop.register(8)
    shop.put_into_production("1")
    return shop.package()


@pytest.fixture(scope="module")
def again(shop: Shop, first: Any) -> Any:
    return shop.package()


@pytest.fixture(scope="module")
def second(shop: Shop, again: Any) -> Any:
    shop.put_into_production("2")
    return shop.package()


def test_nothing_in_production_is_nothing_to_package(nothing_yet: Any) -> None:
    assert nothing_yet.is_failed()
    assert isinstance(nothing_yet.result(raise_on_failure=False), PromotionError)
    assert "nothing is in production" in nothing_yet.message


def test_what_is_in_production_is_packaged_by_its_number(shop: Shop, first: Any) -> None:
    assert (first.type.name, first.name) == ("COMPLETED", "Packaged")
    result = first.result()
    known = shop.registry.find("1")
    assert known is not None
    assert (result["version"], result["release_id"]) == ("1", known.release_id)
    assert "12 golden rows" in first.message


def test_the_version_says_which_bento(shop: Shop, first: Any) -> None:
    result, version = first.result(), shop.registry.find("1")
    assert version is not None
    assert version.tags["bento_tag"] == result["tag"]
    assert version.tags["bento_digest"] == result["digest"]
    assert Path(result["report"]).is_file()


def test_again_it_is_the_same_bento(first: Any, again: Any) -> None:
    assert again.name == "Unchanged"
    assert {**again.result(), "outcome": "packaged"} == first.result()


def test_another_version_is_another_bento_and_the_latest(
    shop: Shop, first: Any, second: Any
) -> None:
    assert second.name == "Packaged"
    result = second.result()
    store = Path(result["store"])
    assert result["version"] == "2"
    assert (store / "bentos" / "churn_shop" / "latest").read_text() == result["tag"].split(":")[1]
    assert Path(first.result()["bento_folder"]).is_dir()


def test_back_again_the_old_bento_is_the_latest(shop: Shop, first: Any, second: Any) -> None:
    shop.put_into_production("1")
    back = shop.package()
    assert (back.name, back.result()["tag"]) == ("Unchanged", first.result()["tag"])
    latest = Path(back.result()["store"], "bentos", "churn_shop", "latest")
    assert first.result()["tag"].endswith(latest.read_text())


def test_prefect_shows_what_was_packaged(prefect: Prefect, shop: Shop, again: Any) -> None:
    shown = prefect.artifact("bento-shop")["data"]
    assert shown.startswith("# Unchanged: churn_shop:1-")
    assert "bentoml serve churn_shop:1-" in shown


def test_a_trial_is_a_real_request(first: Any) -> None:
    result = first.result()
    trial = try_bento(StoredBento(Path(result["store"]), *result["tag"].split(":")))
    assert trial.url.endswith("/predict")
    assert trial.answer["release"] == result["release_id"]
    assert trial.answer["model_version"] == "1"
    assert 0 < trial.answer["churn_probability"] < 1


def test_a_damaged_release_is_not_packaged(shop: Shop, second: Any) -> None:
    shop.put_into_production("2")
    folder = shop.folder / "releases" / second.result()["release_id"]
    damaged = folder / "weights.npz"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    state = shop.package()
    assert isinstance(state.result(raise_on_failure=False), IntegrityError)
    assert "file 'weights.npz' is changed" in state.message
