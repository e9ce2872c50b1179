"""The documents say what the code says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fedchurn import errors
from tests.unit.structure.contracts import PROJECT

DOCUMENTS = sorted(
    path
    for path in (*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md"))
    if path.name != "CHANGELOG.md"
)
DECISIONS = sorted((PROJECT / "docs" / "decisions").glob("*.md"))


def _tree(base: type[errors.FedchurnError]) -> list[type[errors.FedchurnError]]:
    return [base, *(found for sub in base.__subclasses__() for found in _tree(sub))]


ERRORS = _tree(errors.FedchurnError)


def _sections(path: Path) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", path.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_has_its_section_with_its_exit_code(error: type[errors.FedchurnError]) -> None:
    section = _sections(PROJECT / "docs" / "errors.md")[error.__name__]
    assert f"Exit code {error.exit_code}." in section
    for part in ("**What happened:**", "**Where:**", "**Next:**"):
        assert section.count(part) == 1


def test_the_page_names_no_error_that_does_not_exist() -> None:
    assert set(_sections(PROJECT / "docs" / "errors.md")) == {e.__name__ for e in ERRORS}


def test_the_tree_at_the_top_of_the_module_is_the_tree() -> None:
    drawn = re.findall(r"(\w+(?:Error|Failed|Refused|Conflict))\b *(\d+)?", errors.__doc__ or "")
    assert {name for name, _ in drawn} == {e.__name__ for e in ERRORS}
    for name, code in drawn:
        assert not code or getattr(errors, name).exit_code == int(code)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        assert "://" in target or (path.parent / target).exists(), f"{path}: {target}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_make_verbs_exist(path: Path) -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)", path.read_text()))
    named |= set(re.findall(r"^ +make ([a-z-]+)", path.read_text(), flags=re.MULTILINE))
    assert named <= verbs


def _verbs_of_the_command() -> set[str]:
    """Asked of a fresh process, as a user would."""
    code = (
        "import json, typer\n"
        "from fedchurn.cli.main import app\n"
        "verbs = typer.main.get_command(app).commands\n"
        "under = verbs.pop('contract').commands\n"
        "print(json.dumps([*verbs, *('contract ' + name for name in under)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


def test_the_first_screen_lists_the_verbs_of_the_command() -> None:
    section = _sections(PROJECT / "README.md")["The command"]
    named = set(re.findall(r"^    fedchurn ((?:contract )?[a-z-]+)", section, flags=re.MULTILINE))
    assert named == _verbs_of_the_command()


def test_every_verb_is_in_the_menu() -> None:
    text = (PROJECT / "Makefile").read_text()
    phony = re.findall(r"^\.PHONY: (.+)$", text, flags=re.MULTILINE)[0].split()
    assert set(phony) == set(re.findall(r"^([a-z-]+):.*## ", text, flags=re.MULTILINE))


def test_an_image_can_be_made_of_any_bento() -> None:
    command = ["make", "-n", "image", "BENTO=churn_telco:latest"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert "containerize churn_telco:latest" in done.stdout


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_a_decision_is_one_page_with_the_alternative_that_lost(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 60
    assert list(_sections(path)) == ["Decision", "Why", "What lost", "What it costs"]


def test_decisions_are_numbered_without_gaps() -> None:
    assert [int(path.name[:4]) for path in DECISIONS] == list(range(1, len(DECISIONS) + 1))
