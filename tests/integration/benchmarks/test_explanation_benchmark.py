"""What the benchmark of explanations compares is what it says."""

from __future__ import annotations

import pytest

from benchmarks.explanation_error import largest_error
from benchmarks.explanation_job import make_job
from benchmarks.explanation_sides import SIDES


@pytest.mark.parametrize("model", ["additive", "network"])
def test_ours_add_up_and_the_peers_do_not(model: str) -> None:
    job = make_job("telecom", model, 5)
    gaps = {}
    for name, make in SIDES.items():
        side = make(job)
        gaps[name] = max(abs(sum(side.explain(r).values()) - side.difference(r)) for r in job.rows)
    assert gaps.pop("fedchurn") < 1e-9
    assert min(gaps.values()) > 0.01


def test_ours_are_the_values_of_the_definition() -> None:
    job = make_job("telecom", "network", 1)
    assert largest_error(job, job.rows[0]) < 0.01
