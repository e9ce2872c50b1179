"""What a service knows of its bento; tests/e2e/test_package.py has real ones."""

from __future__ import annotations

from pathlib import Path

import pytest

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
def test_the_contract_is_that_of_the_bento_unless_one_is_named(
    given: dict[str, str], contract: str
) -> None:
    from bentos.churn.bento_release import BundledRelease

    bundled = BundledRelease(WantedRelease(Path("release"), "telco-1.0.0-ab", "3"), "telco")
    assert bundled.environ({"PATH": "", **given}) == {"PATH": "", "FEDCHURN_CONTRACT": contract}
