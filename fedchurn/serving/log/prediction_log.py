"""The prediction log: a sink that appends what was answered to files of this worker.

Nothing here runs in a request. When the disk does not take a batch, it is dropped and counted, and
the next batch tries again; a killed worker loses what was not handed over yet, and nothing else
(docs/decisions/0026-prediction-log.md).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from fedchurn.contract.schema import Contract
from fedchurn.errors import SettingsError, nearest
from fedchurn.serving.log.log_files import FileNames, LineFile, delete_oldest, reason_of
from fedchurn.serving.log.log_lines import CUSTOMER_ID, FIELDS, FORMAT, LogSchema, line_of
from fedchurn.serving.records import PredictionRecord
from fedchurn.serving.served_release import ServedRelease

logger = logging.getLogger("bentoml.churn.log")

KIND = "predictions"
UNFIT = "unfit"
_MAX_OPEN = 2
_MIN_FILES = 4
_TELL_SECONDS = 60.0

Values = tuple[Any, ...]


class PredictionLog:
    """Appends records to files under ``folder``; a ``recorder.Sink``.

    Args:
        folder: shared by all workers.
        file_bytes: no file grows above this.
        total_bytes: nor all files of all workers together, as long as there are at most
            ``total_bytes / file_bytes`` workers; closed files are deleted, oldest first. At most a
            quarter of it goes into one file.
        masked_fields: columns whose values are not logged; ``customer_id``, or the contract's name
            of it, leaves out the customer.
        clock: seconds that never run backwards, for how often trouble is told.

    Attributes:
        num_written: records that the operating system has taken.
        num_dropped_by_reason: records that were not logged: ``disk_full``, ``not_writable``,
            ``io_error``, ``unfit`` (values that are not those of the release's contract, or that
            no file could hold).
        num_deleted_files: files that this worker deleted to make room.
    """

    def __init__(
        self,
        folder: Path,
        *,
        file_bytes: int = 16 * 2**20,
        total_bytes: int = 2**30,
        masked_fields: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._file_bytes = min(file_bytes, total_bytes // _MIN_FILES)
        self._total_bytes = total_bytes
        self._masked_fields = frozenset(masked_fields)
        self._names = FileNames(KIND)
        self._files: dict[LogSchema, LineFile] = {}
        self._trouble = _Trouble(folder, clock)
        self.num_written = 0
        self.num_dropped_by_reason: dict[str, int] = {}
        self.num_deleted_files = 0

    @property
    def num_dropped(self) -> int:
        """Records that were not logged, for whatever reason."""
        return sum(self.num_dropped_by_reason.values())

    def take(self, records: Sequence[PredictionRecord]) -> None:
        """Append ``records``, or count them as dropped; never raises because of a disk."""
        layouts: dict[int, _Layout] = {}
        for served in {id(r.served): r.served for r in records}.values():
            layouts[id(served)] = _Layout(served, self._masked_fields)
        batches: dict[LogSchema, list[bytes]] = {}
        for record in records:
            layout = layouts[id(record.served)]
            line = layout.line(record)
            if line is None:
                self._drop(UNFIT, 1)
            else:
                batches.setdefault(layout.schema, []).append(line)
        for schema, lines in batches.items():
            self._append(schema, lines, records[0].time_seconds)

    def close(self) -> None:
        """Close this worker's files."""
        while self._files:
            self._files.popitem()[1].close()

    def _append(self, schema: LogSchema, lines: list[bytes], time_seconds: float) -> None:
        num_before = self.num_written
        try:
            for part in self._parts(schema, lines, time_seconds):
                self._write(self._files[schema], part)
        except OSError as error:
            num_lost = len(lines) - (self.num_written - num_before)
            self._drop(reason_of(error), num_lost)
            self._trouble.met(error, num_lost)
        else:
            self._trouble.over()

    def _write(self, file: LineFile, lines: list[bytes]) -> None:
        data, start = b"".join(lines), file.size_bytes
        try:
            file.append(data)
        finally:
            self.num_written += data.count(b"\n", 0, file.size_bytes - start)

    def _parts(
        self, schema: LogSchema, lines: list[bytes], time_seconds: float
    ) -> Iterator[list[bytes]]:
        """Lines that fit into the current file, with a new file begun for each further part."""
        part: list[bytes] = []
        room = self._room(schema, time_seconds)
        for line in lines:
            if len(line) > room:
                if part:
                    yield part
                part = []
                room = self._begin(schema, time_seconds)
            part.append(line)
            room -= len(line)
        if part:
            yield part

    def _room(self, schema: LogSchema, time_seconds: float) -> int:
        file = self._files.get(schema)
        if file is None or file.is_lost:
            return self._begin(schema, time_seconds)
        return self._file_bytes - file.size_bytes

    def _begin(self, schema: LogSchema, time_seconds: float) -> int:
        """Begin a file, make room for it, and return the bytes that it may yet take."""
        full = self._files.pop(schema, None)
        if full is not None:
            full.close()
        while len(self._files) >= _MAX_OPEN:
            self._files.pop(next(iter(self._files))).close()
        file = LineFile(self._folder / self._names.new(time_seconds), line_of(schema))
        self._files[schema] = file
        self.num_deleted_files += delete_oldest(
            self._folder, KIND, total_bytes=self._total_bytes, file_bytes=self._file_bytes
        )
        return self._file_bytes - file.size_bytes

    def _drop(self, reason: str, num_records: int) -> None:
        counts = self.num_dropped_by_reason
        counts[reason] = counts.get(reason, 0) + num_records


