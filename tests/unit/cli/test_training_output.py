"""What people see of a training, and what is refused before it starts."""

from __future__ import annotations

import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fedchurn.cli import training_output
from fedchurn.cli.training_output import Bar, run_train_flow, tell_outcome
from fedchurn.errors import ContractError, FedchurnError, ReleaseError, TrackingError
from fedchurn.federation.training.state import RoundRecord
from fedchurn.settings_files import load_settings

START = RoundRecord(0, "newton", (), validation={"log_loss": 0.69314, "roc_auc": 0.5})
THIRD = RoundRecord(
    3, "newton", ("a", "b"), train={"loss": 9.0}, validation={"log_loss": 0.3, "roc_auc": 0.91}
)
REFIT = RoundRecord(4, "newton refit", ("a", "b"), train={"loss": 0.25})


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (START, "round 0/4  newton  start  loss 0.6931  auc 0.5000"),
        (THIRD, "round 3/4  newton  2 clients  loss 0.3000  auc 0.9100"),
        (REFIT, "round 4/4  newton refit  2 clients  loss while training 0.2500"),
        (
            replace(REFIT, absences={"d": "not connected"}, quarantined={"c": "weights: NaN"}),
            "round 4/4  newton refit  2 clients  loss while training 0.2500  without c, d",
        ),
        (
            replace(REFIT, absences=dict.fromkeys("gfedc", "not connected")),
            "round 4/4  newton refit  2 clients  loss while training 0.2500"
            "  without c, d, e and 2 more",
        ),
    ],
)
def test_a_round_is_one_line_of_a_log(
    record: RoundRecord, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    training_output._print_round(record, 4)
    assert capsys.readouterr().err == line + "\n"


def test_a_terminal_gets_a_bar_that_ends_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Also when training stops early, before the last round that there might have been."""
    with closing(Bar()) as bar:
        bar.draw(START, 6)
        bar.draw(THIRD, 6)
    first, second = capsys.readouterr().err.split("\r")[1:]
    assert first.startswith("[" + "." * 30 + "] round 0/6")
    assert not first.endswith("\n")
    assert second.startswith("[" + "#" * 15 + "." * 15 + "] round 3/6")
    assert second.endswith("\n")
    bar.close()
    assert capsys.readouterr().err == "", "nothing was drawn since"


def outcome(**changes: Any) -> dict[str, Any]:
    figures = {"roc_auc": 0.91, "accuracy": None, "f1": 0.5, "brier": 0.1}
    known: dict[str, Any] = {
        "outcome": "refused",
        "is_sample": True,
        "rows_in": 10,
        "rows_used": 9,
        "clients": 2,
        "comparisons": [{"name": "federated additive", "metrics": figures}],
        "reused_stages": [],
        "release_id": "shop-1.0.0-abc",
        "version": "3",
        "model_name": "churn",
        "reasons": [
            {"passed": True, "sentence": "Accuracy is fine."},
            {"passed": False, "sentence": "It is not better."},
        ],
        "next_step": "keep the champion",
        "report": "/home/report.html",
        "release_folder": "/home/releases/shop",
    }
    return known | changes


def test_an_outcome_says_everything_in_a_screenful(capsys: pytest.CaptureFixture[str]) -> None:
    tell_outcome(outcome())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 24
    assert lines[0] == "GENERATED SAMPLE: these figures are not about real customers."
    assert lines[1] == "9 of 10 rows used, 2 clients"
    assert lines[3].split() == ["federated", "additive", "0.9100", "-", "0.5000", "0.1000"]
    assert lines[4:] == [
        "REFUSED: release shop-1.0.0-abc, version 3 of churn",
        "  passed: Accuracy is fine.",
        "  FAILED: It is not better.",
        "  next: keep the champion",
        "report: /home/report.html",
        "release: /home/releases/shop",
    ]


def test_an_unchanged_run_on_real_rows_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    stages = ["validate", "federate"]
    tell_outcome(outcome(is_sample=False, reused_stages=stages, next_step=""))
    out = capsys.readouterr().out
    assert "SAMPLE" not in out
    assert "unchanged input, nothing run again: validate, federate" in out
    assert "next:" not in out


class TestRefusedBeforeAnythingStarts:
    @pytest.fixture(autouse=True)
    def own_environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        for name in ("FEDCHURN_HOME", "MLFLOW_TRACKING_URI"):
            monkeypatch.delenv(name, raising=False)
        # Set, so that they are put back after the test.
        monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
        monkeypatch.setenv("PREFECT_LOGGING_LEVEL", "CRITICAL")

    def refusal(self, kind: type[FedchurnError], *assignments: str) -> FedchurnError:
        with pytest.raises(kind) as caught:
            run_train_flow(load_settings(None, assignments))
        return caught.value

    def test_a_contract_that_does_not_exist(self, tmp_path: Path) -> None:
        error = self.refusal(ContractError, f"home={tmp_path}", "contract=telko")
        assert "did you mean 'telco'?" in error.what

    def test_mlflow_that_is_away(self, tmp_path: Path) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
            error = self.refusal(TrackingError, f"home={tmp_path}", f"tracking.uri={uri}")
        assert error.where == uri

    def test_a_home_below_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("a file")
        error = self.refusal(ReleaseError, f"home={tmp_path}/taken/home")
        assert error.where == f"{tmp_path}/taken/home/prefect"

    def test_a_disk_with_too_little_room(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(training_output, "MIN_FREE_BYTES", 2**80)
        error = self.refusal(ReleaseError, f"home={tmp_path}")
        assert error.where == str(tmp_path)
        assert "MiB are free" in error.what
