"""Real processes: two promoters at once, and one that is killed at the commit point."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
from pathlib import Path

from fedchurn.registry.journal import Journal
from fedchurn.registry.mlflow_registry import MlflowRegistry
from fedchurn.registry.promoter import promote
from fedchurn.registry.recovery import recover
from tests.integration.registry.promoters import compete
from tests.integration.registry.versions import add_version
from tests.unit.registry.acts import act

ROUNDS = 6
PROJECT = Path(__file__).parents[3]


def test_of_two_promoters_at_once_exactly_one_wins_and_the_other_is_told(
    registry: MlflowRegistry, tmp_path: Path
) -> None:
    versions = [add_version(registry, f"release-{n}") for n in range(2 * ROUNDS)]
    journal = tmp_path / "journal.jsonl"
    context = multiprocessing.get_context("spawn")
    barrier, told = context.Barrier(2), context.Queue()
    promoters = [
        context.Process(
            target=compete,
            args=(registry.uri, str(journal), actor, versions[first::2], barrier, told),
        )
        for first, actor in enumerate(("anna", "boris"))
    ]
    for promoter in promoters:
        promoter.start()
    answers = [told.get(timeout=120) for _ in range(2 * ROUNDS)]
    for promoter in promoters:
        promoter.join(60)
    for number in range(ROUNDS):
        (winner,) = [a for a in answers if a[0] == number and a[2] == "won"]
        (loser,) = [a for a in answers if a[0] == number and a[2] == "lost"]
        assert f"version {winner[1]} (release-{int(winner[1]) - 1}) was put into" in loser[3]
        assert "anna" in loser[3] or "boris" in loser[3]
    history = Journal(journal).history()
    assert [e.action for e in history] == ["promoting", "promote"] * ROUNDS
    assert registry.aliases()["production"] == history[-1].version


def test_a_promoter_killed_right_after_the_commit_point(
    registry: MlflowRegistry, tmp_path: Path
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for release in ("r1", "r2"):
        add_version(registry, release)
    promote(registry, journal, "1", None, None, act(1))
    module = "tests.integration.registry.promoters"
    command = [sys.executable, "-m", module, registry.uri, str(journal.path)]
    assert subprocess.run(command, cwd=PROJECT).returncode == -signal.SIGKILL
    assert registry.aliases()["production"] == "2"
    assert journal.champion() == "1"
    story = recover(registry, journal, act(3, "boris"))
    assert story == "finished what anna began at 2026-03-01T12:02:00+00:00: version 2 (r2) is live."
    assert journal.champion() == registry.aliases()["production"] == "2"
    tags = {v.version: v.tags.get("status") for v in registry.versions()}
    assert [v for v, status in tags.items() if status == "Production"] == ["2"]
