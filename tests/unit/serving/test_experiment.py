"""Arms are dealt by hash, a challenger in the shadow is compared, and neither costs an answer."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedchurn.contract.load import contract_digest
from fedchurn.release.scorer import Scorer
from fedchurn.release.write import ReleaseParts
from fedchurn.serving.experiment.experiment import Experiment
from fedchurn.serving.experiment.shadow import ShadowSink
from fedchurn.serving.experiment.shares import share_of
from fedchurn.serving.records import PredictionRecord
from fedchurn.serving.reload import challenger as reload_challenger
from fedchurn.serving.reload.events import NoEvents
from fedchurn.serving.reload.reloader import Reloader
from fedchurn.serving.reload.watch import Watcher
from fedchurn.serving.served_release import ServedRelease
from tests.unit.release.releases import card, parts
from tests.unit.serving import models
from tests.unit.serving.homes import flip_one_bit, point, released, reloader_of, settings_of

IDS = {
    "numbers": [str(number) for number in range(50_001, 55_631)],
    "padded": [f"C{number:08d}" for number in range(5000)],
    "short": [str(number) for number in range(1, 1001)],
    "letters": [f"{7919 * n % 10_000:04d}-{chr(65 + n % 26) * 5}" for n in range(7000)],
}


@pytest.fixture
def champion(tmp_path: Path) -> Path:
    folder = released(tmp_path)
    point(tmp_path, folder)
    return folder


@pytest.fixture
def challenger(tmp_path: Path) -> Path:
    return released(tmp_path / "trial", parts(seed=8))


def _reloader(home: Path, challenger: Path | None, **changes: Any) -> Reloader:
    return reloader_of(settings_of(home, challenger=challenger, **changes))


def _records(
    served: ServedRelease, rows: Sequence[dict[str, Any]], **changes: Any
) -> Iterator[PredictionRecord]:
    for number, row in enumerate(rows):
        probability = served.model.one(row)
        record = PredictionRecord(
            time_seconds=1.0,
            prediction_id=f"p-{number:x}",
            customer_id=None,
            values=tuple(row[name] for name in served.contract.columns),
            probability=probability,
            prediction=int(probability >= served.threshold),
            risk_level="Low",
            model_used=served.role,
            fallback_reason=None,
            served=served,
            latency_seconds=0.001,
            warnings=(),
            endpoint="/predict",
            quick=False,
        )
        yield record._replace(**changes)


def _rows(served: ServedRelease) -> list[dict[str, Any]]:
    return [dict(row) for row in served.release.golden.rows]


def _z(count: int, num: int, fraction: float) -> float:
    return float((count - num * fraction) / np.sqrt(num * fraction * (1 - fraction)))


@pytest.mark.parametrize("name", IDS)
def test_shares_are_uniform(name: str) -> None:
    ids = IDS[name]
    shares = np.array([share_of(b"arm", one) for one in ids])
    counts, _ = np.histogram(shares, bins=20, range=(0, 1))
    expected = len(ids) / 20
    assert ((counts - expected) ** 2 / expected).sum() < 43.8  # chi-squared, 19 degrees, p = 0.001
    for fraction in (0.01, 0.05, 0.1, 0.5):
        assert abs(_z(int((shares < fraction).sum()), len(ids), fraction)) < 3.3


@pytest.mark.parametrize("name", IDS)
def test_arms_are_independent_of_everything_else_that_is_dealt_by_hash(name: str) -> None:
    ids = IDS[name]
    arm = np.array([share_of(b"arm", one) < 0.5 for one in ids])
    others = {
        "shadow": [share_of(b"shadow", one) < 0.5 for one in ids],
        "text buckets": [zlib.crc32(one.encode()) % 2 == 0 for one in ids],
        "upper half of a CRC": [zlib.crc32(one.encode()) < 2**31 for one in ids],
        "odd ids": [one[-1] in "13579" for one in ids],
    }
    for other, chosen in others.items():
        inside = arm[np.array(chosen)]
        if len(inside):
            assert abs(_z(int(inside.sum()), len(inside), 0.5)) < 3.9, other


@given(st.text(max_size=80))
def test_a_share_is_a_share_for_any_text(key: str) -> None:
    assert 0 <= share_of(b"arm", key) < 1
    assert share_of(b"arm", key) == share_of(b"arm", key)


def test_a_customer_keeps_the_arm_and_an_unnamed_one_gets_the_champion(
    tmp_path: Path, champion: Path, challenger: Path
) -> None:
    state = _reloader(tmp_path, challenger, ab_fraction=0.3).live.state
    arms = [state.pick(one).role for one in IDS["numbers"]]
    assert arms == [state.pick(one).role for one in IDS["numbers"]]
    assert abs(_z(arms.count("challenger"), len(arms), 0.3)) < 3.3
    assert state.pick(None).role == "champion"
    everybody = replace(state, ab_fraction=1.0)
    assert {everybody.pick(one).role for one in IDS["short"]} == {"challenger"}
    nobody = replace(state, ab_fraction=0.0)
    assert {nobody.pick(one).role for one in IDS["short"]} == {"champion"}


def test_a_challenger_that_cannot_be_loaded_leaves_the_champion_alone(
    tmp_path: Path, champion: Path, challenger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip_one_bit(challenger / "weights.npz")
    reloader = _reloader(tmp_path, challenger, ab_fraction=1.0)
    state = reloader.live.state
    assert state.challenger is None
    assert "file 'weights.npz' is changed" in str(state.challenger_fault)
    assert state.pick("7") is state.champion
    flip_one_bit(challenger / "weights.npz")
    reloader.follow()
    assert reloader.live.state is state  # not tried again yet
    monkeypatch.setattr(reload_challenger, "RETRY_SECONDS", 0.0)
    flip_one_bit(challenger / "MANIFEST.sha256")
    reloader.follow()
    flip_one_bit(challenger / "MANIFEST.sha256")
    reloader.follow()
    assert reloader.live.state.challenger_fault is None
    assert reloader.live.state.pick("7").release_id == challenger.name


def test_a_challenger_that_is_not_there_is_no_error(tmp_path: Path, champion: Path) -> None:
    state = _reloader(tmp_path, tmp_path / "nowhere").live.state
    assert "there is no such folder" in str(state.challenger_fault) or "no release folder" in str(
        state.challenger_fault
    )


def _with_another_column() -> ReleaseParts:
    made = parts(seed=8)
    contract = made.model.contract
    columns = dict(contract.columns)
    columns["Cashback"] = columns["Cashback"].model_copy(
        update={"kind": "integer", "decimals": None}
    )
    other = contract.model_copy(update={"columns": columns})

    def moved(scorer: Scorer | None) -> Scorer | None:
        return replace(scorer, contract=other) if scorer else None

    rows = [{**row, "Cashback": int(row["Cashback"] or 0)} for row in made.golden_rows]
    facts = {"contract_digest": contract_digest(other)}
    return ReleaseParts(
        card(**facts), moved(made.model), made.reference, rows, moved(made.fallback)
    )


def test_a_challenger_with_other_columns_is_not_taken(tmp_path: Path, champion: Path) -> None:
    other = released(tmp_path / "trial", _with_another_column())
    state = _reloader(tmp_path, other).live.state
    assert state.challenger is None
    assert "has other columns than champion" in str(state.challenger_fault)
    assert str(state.challenger_fault).endswith("Cashback")


def test_a_challenger_that_was_promoted_is_no_challenger_any_more(
    tmp_path: Path, champion: Path, challenger: Path
) -> None:
    reloader = _reloader(tmp_path, challenger, ab_fraction=0.5)
    assert reloader.live.state.challenger is not None
    point(tmp_path, challenger)
    reloader.follow()
    state = reloader.live.state
    assert (state.champion.release_id, state.challenger) == (challenger.name, None)
    assert "answers as champion now" in str(state.challenger_fault)
    assert state.pick("7").role == "champion"


def test_a_challenger_that_goes_bad_is_taken_out(
    tmp_path: Path, champion: Path, challenger: Path
) -> None:
    reloader = _reloader(tmp_path, challenger)
    bad = reloader.live.state.challenger
    assert bad is not None
    for weights in bad.model._weights:
        weights.setflags(write=True)
        weights += 1.0
    assert reloader.check_golden()  # the champion's are right
    assert reloader.live.state.champion_fault is None
    assert reloader.live.state.challenger is None
    assert "golden rows" in str(reloader.live.state.challenger_fault)


class _Told(NoEvents):
    def __init__(self) -> None:
        self.compared: list[tuple[int, int, float]] = []
        self.num_failed = 0

    def shadow_compared(self, differences: Sequence[float], num_decisions_differ: int) -> None:
        self.compared.append((len(differences), num_decisions_differ, sum(differences)))

    def shadow_failed(self, num_rows: int) -> None:
        self.num_failed += num_rows


def test_the_shadow_reports_how_far_the_challenger_disagrees(
    tmp_path: Path, champion: Path, challenger: Path
) -> None:
    live = _reloader(tmp_path, challenger, shadow_fraction=1.0).live
    ours, theirs = live.state.champion, live.state.challenger
    assert theirs is not None
    told, experiment = _Told(), Experiment(live)
    sink = ShadowSink(live, experiment, told)
    rows = _rows(ours) * 30  # several batches
    sink.take(list(_records(ours, rows)))
    a, b = ours.model.many(rows), theirs.model.many(rows)
    differ = int(((a >= ours.threshold) != (b >= theirs.threshold)).sum())
    assert differ > 0
    shadow = experiment.report()["shadow"]
    assert (shadow["num_compared"], shadow["num_decisions_differ"]) == (360, differ)
    assert shadow["mean_difference"] == pytest.approx(np.abs(a - b).mean())
    assert shadow["largest_difference"] == pytest.approx(np.abs(a - b).max())
    assert (shadow["num_failed"], shadow["num_skipped"]) == (0, 0)
    assert sum(num for num, _, _ in told.compared) == 360
    assert sum(total for _, _, total in told.compared) == pytest.approx(np.abs(a - b).sum())


def test_only_a_share_of_the_champions_own_answers_is_compared(
    tmp_path: Path, champion: Path, challenger: Path
) -> None:
    live = _reloader(tmp_path, challenger, shadow_fraction=0.25).live
    ours, theirs = live.state.champion, live.state.challenger
    assert theirs is not None
    experiment = Experiment(live)
    sink = ShadowSink(live, experiment)
    rows = _rows(ours) * 100
    sink.take(list(_records(theirs, rows)))
    sink.take(list(_records(ours, rows, model_used="rules")))
    assert experiment.report()["shadow"]["num_compared"] == 0
    sink.take(list(_records(ours, rows)))
    assert abs(_z(experiment.report()["shadow"]["num_compared"], len(rows), 0.25)) < 3.3


def test_more_than_the_shadow_can_take_is_skipped_and_counted(
    tmp_path: Path, champion: Path, challenger: Path
) -> None:
    live = _reloader(tmp_path, challenger, shadow_fraction=1.0).live
    experiment = Experiment(live)
    records = list(_records(live.state.champion, _rows(live.state.champion)[:1] * 2100))
    ShadowSink(live, experiment).take(records)
    shadow = experiment.report()["shadow"]
    assert (shadow["num_compared"], shadow["num_skipped"]) == (2048, 52)


@pytest.mark.parametrize(
    "broken",
    [lambda _: 1 / 0, lambda rows: np.full(len(rows), np.nan), models.broken().many],
)
def test_a_challenger_that_cannot_score_is_counted_and_nothing_else(
    tmp_path: Path,
    champion: Path,
    challenger: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    broken: Any,
) -> None:
    live = _reloader(tmp_path, challenger, shadow_fraction=1.0).live
    assert live.state.challenger is not None
    monkeypatch.setattr(live.state.challenger.model, "many", broken)
    told, experiment = _Told(), Experiment(live)
    sink = ShadowSink(live, experiment, told)
    for _ in range(3):
        sink.take(list(_records(live.state.champion, _rows(live.state.champion))))
    shadow = experiment.report()["shadow"]
    assert (shadow["num_compared"], shadow["num_failed"], told.num_failed) == (0, 36, 36)
    assert shadow["mean_difference"] is None
    assert caplog.text.count("cannot score") == 1
    assert "Tenure" not in caplog.text  # what an error says may quote a row


def test_arms_are_counted_by_who_was_asked_and_who_answered(
    tmp_path: Path, champion: Path, challenger: Path
) -> None:
    live = _reloader(tmp_path, challenger, ab_fraction=0.5).live
    ours, theirs = live.state.champion, live.state.challenger
    assert theirs is not None
    experiment = Experiment(live)
    rows = _rows(ours)
    experiment.take(list(_records(ours, rows)))
    experiment.take(list(_records(theirs, rows[:5])))
    experiment.take(list(_records(theirs, rows[5:7], model_used="fallback_model")))
    first, second = experiment.report()["arms"]
    assert (first["arm"], first["num_answers"], first["num_by_fallbacks"]) == ("champion", 12, 0)
    assert first["mean_probability"] == pytest.approx(ours.model.many(rows).mean())
    assert (second["arm"], second["num_answers"], second["num_by_fallbacks"]) == (
        "challenger",
        7,
        2,
    )
    decided = theirs.model.many(rows[:5]) >= theirs.threshold
    assert second["churn_fraction"] == pytest.approx(decided.mean())


def test_without_a_challenger_nothing_is_counted(tmp_path: Path, champion: Path) -> None:
    live = _reloader(tmp_path, None).live
    experiment = Experiment(live)
    records = list(_records(live.state.champion, _rows(live.state.champion)))
    experiment.take(records)
    ShadowSink(live, experiment).take(records)
    report = experiment.report()
    assert (report["challenger"], report["arms"][0]["num_answers"]) == (None, 0)
    json.dumps(report, allow_nan=False)


def test_the_report_adds_up_the_workers(tmp_path: Path, champion: Path, challenger: Path) -> None:
    settings = settings_of(tmp_path, challenger=challenger, ab_fraction=0.5, shadow_fraction=1.0)
    reloader = reloader_of(settings)
    experiment = Experiment(reloader.live)
    ours = reloader.live.state.champion
    records = list(_records(ours, _rows(ours)))
    experiment.take(records)
    ShadowSink(reloader.live, experiment).take(records)
    own = Watcher(settings, reloader, experiment).state()
    stored = json.loads(json.dumps(own.experiment))  # as another worker reads it
    other = replace(own, pid=own.pid + 1, experiment=stored)
    report = experiment.report([own, other], own.pid)
    alone = experiment.report()
    assert report["num_workers"] == 2
    assert report["shadow"]["num_compared"] == 2 * alone["shadow"]["num_compared"] == 24
    for name in ("mean_difference", "largest_difference", "decisions_differ_fraction"):
        assert report["shadow"][name] == pytest.approx(alone["shadow"][name])
    assert report["arms"][0]["num_answers"] == 24


def test_memory_is_bounded_however_many_releases_come_and_go(
    tmp_path: Path, champion: Path, challenger: Path
) -> None:
    live = _reloader(tmp_path, challenger).live
    experiment = Experiment(live)
    for number in range(100):
        experiment.add_shadow(f"champion {number}", "challenger", num_compared=1)
    sums = experiment.sums()
    assert len(sums["shadow"]) == 8
    assert sums["shadow"][-1]["champion"] == "champion 99"
