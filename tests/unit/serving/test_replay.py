"""Replay: another release beside what was answered, and proof of what a release answered."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fedchurn.cli.main import app
from fedchurn.contract.schema import Contract
from fedchurn.errors import SourceError
from fedchurn.release.scorer import Scorer
from fedchurn.release.write import write_release
from fedchurn.serving.log.log_reader import read_predictions
from fedchurn.serving.log.prediction_log import PredictionLog
from fedchurn.serving.log.replay import Replay, needed_columns
from fedchurn.serving.records import PredictionRecord
from fedchurn.serving.served_release import ServedRelease, serve_release
from tests.unit.release.releases import CONTRACT, ENCODER, parts, scorer
from tests.unit.serving.logged import log, record

ROWS = tuple(
    (tenure, cashback, device, city)
    for tenure in (None, 3.0, 48.0)
    for cashback in (0.0, 150.0)
    for device in ("Phone", "Computer")
    for city in ("Graz", "Wels")
)


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two releases of one contract."""
    home = tmp_path_factory.mktemp("releases")
    return write_release(parts(), home), write_release(parts(seed=11), home)


@pytest.fixture(scope="module")
def old(releases: tuple[Path, Path]) -> ServedRelease:
    return serve_release(releases[0], version="1")


@pytest.fixture(scope="module")
def new(releases: tuple[Path, Path]) -> ServedRelease:
    return serve_release(releases[1], version="2")


def answered(served: ServedRelease) -> list[PredictionRecord]:
    names = tuple(CONTRACT.columns)
    probabilities = [served.model.one(dict(zip(names, row, strict=True))) for row in ROWS]
    return [
        record(
            number,
            values=row,
            served=served,
            probability=probability,
            prediction=int(probability >= served.threshold),
            risk_level=served.band(probability).name,
        )
        for number, (row, probability) in enumerate(zip(ROWS, probabilities, strict=True))
    ]


def test_a_release_gives_its_own_answers_again(tmp_path: Path, old: ServedRelease) -> None:
    log(tmp_path, answered(old))
    replay = Replay(old)
    rows = list(replay.rows(read_predictions(tmp_path)))
    assert all(row.is_same for row in rows)
    report = replay.report()
    assert (report.num_rows, report.num_same_release, report.num_not_same) == (24, 24, 0)
    assert report.mean_absolute_difference == pytest.approx(0, abs=1e-9)
    assert report.decision_changed_fraction == report.band_changed_fraction == 0


def test_an_answer_that_the_release_does_not_give_is_named(
    tmp_path: Path, old: ServedRelease
) -> None:
    taken = answered(old)
    taken[5] = taken[5]._replace(probability=taken[5].probability + 2e-6)
    taken[6] = taken[6]._replace(probability=taken[6].probability + 5e-7)
    log(tmp_path, taken)
    replay = Replay(old)
    list(replay.rows(read_predictions(tmp_path)))
    report = replay.report()
    assert (report.num_not_same, report.not_same) == (1, (taken[5].prediction_id,))


def test_another_release_beside_what_was_answered(
    tmp_path: Path, old: ServedRelease, new: ServedRelease
) -> None:
    taken = answered(old)
    log(tmp_path, taken)
    replay = Replay(new, num_largest=3)
    rows = list(replay.rows(read_predictions(tmp_path)))
    report = replay.report()
    expected = {
        r.prediction_id: n.probability - r.probability
        for r, n in zip(taken, answered(new), strict=True)
    }
    assert {row.prediction_id: row.difference for row in rows} == pytest.approx(expected)
    absolute = sorted((abs(d) for d in expected.values()), reverse=True)
    assert report.mean_absolute_difference == pytest.approx(sum(absolute) / 24)
    assert [abs(d) for _, d in report.largest] == pytest.approx(absolute[:3])
    assert all(expected[name] == pytest.approx(d) for name, d in report.largest)
    decisions = [r.prediction != n.prediction for r, n in zip(taken, answered(new), strict=True)]
    bands = [r.risk_level != n.risk_level for r, n in zip(taken, answered(new), strict=True)]
    assert sum(decisions) > 0
    assert sum(bands) > 0
    assert report.decision_changed_fraction == pytest.approx(sum(decisions) / 24)
    assert report.band_changed_fraction == pytest.approx(sum(bands) / 24)
    assert report.releases == {old.release_id: 24}
    assert (report.num_same_release, report.num_not_same) == (0, 0)
    assert {row.is_same for row in rows} == {None}


