"""Where rows come from: a file or a database, read without silent conversions.

Text stays text and cells keep their type; ``fedchurn.data.frames`` gives them meaning.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fedchurn.contract.schema import Contract
from fedchurn.data.file_readers import FORMATS, ReadTable, read_bytes
from fedchurn.data.sample_ids import are_sample_ids
from fedchurn.errors import SourceError, nearest

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RawTable:
    """A table as read.

    Attributes:
        client: the client's name, "" before rows are dealt.
        frame: columns under their source names, nothing renamed or converted; n rows.
        row_numbers: int64, 1-based data row in the source (the header is not counted); n rows.
        source: where it came from in words: file name (and sheet), or database and query.
        sha256: of the file's bytes, or of the frame as CSV for a query.
        is_sample: whether the rows were made by ``fedchurn.data.sample``.
    """

    client: str
    frame: pd.DataFrame
    row_numbers: NDArray[np.int64]
    source: str
    sha256: str
    is_sample: bool

    @property
    def num_rows(self) -> int:
        return len(self.frame)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_], client: str = "") -> RawTable:
        """The given rows in the given order, under the name of a client if one is given."""
        return replace(
            self,
            client=client or self.client,
            frame=self.frame.iloc[rows].reset_index(drop=True),
            row_numbers=self.row_numbers[rows],
        )


def read_table(
    location: str | Path,
    contract: Contract,
    *,
    sheet: str | None = None,
    query: str | None = None,
) -> RawTable:
    """Read a table from a file or a database.

    Args:
        location: path of an xlsx, csv, tsv or parquet file, or an SQLAlchemy URL.
        contract: says the delimiter of csv files, the sheet of workbooks and the id column.
        sheet: sheet of a workbook, instead of the contract's.
        query: the SELECT to run; required for a URL, refused for a file.

    Raises:
        SourceError: the table cannot be found, opened or read, or holds no rows.
    """
    if "://" in str(location):
        return _query_table(str(location), contract, query)
    if query is not None:
        raise SourceError(
            f"a query was given for the file {location}",
            where="--query",
            next_step="give a database URL such as sqlite:///customers.db, or drop the query",
        )
    return _file_table(Path(location), contract, sheet)


def sidecar_path(path: Path) -> Path:
    """Where a generated sample says what it is: ``NAME.sample.json`` beside ``NAME.csv``."""
    return path.with_suffix(".sample.json")


def _query_table(url: str, contract: Contract, query: str | None) -> RawTable:
    from fedchurn.data.sql_sqlalchemy import masked_url, read_query  # a heavy import, on demand

    if not (query or "").strip():
        raise SourceError(
            f"no query was given for the database {masked_url(url)}",
            where="--query",
            next_step='add one, for example --query "SELECT * FROM customers"',
        )
    frame = read_query(url, query or "")
    digest = hashlib.sha256(frame.to_csv(index=False).encode()).hexdigest()
    source = f"{masked_url(url)}: {query}"
    return _raw_table(ReadTable(frame, _count_up(len(frame)), source), contract, digest)


def _file_table(path: Path, contract: Contract, sheet: str | None) -> RawTable:
    data = file_bytes(path)
    read = read_bytes(data, path.name, contract.source, sheet)
    if read.note:
        _log.warning("%s: %s", path.name, read.note)
    digest = hashlib.sha256(data).hexdigest()
    return _raw_table(read, contract, digest, is_sample=_has_sidecar(path, digest))


def _raw_table(
    read: ReadTable, contract: Contract, digest: str, *, is_sample: bool = False
) -> RawTable:
    if not len(read.frame):
        raise SourceError(
            "the table has a header but no rows",
            where=read.source,
            next_step="check the export; a client without rows cannot take part",
        )
    source = f"{read.source} ({read.note})" if read.note else read.source
    is_sample = is_sample or _has_sample_ids(read.frame, contract)
    return RawTable("", read.frame, read.row_numbers, source, digest, is_sample)


def _count_up(num_rows: int) -> NDArray[np.int64]:
    return np.arange(1, num_rows + 1, dtype=np.int64)


def check_file_exists(location: str) -> None:
    """Return if a location is a file that is there, or no file at all.

    Raises:
        SourceError: there is no such file.
    """
    is_file = "://" not in location and not location.startswith("env:")
    if is_file and not Path(location).exists():
        raise _missing_file(Path(location))


def file_bytes(path: Path) -> bytes:
    """The bytes of a file of a known format.

    Raises:
        SourceError: the file does not exist, is a folder, has an unknown suffix or may not be read.
    """
    try:
        if path.is_dir():
            raise _is_folder(path)
        if path.suffix.lower() not in FORMATS and path.exists():
            raise _unknown_suffix(path)
        return path.read_bytes()
    except FileNotFoundError:
        raise _missing_file(path) from None
    except PermissionError:
        raise SourceError(
            "the file may not be read: permission denied",
            where=str(path),
            next_step=f"give the user who runs this the right to read it: chmod u+r {path}",
        ) from None
    except OSError as error:
        raise SourceError(
            f"the file cannot be read: {error.strerror or error}",
            where=str(path),
            next_step="check the path and the disk it is on",
        ) from None


def _missing_file(path: Path) -> SourceError:
    folder = path.parent
    if not folder.is_dir():
        return SourceError(
            f"the folder {folder} does not exist", where=str(path), next_step="check the path"
        )
    names = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in FORMATS)
    hint = nearest(path.name, names) if names else f"{folder} holds no table"
    return SourceError("no such file", where=str(path), next_step=f"check the name; {hint}")


def _is_folder(path: Path) -> SourceError:
    names = sorted(p.name for p in path.iterdir() if p.suffix.lower() in FORMATS)
    inside = f"one of: {', '.join(names[:12])}" if names else "a table; this folder holds none"
    return SourceError("this is a folder, not a file", where=str(path), next_step=f"name {inside}")


def _unknown_suffix(path: Path) -> SourceError:
    suffix = path.suffix or "no suffix"
    return SourceError(
        f"unknown kind of file: {suffix}",
        where=str(path),
        next_step=f"save the table as one of {', '.join(FORMATS)}",
    )


def _has_sidecar(path: Path, digest: str) -> bool:
    try:
        return bool(json.loads(sidecar_path(path).read_text("utf-8")).get("sha256") == digest)
    except (OSError, ValueError, AttributeError):
        return False


def _has_sample_ids(frame: pd.DataFrame, contract: Contract) -> bool:
    """Sample ids survive copying, editing and conversion of the file; a sidecar does not."""
    if contract.id is None or contract.id.column not in frame.columns:
        return False
    return are_sample_ids(frame[contract.id.column].tolist())
