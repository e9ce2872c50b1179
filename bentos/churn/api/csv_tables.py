"""Batches as CSV: files of customers in, files with answers out."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import UNSET

from bentos.churn.api.answers import Batch as Answers
from bentos.churn.api.answers import Prediction
from bentos.churn.api.bodies import MAX_ROWS, Batch, accepted_fields, check_num_rows
from bentos.churn.api.findings import Finding, Refused, refused, shortened
from fedchurn.contract.customer_rows import known_fields
from fedchurn.contract.schema import Contract
from fedchurn.errors import nearest, nearest_match
from fedchurn.serving.examples import example_customers

_MAX_COLUMNS = 1000
_NUM_REASONS = 3  # strongest ones in a cell; the JSON answer has them all
_DELIMITERS = (",", ";", "\t")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")  # as OWASP lists them
_ANSWERED = (
    "churn_probability",
    "churn_prediction",
    "risk_level",
    "model_used",
    "fallback_reason",
    "model_version",
    "release",
    "prediction_id",
)


def read_csv(body: bytes, contract: Contract) -> Batch:
    """The customers of a file: one header line with field names, then 1 to ``MAX_ROWS`` rows.

    UTF-8, with comma, semicolon or tab between cells; empty cells are missing values. Columns that
    the contract does not know are ignored where it says so for tables, unless they look like a
    mistyped column of the contract.

    Raises:
        Refused: the file cannot be read as such a table.
    """
    header, lines = _table(body)
    _check_header(header)
    ignored = _ignored_columns(header, contract)
    kept = [i for i, name in enumerate(header) if name not in ignored]
    rows: list[dict[str, str]] = []
    ragged: dict[int, str] = {}
    for index, cells in enumerate(lines):
        if len(cells) != len(header):
            ragged[index] = f"the row has {len(cells)} cells, the header {len(header)}"
        rows.append({header[i]: cells[i] for i in kept if i < len(cells)})
    return Batch(rows, ignored_columns=tuple(ignored), ragged=ragged)


def write_csv(batch: Batch, answers: Answers, contract: Contract) -> str:
    """Every row that was sent, in order, with its answer or its errors beside it."""
    sent = _columns(batch, contract)
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(
        [*map(cell, sent), *_ANSWERED, "reasons", "recommendations", "warnings", "errors"]
    )
    answered = {p.customer_index: p for p in answers.predictions}
    wrong = _by_index(answers.errors)
    for index, row in enumerate(batch.rows):
        values = row if isinstance(row, Mapping) else {}
        prediction = answered.get(index)
        writer.writerow(
            [
                *(cell(values.get(name)) for name in sent),
                *_answer_cells(prediction),
                cell("; ".join(f.message for f in wrong.get(index, ()))),
            ]
        )
    return file.getvalue()


def template(contract: Contract) -> str:
    """A file to fill in: the header, and one typical customer."""
    customer = example_customers(contract)["typical"]
    names = list(customer)
    values = [customer[name] for name in names]
    if contract.id:
        names, values = [contract.id.column, *names], ["", *values]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerows([[cell(name) for name in names], [cell(value) for value in values]])
    return file.getvalue()


def cell(value: object) -> str:
    """``value`` as a cell that no spreadsheet takes for a formula.

    >>> cell("=1+1"), cell("-3.5"), cell(None)
    ("'=1+1", '-3.5', '')
    """
    if value is None or value is UNSET:
        return ""
    text = str(value)
    risky = text.lstrip(" ").startswith(_FORMULA_STARTS)
    return f"'{text}" if risky and not _is_number(text) else text


def _table(body: bytes) -> tuple[list[str], list[list[str]]]:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _unreadable("it is not UTF-8 text; save it as CSV UTF-8") from None
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    lines: list[list[str]] = []
    try:
        for line in reader:
            if any(text.strip() for text in line):
                lines.append(line)
            if len(lines) > MAX_ROWS + 1:
                message = f"the file has more than {MAX_ROWS} rows"
                raise refused(422, "too_many", message, limit=f"1 to {MAX_ROWS} rows")
    except csv.Error as error:
        raise _unreadable(f"line {reader.line_num}: {error}") from None
    if not lines:
        raise _unreadable("it is empty; it must begin with a line of field names")
    check_num_rows(len(lines) - 1)
    return [name.strip() for name in lines[0]], lines[1:]


def _check_header(header: Sequence[str]) -> None:
    if len(header) > _MAX_COLUMNS:
        raise _unreadable(f"it has {len(header)} columns; accepted: at most {_MAX_COLUMNS}")
    for i, name in enumerate(header):
        if not name:
            raise _unreadable(f"column {i + 1} has no name")
        if name in header[:i]:
            raise _unreadable(f"two columns are called {shortened(name)!r}")


def _ignored_columns(header: Sequence[str], contract: Contract) -> list[str]:
    known = known_fields(contract)
    unknown = [name for name in header if name not in accepted_fields(contract)]
    missing = [name for name in known if name not in header]
    for name in unknown:
        near = nearest_match(name[:200], missing)
        if near is not None or contract.dataset.extra_columns == "reject":
            message = f"{shortened(name)!r} is no column of contract {contract.contract!r}"
            raise refused(
                422,
                "unknown_field",
                f"{message}; {nearest(name[:200], known)}",
                field=name,
                nearest=near,
            )
    return unknown


def _columns(batch: Batch, contract: Contract) -> list[str]:
    """Columns that were sent, those of the contract first and in its order."""
    sent = {name for row in batch.rows if isinstance(row, Mapping) for name in row}
    identifier = [contract.id.column] if contract.id else []
    known = [name for name in (*identifier, *contract.columns) if name in sent]
    return [*known, *sorted(sent - set(known))]


def _answer_cells(prediction: Prediction | None) -> list[str]:
    if prediction is None:
        return [""] * (len(_ANSWERED) + 3)
    reasons: Any = prediction.feature_contributions
    advice: Any = prediction.recommendations
    return [
        *(cell(getattr(prediction, name)) for name in _ANSWERED),
        cell("; ".join(r.reason for r in reasons[:_NUM_REASONS]) if reasons else None),
        cell("; ".join(advice) if advice is not UNSET else None),
        cell("; ".join(warning.message for warning in prediction.warnings)),
    ]


def _by_index(errors: Iterable[Finding]) -> dict[Any, list[Finding]]:
    found: dict[Any, list[Finding]] = {}
    for error in errors:
        found.setdefault(error.index, []).append(error)
    return found


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _unreadable(message: str) -> Refused:
    limit = "CSV: a line of field names, then a line per customer"
    return refused(422, "unreadable_body", f"the file cannot be read: {message}", limit=limit)