@pytest.mark.parametrize(
    ("model_used", "probability", "is_same"),
    [("fallback_model", None, True), ("fallback_model", 0.5, False), ("base_rate", 0.5, True)],
)
def test_answers_of_fallbacks_are_proven_by_the_fallback(
    tmp_path: Path,
    old: ServedRelease,
    model_used: str,
    probability: float | None,
    is_same: bool,
) -> None:
    assert old.fallback is not None
    by_fallback = old.fallback.one(dict(zip(CONTRACT.columns, ROWS[0], strict=True)))
    given = by_fallback if probability is None else probability
    log(
        tmp_path,
        [record(1, served=old, values=ROWS[0], model_used=model_used, probability=given)],
    )
    (row,) = Replay(old).rows(read_predictions(tmp_path))
    assert row.is_same is is_same


class TestMasked:
    def test_rows_that_lack_what_the_model_needs_are_counted(
        self, tmp_path: Path, old: ServedRelease
    ) -> None:
        taken = answered(old)
        log(tmp_path, taken[:10], masked_fields=("City", "customer_id"))
        log(tmp_path, taken[10:], masked_fields=("customer_id",))
        replay = Replay(old)
        assert len(list(replay.rows(read_predictions(tmp_path)))) == 14
        assert replay.report().skipped == {"City: masked": 10}

    def test_columns_that_the_log_never_knew(self, tmp_path: Path, old: ServedRelease) -> None:
        older = CONTRACT.model_copy(
            update={"columns": {n: c for n, c in CONTRACT.columns.items() if n != "Device"}}
        )
        names = tuple(older.columns)
        one = PredictionLog(tmp_path)
        view = type("Served", (), {})()
        view.contract, view.release_id, view.version = older, "shop-1.0.0-x", None
        view.role, view.id_column = "champion", None
        one.take([record(1, served=view, values=(1.0, 2.0, "Graz"))])
        one.close()
        assert len(names) == 3
        replay = Replay(old)
        assert list(replay.rows(read_predictions(tmp_path))) == []
        assert replay.report().skipped == {"Device: not logged": 1}
        assert replay.report().mean_absolute_difference is None

    def test_what_a_model_needs(self) -> None:
        def needs(*names: str) -> tuple[str, ...]:
            encodings = tuple(e for e in ENCODER.encodings if e.name in names)
            whole = scorer()
            encoder = type(ENCODER)(encodings)
            return needed_columns(Scorer(CONTRACT, encoder, whole.spec, whole.weights))

        assert needs("City") == ("City",)
        assert needs("PerMonth") == ("Tenure", "Cashback")
        assert needs("Device", "Tenure") == ("Tenure", "Device")


def test_a_log_of_another_contract_is_an_error_in_words(tmp_path: Path, old: ServedRelease) -> None:
    other = Contract.model_validate({**CONTRACT.model_dump(exclude_unset=True), "contract": "bank"})
    view = type("Served", (), {})()
    view.contract, view.release_id, view.version = other, "bank-1.0.0-x", None
    view.role, view.id_column = "champion", None
    log(tmp_path, [record(1, served=view)])
    with pytest.raises(SourceError, match="contract 'bank', the release of 'shop'"):
        list(Replay(old).rows(read_predictions(tmp_path)))


class TestVerb:
    def test_replay(self, tmp_path: Path, releases: tuple[Path, Path], old: ServedRelease) -> None:
        log(tmp_path / "log", answered(old))
        done = CliRunner().invoke(
            app,
            [
                *("replay", str(tmp_path / "log"), "--release", str(releases[1]), "--json"),
                *("--output", str(tmp_path / "rows.csv"), "--limit", "20"),
            ],
        )
        assert done.exit_code == 0, done.output
        told = json.loads(done.stdout.splitlines()[-1])
        assert (told["num_rows"], told["release"]) == (20, releases[1].name)
        assert "20 predictions scored with" in done.stdout
        with (tmp_path / "rows.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 20
        mean = sum(abs(float(row["difference"])) for row in rows) / 20
        assert told["mean_absolute_difference"] == pytest.approx(mean)

    def test_all_rows_prove_the_release(
        self, tmp_path: Path, releases: tuple[Path, Path], old: ServedRelease
    ) -> None:
        log(tmp_path / "log", answered(old))
        arguments = ["replay", str(tmp_path / "log"), "--release", str(releases[0])]
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output
        assert "24 of 24 answers of this release itself come out again" in done.stdout

    @pytest.mark.parametrize(
        ("arguments", "code", "words"),
        [
            (("none",), 4, "no predictions are logged here"),
            (("log", "--output", "none/rows.csv"), 2, "cannot be written"),
            (("log", "--release", "none"), 12, "none"),
        ],
    )
    def test_what_cannot_be(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        releases: tuple[Path, Path],
        old: ServedRelease,
        arguments: tuple[str, ...],
        code: int,
        words: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        log(tmp_path / "log", answered(old))
        done = CliRunner().invoke(app, ["replay", "--release", str(releases[0]), *arguments])
        assert done.exit_code == code, done.output
        assert words in done.stderr
