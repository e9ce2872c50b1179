"""Rows of a database query through SQLAlchemy; passwords never reach a message."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from fedchurn.errors import SourceError, nearest

_DATABASES = ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql")


def masked_url(url: str) -> str:
    """``url`` without its password and its ``?key=value`` part, fit for messages and reports."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return re.sub(r"://[^/]*@", "://***@", url.split("?")[0])
    return str(parsed.set(query={}).render_as_string(hide_password=True))


def read_query(url: str, query: str) -> pd.DataFrame:
    """All rows of ``query``, cells as the driver gives them (dtype object).

    The transaction is never committed, so a query cannot change the database.

    Raises:
        SourceError: the database is unknown, cannot be reached or refuses the query.
    """
    parsed = _parsed(url)
    _refuse_missing_file(parsed)
    try:
        engine = sqlalchemy.create_engine(parsed)
    except NoSuchModuleError:
        raise _unknown_database(parsed.drivername, url) from None
    except ModuleNotFoundError as error:
        raise SourceError(
            f"the driver {error.name!r} of this database is not installed",
            where=masked_url(url),
            next_step=f"pip install {error.name}",
        ) from None
    except (SQLAlchemyError, ValueError, TypeError) as error:
        raise _refused(error, parsed, "check the URL") from None
    try:
        return _fetch(engine, query, parsed)
    finally:
        engine.dispose()


def _fetch(engine: Any, query: str, url: URL) -> pd.DataFrame:
    try:
        with engine.connect() as connection:
            result = connection.exec_driver_sql(query)
            if not result.returns_rows:
                raise SourceError(
                    "the query returns no table, and nothing was changed",
                    where=masked_url(url.render_as_string(hide_password=False)),
                    next_step="give a SELECT",
                )
            names = list(result.keys())
            rows = [tuple(row) for row in result.fetchall()]
    except (SQLAlchemyError, ValueError, TypeError, OSError) as error:
        raise _refused(error, url, _advice(engine, error)) from None
    _refuse_twins(names, query)
    return pd.DataFrame(rows, columns=names, dtype=object)


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise SourceError(
            f"not a database URL: {masked_url(url)}",
            where="--data",
            next_step="write it as postgresql://user:password@host/database",
        ) from None


def _unknown_database(name: str, url: str) -> SourceError:
    hint = nearest(name.split("+")[0], _DATABASES)
    return SourceError(
        f"unknown kind of database {name!r}",
        where=masked_url(url),
        next_step=f"{hint} (files are given as a plain path, without ://)",
    )


def _refuse_missing_file(url: URL) -> None:
    """SQLite would make an empty database of a mistyped name."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return
    path = Path(url.database)
    if not path.is_file() and not url.database.startswith("file:"):
        folder = path.parent
        names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        raise SourceError(
            "no such database file", where=str(path), next_step=nearest(path.name, names)
        )


def _refuse_twins(names: list[str], query: str) -> None:
    twins = sorted({n for n in names if names.count(n) > 1})
    if twins:
        raise SourceError(
            f"the query returns two columns named {twins[0]!r}",
            where=query,
            next_step="name them apart with AS",
        )


def _refused(error: Exception, url: URL, next_step: str) -> SourceError:
    cause = getattr(error, "orig", None) or error
    message = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    for secret in [url.password, *url.query.values()]:
        if secret:
            message = message.replace(str(secret), "***")
    where = masked_url(url.render_as_string(hide_password=False))
    return SourceError(f"the database refused: {message}", where=where, next_step=next_step)


def _advice(engine: Any, error: Exception) -> str:
    words = re.findall(r"\w+", str(getattr(error, "orig", error)))
    try:
        tables = sqlalchemy.inspect(engine).get_table_names()
    except SQLAlchemyError:
        return "check that the database runs, and the host, user and password"
    if "table" in words and tables:
        return f"check the query; {nearest(words[-1], tables)}"
    return "check the query"
