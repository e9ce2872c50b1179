"""Where retraining keeps its state, under home."""

from __future__ import annotations

from pathlib import Path


def retraining_folder(home: Path, contract: str) -> Path:
    """``HOME/retraining/CONTRACT``; ``contract`` is the contract's name, not its path."""
    return home / "retraining" / contract


def inbox_folder(home: Path, contract: str) -> Path:
    """The folder for ``TriggerInbox``."""
    return retraining_folder(home, contract) / "inbox"


def journal_path(home: Path, contract: str) -> Path:
    """The retraining journal."""
    return retraining_folder(home, contract) / "journal.jsonl"


def rows_folder(home: Path, contract: str) -> Path:
    """Labelled rows that came back, made ready for training."""
    return retraining_folder(home, contract) / "rows"
