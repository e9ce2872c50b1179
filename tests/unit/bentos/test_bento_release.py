"""What a service knows of its bento; tests/e2e/test_package.py has real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedchurn.errors import SettingsError
from fedchurn.serving.reload.release_source import WantedRelease

pytestmark = pytest.mark.filterwarnings(  # BentoML's, while it is imported
    "ignore:.*__get_pydantic_core_schema__.*:pydantic.warnings.PydanticDeprecatedSince211"
)


def test_a_checkout_has_no_release_inside() -> None:
    from bentos.churn.bento_release import bundled_release

    assert bundled_release(None) is None


@pytest.mark.parametrize(
    ("given", "contract"),
    [({}, "telco"), ({"FEDCHURN_CONTRACT": ""}, "telco"), ({"FEDCHURN_CONTRACT": "shop"}, "shop")],
)
def test_a_bento_knows_its_contract_and_a_home_unless_they_are_named(
    given: dict[str, str], contract: str
) -> None:
    from bentos.churn.bento_environ import bento_environ
    from bentos.churn.bento_release import BundledRelease

    bundled = BundledRelease(WantedRelease(Path("release"), "telco-1.0.0-ab", "3"), "telco")
    settled = bento_environ({"PATH": "", **given}, bundled, Path("/stores"))
    expected = {"FEDCHURN_CONTRACT": contract, "FEDCHURN_HOME": "/stores/fedchurn"}
    assert settled == {"PATH": "", **expected}
    named = bento_environ({"FEDCHURN_HOME": "/home/shop"}, bundled, Path("/stores"))
    assert named["FEDCHURN_HOME"] == "/home/shop"


@pytest.mark.parametrize("name", ["FEDCHURN_HOME", "FEDCHURN_RELEASE", "FEDCHURN_SERVE_LOG_FOLDER"])
def test_a_relative_place_would_lie_in_the_bento_and_is_refused(name: str) -> None:
    from bentos.churn.bento_environ import bento_environ

    with pytest.raises(SettingsError, match=f"{name}=.PWD/.fedchurn"):
        bento_environ({name: ".fedchurn"}, None, Path("/stores"))
