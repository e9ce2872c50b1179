"""Verbs about what the service has answered: replay, performance."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedchurn.cli import performance_verb
from fedchurn.cli.verb import Json, verb

if TYPE_CHECKING:
    from fedchurn.serving.log.replay import ReplayReport


def add_to(app: typer.Typer) -> None:
    """Register the verbs."""
    app.command("replay")(replay_verb)
    performance_verb.add_to(app)


@verb
def replay_verb(
    log_folder: Annotated[Path, typer.Argument(help="Folder of a prediction log.")],
    release: Annotated[Path, typer.Option("--release", help="Release folder to score it with.")],
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="Only the newest N predictions.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", help="csv file to write every row to.")
    ] = None,
    json_output: Json = False,
) -> dict[str, Any]:
    """Score logged predictions with a release, and compare with what was answered."""
    from fedchurn.errors import SourceError
    from fedchurn.serving.log.log_reader import ReadCounts, newest, read_predictions
    from fedchurn.serving.log.replay import Replay
    from fedchurn.serving.served_release import serve_release

    counts = ReadCounts()
    replay = Replay(serve_release(release))
    if limit is None:
        predictions: Iterable[Any] = read_predictions(log_folder, counts=counts)
    else:
        predictions = newest(log_folder, limit, counts=counts)
    with _rows_to(output) as write:
        for row in replay.rows(predictions):
            write(row)
    report = replay.report()
    if not report.num_rows and not report.skipped:
        raise SourceError(
            "no predictions are logged here",
            where=str(log_folder),
            next_step="name the folder that holds predictions-*.jsonl, such as"
            " .fedchurn/service/ecommerce/predictions",
        )
    _tell(report, counts.num_torn)
    return report.to_dict() | {
        "num_torn": counts.num_torn,
        "output": None if output is None else str(output),
    }


@contextmanager
def _rows_to(output: Path | None) -> Iterator[Any]:
    """A function that takes each row; it writes a csv file where one is wanted."""
    from fedchurn.errors import SettingsError
    from fedchurn.serving.log.replay import ReplayedRow

    if output is None:
        yield lambda _row: None
        return
    try:
        file = output.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"{str(output)!r} cannot be written: {error.strerror or error}",
            where="--output",
            next_step="name a csv file in a folder that can be written to",
        ) from error
    with file:
        writer = csv.writer(file)
        writer.writerow([*ReplayedRow._fields, "difference"])
        yield lambda row: writer.writerow([*row, row.difference])


def _tell(report: ReplayReport, num_torn: int) -> None:
    print(f"{report.num_rows} predictions scored with {report.release}")
    for release, num_rows in report.releases.items():
        print(f"  {num_rows} of them answered by {release}")
    for reason, num_rows in report.skipped.items():
        print(f"  {num_rows} more skipped: {reason}")
    if num_torn:
        print(f"  {num_torn} damaged or unfinished lines skipped")
    if report.mean_absolute_difference is not None:
        print(f"mean absolute difference   {report.mean_absolute_difference:.6f}")
        print(f"decision changes           {report.decision_changed_fraction:.2%}")
        print(f"risk band changes          {report.band_changed_fraction:.2%}")
    for prediction_id, difference in report.largest:
        if difference:
            print(f"  {difference:+.6f}  {prediction_id}")
    if report.num_same_release:
        print(
            f"{report.num_same_release - report.num_not_same} of {report.num_same_release} answers"
            f" of this release itself come out again within 1e-6"
        )
    for prediction_id in report.not_same:
        print(f"  not so: {prediction_id}")
