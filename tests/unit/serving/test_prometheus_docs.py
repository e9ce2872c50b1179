"""docs/metrics.md and the dashboards say what the code makes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from fedchurn.serving.metrics.prometheus_docs import families_table
from fedchurn.serving.metrics.prometheus_families import Families
from fedchurn.serving.metrics.prometheus_service import service_metrics
from infra.grafana.make import dashboards
from tests.unit.release.releases import CONTRACT

PROJECT = Path(__file__).resolve().parents[3]


def test_every_family_is_documented() -> None:
    table = families_table(service_metrics(CONTRACT).families.facts)
    documented = (PROJECT / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert table in documented, f"docs/metrics.md should hold this table:\n{table}"


def test_documents_name_no_family_that_is_not_there() -> None:
    known = {fact.name for fact in service_metrics(CONTRACT).families.facts}
    for page in sorted((PROJECT / "docs").glob("*.md")):
        named = set(re.findall(r"`(fedchurn_[a-z_]+?)[`{]", page.read_text(encoding="utf-8")))
        assert named <= known, f"{page.name} names metrics that do not exist"


def test_facts_are_those_of_the_metrics() -> None:
    registry = CollectorRegistry()
    facts = service_metrics(CONTRACT, registry=registry).families.facts
    exposed = {
        family.name + "_total" * (family.type == "counter"): (family.type, family.documentation)
        for family in registry.collect()
    }
    assert exposed == {fact.name: (fact.kind, fact.meaning) for fact in facts}


def test_a_row_says_everything() -> None:
    families = Families()
    families.gauge("waiting", "What waits", "queue", together="livesum")
    expected = "| `waiting` | gauge | `queue` | sum of the living | What waits |\n"
    assert expected in families_table(families.facts)


@pytest.mark.parametrize("name", sorted(dashboards()))
def test_dashboards_are_as_made(name: str) -> None:
    stored = PROJECT / "infra" / "grafana" / "dashboards" / name
    advice = "run `python -m infra.grafana.make`"
    assert json.loads(stored.read_text(encoding="utf-8")) == dashboards()[name], advice


def test_panels_neither_overlap_nor_share_numbers() -> None:
    for model in dashboards().values():
        cells = [
            (x, y)
            for panel in model["panels"]
            for place in [panel["gridPos"]]
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        ]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24
        numbers = [panel["id"] for panel in model["panels"]]
        assert len(numbers) == len(set(numbers))