def check_masked_fields(masked_fields: Sequence[str], contract: Contract) -> None:
    """Make sure that every masked field is one: a misspelt one would be logged.

    Raises:
        SettingsError: names the field and the nearest one that there is.
    """
    known = [*contract.columns, CUSTOMER_ID, *([contract.id.column] if contract.id else [])]
    for field in masked_fields:
        if field not in known:
            raise SettingsError(
                f"masked field {field!r} is no field of contract {contract.contract!r}; "
                f"{nearest(field, known)}",
                where="FEDCHURN_SERVE_LOG_MASKED_FIELDS",
                next_step="name columns of the contract, or customer_id",
            )


class _Layout:
    """How records of one release are laid out."""

    def __init__(self, served: ServedRelease, masked_fields: frozenset[str]) -> None:
        contract = served.contract
        names = tuple(contract.columns)
        kept = tuple(n for n in names if n not in masked_fields)
        masked = [n for n in names if n in masked_fields]
        self._no_customer = any(name in masked_fields for name in (CUSTOMER_ID, served.id_column))
        self._about = (served.release_id, served.version, served.role)
        self._num_values = len(names)
        self._pick = _picker([names.index(name) for name in kept]) if masked else None
        self.schema = LogSchema(
            format=FORMAT,
            fields=FIELDS,
            contract=contract.contract,
            contract_version=contract.version,
            columns=kept,
            masked=(*masked, *([CUSTOMER_ID] if self._no_customer else [])),
        )

    def line(self, record: PredictionRecord) -> bytes | None:
        """The record's line; None when its values do not fit."""
        (moment, prediction_id, customer, values, probability, prediction, risk_level) = record[:7]
        (model_used, reason, _served, latency_seconds, warnings, endpoint, _quick) = record[7:]
        if len(values) != self._num_values:
            return None
        logged = self._pick(values) if self._pick else values
        fields = (
            *(moment, prediction_id, None if self._no_customer else customer, *self._about),
            *(model_used, reason, probability, prediction, risk_level),
            *(latency_seconds, endpoint, warnings, logged),
        )
        try:
            return line_of(fields)
        except (TypeError, ValueError, OverflowError):  # one odd record must not take the others
            return None


def _picker(places: list[int]) -> Callable[[Values], Values]:
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple(values[place] for place in places)


class _Trouble:
    """Says that predictions are not logged, at most once a minute, and that they are again."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock
        self._told_at: float | None = None
        self._is_told = False
        self._num_untold = 0

    def met(self, error: OSError, num_records: int) -> None:
        self._num_untold += num_records
        now = self._clock()
        if self._told_at is None or now - self._told_at >= _TELL_SECONDS:
            logger.error(
                "%d predictions were not logged in %s: %s; answers are not affected",
                *(self._num_untold, self._folder, error.strerror or error),
            )
            self._told_at = now
            self._is_told = True
            self._num_untold = 0

    def over(self) -> None:
        if self._is_told:
            logger.warning("predictions are logged again in %s", self._folder)
            self._is_told = False
