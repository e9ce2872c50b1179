"""A claimed range of the log becomes a verdict, a record and a report; nothing else is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedchurn.drift.check import EarlierWindow, check_histograms, last_windows
from fedchurn.drift.documented_fields import documented_fields
from fedchurn.drift.histogram import Histogram
from fedchurn.drift.online import check_online
from fedchurn.drift.reference import DriftReference, read_reference
from fedchurn.loop.watching import client_windows, performance
from fedchurn.loop.watching.evidence import Evidence
from fedchurn.loop.watching.places import Claim
from fedchurn.loop.watching.report import Shown, report_page
from fedchurn.loop.watching.same_customers import MAX_SHARED_FRACTION, shared_fraction
from fedchurn.loop.watching.survey import Survey, Watched, counted
from fedchurn.loop.watching.verdicts import WindowLine
from fedchurn.loop.watching.window import Window, gather
from fedchurn.loop.watching.words import summary
from fedchurn.release.load import Release
from fedchurn.serving.time_text import time_text

FORMAT = 1


@dataclass(frozen=True)
class Judged:
    """One window.

    Attributes:
        record: all that is known of it, JSON-ready.
        told: what the service tells of it (``fedchurn.serving.drift_file``).
        histograms: of its columns; windows after it are judged together with them.
        page: the report as HTML.
        customers: some hashes of its customers (``same_customers``).
    """

    record: dict[str, Any]
    told: dict[str, Any]
    histograms: Mapping[str, Histogram]
    page: str
    customers: tuple[int, ...] = ()


@dataclass(frozen=True)
class Past:
    """A window before the one that is judged.

    Attributes:
        line: what the journal says of it.
        histograms: of its columns; None where they are not kept any more.
        customers: some hashes of its customers.
    """

    line: WindowLine
    histograms: Mapping[str, Histogram] | None
    customers: tuple[int, ...] = ()


def judge(
    claim: Claim,
    release: Release,
    folder: Path,
    found: Survey,
    earlier: Sequence[Past],
    by_labels: Mapping[str, Any] | None = None,
) -> Judged:
    """The verdict on a claimed window; equal arguments give an equal verdict.

    Args:
        claim: what is judged.
        release: what it is compared with, the claim's.
        folder: of the prediction log.
        found: survey of the claimed range.
        earlier: windows before it, oldest first.
        by_labels: what mature labels say of the release (``performance.look_at_labels``).

    Raises:
        IntegrityError: the release has no reference.
        SourceError: a log file is of a format that this version does not know.
    """
    reference = read_reference(release.reference, release.contract)
    watched = Watched(claim.contract, claim.release_id)
    clients = list(release.reference.get("clients", ()))
    window = gather(counted(folder, watched, found), release.contract, reference, clients)
    evidence = _evidence(claim, release, reference, window, earlier, by_labels)
    record = {
        **_facts(claim, release),
        **_counts(found, window),
        **evidence.to_dict(),
        "summary": summary(evidence, window.all.num_rows),
    }
    shown = Shown(
        record=record,
        found=evidence.drift,
        reference=reference,
        histograms=window.all.histograms,
        labels=release.reference.get("labels", {}),
        earlier=[one.line for one in earlier],
        clients=client_windows.page_part(evidence.clients),
        performance=performance.page_part(evidence.estimated, by_labels),
    )
    told, page = _told(record, evidence), report_page(shown)
    return Judged(record, told, window.all.histograms, page, window.customers)


def _evidence(
    claim: Claim,
    release: Release,
    reference: DriftReference,
    window: Window,
    earlier: Sequence[Past],
    by_labels: Mapping[str, Any] | None,
) -> Evidence:
    histograms, num_rows = window.all.histograms, window.all.num_rows
    if claim.rule == "online":
        return Evidence(check_online(reference, histograms, num_rows))
    rule = reference.rule(num_rows)
    others = [one for one in last_windows(earlier, rule) if _has_other_customers(one, window)]
    before = [
        EarlierWindow(one.line.flagged, one.line.num_customers, one.histograms)
        for one in others
        if one.histograms is not None
    ]
    return Evidence(
        check_histograms(reference, histograms, num_rows, rule, earlier=before),
        client_windows.judge_by_client(release, window, [one.line for one in others]),
        performance.estimate(window, release),
        by_labels,
    )


def _has_other_customers(earlier: Past, window: Window) -> bool:
    """Whether it may count for persistence; see ``same_customers``."""
    return shared_fraction(window.customers, earlier.customers) <= MAX_SHARED_FRACTION


def _told(record: Mapping[str, Any], evidence: Evidence) -> dict[str, Any]:
    names = (
        *("release", "window_id", "made_by", "summary", "evidence"),
        *("clients", "extent", "estimated", "decay"),
    )
    return {
        **documented_fields(evidence.drift),
        **{name: record[name] for name in names},
        "overall": record["verdict"],
        "timestamp": record["time"],
    }


def _facts(claim: Claim, release: Release) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "window_id": claim.window_id,
        "time": claim.time,
        "made_by": "runner",
        "contract": claim.contract,
        "release": claim.release_id,
        "version": claim.version,
        "is_sample": release.card.is_sample,
        "read": {file: list(ends) for file, ends in sorted(claim.read.items())},
    }


def _counts(found: Survey, window: Window) -> dict[str, Any]:
    return {
        "first_prediction": time_text(found.first_seconds),
        "last_prediction": time_text(found.last_seconds),
        "num_predictions": found.num_rows,
        "num_customers": window.all.num_rows,
        "num_other_clients": window.num_other_clients,
        "models_used": dict(window.models_used),
        "others": dict(found.others),
        "num_torn": found.num_torn,
    }
