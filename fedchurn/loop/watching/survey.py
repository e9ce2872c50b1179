"""First reading of the log: where a window ends, and which of its predictions count.

Nothing of a prediction is kept but 16 bytes (customer and time), so a window may be long.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedchurn.serving.log.log_lines import LoggedPrediction
from fedchurn.serving.log.log_reader import ReadCounts, read_range
from fedchurn.serving.records import CHAMPION

Range = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Watched:
    """Whose predictions a window is made of.

    Attributes:
        contract: name of the contract.
        release_id: the release in production.
    """

    contract: str
    release_id: str

    def other(self, prediction: LoggedPrediction) -> str | None:
        """Why a prediction is not meant: of which other kind it is; None when it is meant."""
        if prediction.schema is None or prediction.schema.contract != self.contract:
            return "other_contract"
        if prediction.release != self.release_id:
            return "other_release"
        return None if prediction.role == CHAMPION else "other_role"


@dataclass(frozen=True)
class Survey:
    """What stands in a part of the log.

    Attributes:
        read: first and last position in bytes by file name, for files that hold something new.
        kept: which predictions count, in the order of reading: of n that are meant the newest one
            per customer; by file name, together bool (n,).
        num_rows: predictions that are meant, n.
        num_customers: how many of them count.
        others: predictions that are not meant, by kind.
        num_torn: damaged lines that were passed over.
        first_seconds, last_seconds: Unix times of the first and the last of the n; 0 without any.
        is_full: whether there may be more behind it.
    """

    read: Range
    kept: Mapping[str, NDArray[np.bool_]]
    num_rows: int
    num_customers: int
    others: Mapping[str, int]
    num_torn: int
    first_seconds: float
    last_seconds: float
    is_full: bool


def survey(
    folder: Path,
    watched: Watched,
    start: Mapping[str, int] | None = None,
    end: Mapping[str, int] | None = None,
    *,
    max_rows: int,
) -> Survey:
    """Read from one watermark to another, or until ``max_rows`` predictions that are meant.

    Raises:
        SourceError: a file is of a format that this version does not know.
    """
    counts, others = ReadCounts(), Counter[str]()
    keys, times = array("Q"), array("d")
    read: dict[str, tuple[int, int]] = {}
    num_by_file: dict[str, int] = {}
    for prediction, file, behind in read_range(folder, start, end, counts=counts):
        kind = watched.other(prediction)
        if kind is None:
            keys.append(_customer_key(prediction))
            times.append(prediction.time_seconds)
        else:
            others[kind] += 1
        read[file] = ((start or {}).get(file, 0), behind)
        num_by_file[file] = num_by_file.get(file, 0) + (kind is None)
        if len(keys) >= max_rows:
            break
    kept = _newest_per_key(np.asarray(keys, dtype=np.uint64), np.asarray(times, dtype=np.float64))
    return Survey(
        read=read,
        kept=dict(_by_file(kept, num_by_file)),
        num_rows=len(keys),
        num_customers=int(kept.sum()),
        others=dict(others),
        num_torn=counts.num_torn,
        first_seconds=min(times, default=0.0),
        last_seconds=max(times, default=0.0),
        is_full=len(keys) >= max_rows,
    )


def counted(folder: Path, watched: Watched, found: Survey) -> Iterator[LoggedPrediction]:
    """Second reading: the predictions that count, file by file.

    A file that has gone meanwhile, since the log needed room, is passed over.
    """
    start = {file: begin for file, (begin, _) in found.read.items()}
    end = {file: behind for file, (_, behind) in found.read.items()}
    places: Counter[str] = Counter()
    for prediction, file, _ in read_range(folder, start, end):
        if watched.other(prediction) is None:
            place = places[file]
            places[file] += 1
            if found.kept[file][place]:
                yield prediction


def _customer_key(prediction: LoggedPrediction) -> int:
    """64 bits: of a million customers two share them with a chance of 3 in 100 million."""
    known = prediction.customer_id is not None
    text = f"c{prediction.customer_id}" if known else f"p{prediction.prediction_id}"
    digest = hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _newest_per_key(keys: NDArray[np.uint64], times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a place is the newest of its key, (n,); of equal times the one read last."""
    order = np.lexsort((times, keys))
    last = np.append(keys[order][1:] != keys[order][:-1], True)[: len(keys)]
    kept = np.zeros(len(keys), dtype=np.bool_)
    kept[order[last]] = True
    return kept


def _by_file(
    kept: NDArray[np.bool_], num_by_file: Mapping[str, int]
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    begin = 0
    for file, num_rows in num_by_file.items():
        yield file, kept[begin : begin + num_rows]
        begin += num_rows
