"""The drift runner: what was logged since the last look becomes windows, each judged once.

Every step can be killed and done again. A window is claimed before it is judged, so whoever goes on
judges the same range; its folder is there whole or not at all; its line in the journal, its trigger
and its event are known by its id; and the watermark moves last. docs/decisions/0038-drift-runner.md
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedchurn.drift.online import MIN_ROWS, WINDOW_ROWS
from fedchurn.drift.reference import read_reference
from fedchurn.drift.verdict import Verdict
from fedchurn.errors import IntegrityError, ReleaseError
from fedchurn.loop.one_run import one_run
from fedchurn.loop.production import contract_name
from fedchurn.loop.watching.judge import Judged, Past, judge
from fedchurn.loop.watching.performance import look_at_labels, verdict_by_labels
from fedchurn.loop.watching.places import (
    Claim,
    drop_claim,
    move_watermark,
    read_claim,
    read_watermark,
    write_claim,
    write_last_run,
)
from fedchurn.loop.watching.survey import Survey, Watched, survey
from fedchurn.loop.watching.triggers import add_trigger
from fedchurn.loop.watching.verdicts import (
    WindowLine,
    journal_window,
    open_verdicts,
    read_window_line,
    windows_before,
)
from fedchurn.loop.watching.window_folder import (
    forget_old_windows,
    kept_window,
    read_customers,
    read_histograms,
)
from fedchurn.release.load import Release, load_release
from fedchurn.serving.drift_file import watch_folder, write_newest
from fedchurn.serving.log.log_files import log_paths
from fedchurn.serving.log.log_reader import KIND
from fedchurn.serving.reload.release_source import chosen_release, pointer_path
from fedchurn.serving.serving_settings import ServingSettings
from fedchurn.serving.time_text import time_text
from fedchurn.settings import Settings

MAX_WINDOWS = 20  # of one run; a longer backlog goes on in the next
MAX_HISTORY = 10  # windows whose flags a report shows
WORK = "check-drift"

Record = dict[str, Any]
_RANK = ("too_few_rows", "none", "warning", "drift")


@dataclass(frozen=True)
class Site:
    """Where a contract's log is, and where the runner keeps its own.

    Attributes:
        settings: of the run.
        serving: of the contract's service, as far as places go.
        watch: see ``drift_file.watch_folder``.
    """

    settings: Settings
    serving: ServingSettings
    watch: Path

    @property
    def contract(self) -> str:
        return self.serving.contract

    @property
    def min_rows(self) -> int:
        return MIN_ROWS if self._is_online else self.settings.drift.min_rows

    def min_rows_of(self, release: Release) -> int:
        """Customers that a window of a release needs: its own thresholds may ask for more.

        Raises:
            IntegrityError: the release has no reference, so nobody could judge the window.
        """
        reference = read_reference(release.reference, release.contract)
        own = 0 if self._is_online else reference.rule(self.min_rows).min_rows
        return max(self.min_rows, own)

    @property
    def max_rows(self) -> int:
        return WINDOW_ROWS if self._is_online else self.settings.drift.max_window_rows

    @property
    def _is_online(self) -> bool:
        return self.settings.drift.rule == "online"


def site_of(settings: Settings) -> Site:
    """The places of the settings' contract.

    Raises:
        ContractError: there is no such contract.
    """
    name, home = contract_name(settings), settings.home.resolve()
    serving = ServingSettings(home=home, contract=name, log_folder=settings.drift.log_folder)
    return Site(settings, serving, watch_folder(home, name))


def has_production(settings: Settings) -> bool:
    """Whether a release of the contract is in production."""
    return pointer_path(site_of(settings).serving).is_file()


def check_drift(settings: Settings, *, wait_seconds: float = 0.0) -> Record:
    """One run: judge all whole windows, up to ``MAX_WINDOWS``; one run at a time per contract.

    Returns:
        see ``run_result``.

    Raises:
        ReleaseError: nothing is in production.
        IntegrityError: the release is damaged, or has no reference.
        WatchError: the runner's files cannot be kept.
        BusyError: another run is under way.
    """
    windows: list[Record] = []
    with one_run(settings, wait_seconds=wait_seconds, work=WORK):
        by_labels = judge_labels(settings)
        while len(windows) < MAX_WINDOWS and (window := judge_window(settings, by_labels)):
            finish_window(settings, window)
            windows.append(window)
        return run_result(settings, windows, by_labels)


def judge_labels(settings: Settings) -> Record:
    """What mature labels say of the release in production; see ``performance.look_at_labels``."""
    serving = site_of(settings).serving
    wanted = chosen_release(serving)
    return look_at_labels(settings, serving, _release(wanted.folder, wanted.release_id))


def judge_window(settings: Settings, by_labels: Mapping[str, Any] | None = None) -> Record | None:
    """Claim the next window, or go on with a claimed one, and judge it; the caller holds the lock.

    All is kept before this returns, but the window stays claimed until ``finish_window``.

    Args:
        settings: of the run.
        by_labels: from ``judge_labels``.

    Returns:
        its record, or None when too few customers wait.
    """
    site = site_of(settings)
    claimed = _go_on(site) or _claim(site)
    if claimed is None:
        return None
    claim, release, found = claimed
    known = by_labels if by_labels and by_labels["release"] == claim.release_id else None
    kept = kept_window(site.watch, claim, lambda: _judged(site, claim, release, found, known))
    record, told = kept
    journal_window(site.watch, read_window_line(record))
    write_newest(site.serving.service_folder, told, durable=True)
    add_trigger(site.serving.home, record)
    return record


def finish_window(settings: Settings, record: Mapping[str, Any]) -> None:
    """The window is judged and told: go on behind it."""
    site = site_of(settings)
    ends = {file: int(ends[1]) for file, ends in record["read"].items()}
    move_watermark(site.watch, ends, _log_files(site))
    drop_claim(site.watch)
    forget_old_windows(site.watch)


def run_result(
    settings: Settings, windows: list[Record], by_labels: Mapping[str, Any] | None = None
) -> Record:
    """What a run has found; also kept for the service, as a sign of life.

    Returns:
        ``outcome`` (``too_few_rows``, ``none``, ``warning`` or ``drift``), ``summary``, ``time``,
        ``contract``, ``release``, ``decay`` (or None), and ``windows``: their records.
    """
    site = site_of(settings)
    told = [(str(window["verdict"]), str(window["summary"])) for window in windows]
    told = told or [_without_window(site, by_labels)]
    outcome, summary = max(told, key=lambda one: _RANK.index(one[0]))
    result: Record = {
        "outcome": outcome,
        "summary": summary,
        "time": time_text(time.time()),
        "contract": site.contract,
        "release": by_labels["release"] if by_labels else None,
        "decay": by_labels["decay"] if by_labels else None,
    }
    names = [window["window_id"] for window in windows]
    write_last_run(site.watch, {**result, "windows": names})
    return {**result, "windows": windows}


def _claim(site: Site) -> tuple[Claim, Release, Survey] | None:
    wanted = chosen_release(site.serving)
    release = _release(wanted.folder, wanted.release_id)
    start = read_watermark(site.watch)
    watched = Watched(site.contract, release.release_id)
    found = survey(site.serving.predictions_folder, watched, start, max_rows=site.max_rows)
    if found.num_customers < site.min_rows_of(release) and not found.is_full:
        return None
    claim = Claim(
        contract=site.contract,
        release_id=release.release_id,
        release_folder=str(wanted.folder),
        version=wanted.version,
        time=time_text(time.time()),
        read=found.read,
        rule=site.settings.drift.rule,
    )
    write_claim(site.watch, claim)
    return claim, release, found


def _go_on(site: Site) -> tuple[Claim, Release, Survey] | None:
    """The window that a killed run has claimed; None when there is none."""
    claim = read_claim(site.watch)
    if claim is None:
        return None
    try:
        release = _release(Path(claim.release_folder), claim.release_id)
    except ReleaseError:
        # Its release is gone, so nobody can judge it; another one's window takes the rows in.
        drop_claim(site.watch)
        return None
    folder, watched = site.serving.predictions_folder, Watched(site.contract, claim.release_id)
    found = survey(folder, watched, claim.start, claim.end, max_rows=sys.maxsize)
    return claim, release, found


def _release(folder: Path, release_id: str | None) -> Release:
    release = load_release(folder)
    if release_id not in (None, release.release_id):
        raise IntegrityError(
            f"the folder holds release {release.release_id}, not {release_id}",
            where=str(folder),
            next_step="promote or roll back to write the pointer anew",
        )
    return release


def _judged(
    site: Site,
    claim: Claim,
    release: Release,
    found: Survey,
    by_labels: Mapping[str, Any] | None,
) -> Judged:
    journal = open_verdicts(site.watch).lines()
    lines = windows_before(journal, claim.release_id, claim.window_id, MAX_HISTORY)
    earlier = [_past(site, line) for line in lines]
    folder = site.serving.predictions_folder
    return judge(claim, release, folder, found, earlier, by_labels)


def _past(site: Site, line: WindowLine) -> Past:
    watch, name = site.watch, line.window_id
    return Past(line, read_histograms(watch, name), read_customers(watch, name))


def _log_files(site: Site) -> set[str]:
    return {path.name for path in log_paths(site.serving.predictions_folder, KIND)}


def _without_window(site: Site, by_labels: Mapping[str, Any] | None) -> tuple[str, str]:
    """Outcome and summary of a run in which too few customers waited."""
    waiting = (
        f"Fewer customers than a window needs ({site.min_rows} at least) were predicted since the"
        " last one; their predictions wait for more."
    )
    by = verdict_by_labels(by_labels)
    if by_labels is None or by is Verdict.NONE:
        return str(Verdict.TOO_FEW_ROWS), waiting
    decay = by_labels["decay"]
    return str(by), f"{decay['summary']}, by {decay['num_labels']} mature labels. {waiting}"
