"""Can MLflow be used? Asked before training, because after it the answer costs a training."""

from __future__ import annotations

import sqlite3
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from fedchurn.errors import TrackingError
from fedchurn.registry.mlflow_errors import without_password

TIMEOUT_SECONDS = 3.0
_SQLITE = "sqlite:///"
_DATABASES = ("postgresql", "mysql", "mssql")


def check_reachable(uri: str) -> None:
    """Check that the tracking server or data base behind ``uri`` answers and can be written.

    Args:
        uri: ``sqlite:////ABSOLUTE/mlflow.db``, ``http(s)://HOST:PORT``, or an SQLAlchemy URL of a
            server data base.

    Raises:
        TrackingError: it does not; says why and what to do.
    """
    scheme = uri.partition(":")[0].partition("+")[0]
    if uri.startswith(_SQLITE):
        _check_sqlite(uri)
    elif scheme in ("http", "https"):
        _check_http(uri)
    elif scheme in _DATABASES:
        _check_database(uri)
    else:
        raise TrackingError(
            "not a tracking URI that can be used; MLflow 3 no longer writes to plain folders",
            where=without_password(uri) or "(empty)",
            next_step="write sqlite:////ABSOLUTE/PATH/mlflow.db or http://HOST:PORT",
        )


def sqlite_path(uri: str) -> Path:
    """The file behind an embedded tracking URI.

    Raises:
        TrackingError: the path is relative, so it would depend on the working directory.
    """
    path = Path(uri.removeprefix(_SQLITE).partition("?")[0])
    if not path.is_absolute():
        raise TrackingError(
            f"the path {str(path)!r} is relative: it would be another file in every folder",
            where=uri,
            next_step=f"write {_SQLITE}{path.absolute()}",
        )
    return path


def _check_sqlite(uri: str) -> None:
    path = sqlite_path(uri)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=TIMEOUT_SECONDS)) as database:
            _try_to_write(database)
    except (OSError, sqlite3.Error) as error:
        raise TrackingError(
            f"the file cannot be used: {error}",
            where=uri,
            next_step=f"make {path} a file that this user may write, or name another one",
        ) from error


def _try_to_write(database: sqlite3.Connection) -> None:
    """Begin a write and take it back; a read-only disk, a lock or a foreign file shows up here."""
    database.isolation_level = None
    database.execute("BEGIN IMMEDIATE")
    version = database.execute("PRAGMA user_version").fetchone()[0]
    database.execute(f"PRAGMA user_version = {int(version)}")
    database.execute("ROLLBACK")


def _check_http(uri: str) -> None:
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    address = urlunsplit((parts.scheme, host, parts.path.rstrip("/") + "/health", "", ""))
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            status, body = answer.status, answer.read(64)
    except (OSError, ValueError, urllib.error.HTTPError) as error:
        raise _silent(uri, address, str(getattr(error, "reason", "") or error)) from error
    if status != 200 or body.strip() != b"OK":
        raise _silent(uri, address, f"something else answers there ({status}, {body!r})")


def _silent(uri: str, address: str, reason: str) -> TrackingError:
    return TrackingError(
        f"the MLflow server does not answer at {address}: {reason}",
        where=without_password(uri),
        next_step="start it (make up), correct tracking_uri, or leave it out to work embedded",
    )


def _check_database(uri: str) -> None:
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(uri)
        with closing(engine.raw_connection()):
            pass
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        raise TrackingError(
            f"the data base does not answer: {without_password(str(error).splitlines()[0])}",
            where=without_password(uri),
            next_step="start it, or correct tracking_uri",
        ) from error
