"""Plain rows scored in a few microseconds, straight from the request's bytes.

Most requests hold a row with nothing odd about it: every field there, spelled as the contract
spells it, within its usual range. For those the answer of every value of every field is looked up
in tables made when the release is loaded. Whatever is not in a table (a problem, a warning, a
number in quotes, ...) gives None, and the caller takes the long way, which has all the words.

The tables are made by asking the contract's own field readers and the release's own encoder, so
there is no second definition of a row here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType
from numpy.typing import NDArray

from fedchurn.contract.columns import MISSING, UNKNOWN, text_code
from fedchurn.contract.conditions import Value, rule_holds
from fedchurn.contract.customer_rows import CanonicalRow
from fedchurn.contract.derived_values import derived_functions
from fedchurn.contract.field_readers import Reader, field_reader
from fedchurn.contract.schema import Column, Contract
from fedchurn.encoding.encoder import CategoryEncoding, NumberEncoding
from fedchurn.encoding.row_encoder import RowEncoder
from fedchurn.learning.spec import wide_logit, widened
from fedchurn.release.scorer import Scorer
from fedchurn.serving.predictor import probability

_MAX_TABLE = 4096
_MAX_KEPT = 16_384  # some 3 MB per column

Slot = Callable[[Value], float]  # what a canonical value becomes for the model
Entry = tuple[float, Value]  # that, and the value


class QuickAnswer(NamedTuple):
    """A scored plain row.

    Attributes:
        probability: churn probability (0-1).
        values: canonical values in the order of the contract's columns.
        customer_id: what stood in the id field, or None.
    """

    probability: float
    values: tuple[Value, ...]
    customer_id: object


class QuickScorer:
    """Scores the bodies of plain rows; see the module docstring."""

    def __init__(self, scorer: Scorer) -> None:
        contract = scorer.contract
        self._contract = contract
        self._decode, self._num_columns, self._has_id = _decoder(contract)
        self._rules = contract.rules
        self._names = tuple(contract.columns)
        additive = scorer.spec.linear and not scorer.spec.hidden and not contract.derived
        model = _Additive(scorer) if additive else _General(scorer)
        self._tables = tuple(
            _table(name, column, model) for name, column in contract.columns.items()
        )
        self._named_tables = tuple(zip(self._names, self._tables, strict=True))
        others = [contract.target.column, *([contract.id.column] if contract.id else [])]
        self._accepted = frozenset([*self._names, *others])
        self._logit = model.logit

    def score(self, body: bytes) -> QuickAnswer | None:
        """The answer about the flat JSON row in ``body``; None when the row is not plain."""
        values: list[Value] = []
        slots: list[float] = []
        try:
            fields = self._decode(body)
            if body.count(b":") != len(fields) - fields.count(UNSET):
                return None  # a name came twice; or a colon stands in a text, which is no harm
            for table, raw in zip(self._tables, fields, strict=False):
                slot, value = table[raw]
                slots.append(slot)
                values.append(value)
        except (KeyError, TypeError, ValueError, RecursionError):
            return None
        if self._rules and not self._obeys_rules(values):
            return None
        customer = fields[self._num_columns] if self._has_id else UNSET
        known = None if customer is UNSET else customer
        return QuickAnswer(probability(self._logit(slots)), tuple(values), known)

    def canonical(self, row: Mapping[str, object]) -> CanonicalRow | None:
        """``canonical_row`` of a plain row, several times quicker; None when it is not plain."""
        if bool in map(type, row.values()):
            return None  # True is equal to 1, and would be found in its place
        values: dict[str, Value] = {}
        try:
            for name, table in self._named_tables:
                values[name] = table[row[name]][1]
        except (KeyError, TypeError):
            return None
        if not row.keys() <= self._accepted:
            return None
        if self._rules and not self._obeys_rules(list(values.values())):
            return None
        return CanonicalRow(values, (), ())

    def _obeys_rules(self, values: list[Value]) -> bool:
        named = dict(zip(self._names, values, strict=True))
        return all(rule_holds(rule, named) for rule in self._rules)


def _decoder(contract: Contract) -> tuple[Callable[[bytes], tuple[Any, ...]], int, bool]:
    """Reads a flat object into a tuple: columns first, then id and target, whatever they hold.

    Truth values, lists, objects, unknown and missing fields are errors (``ValueError``) here.
    """
    columns = contract.columns.items()
    names = [name for name, _ in columns]
    id_names = [contract.id.column] if contract.id else []
    others = [n for n in (*id_names, contract.target.column) if n not in contract.columns]
    fields: list[Any] = []
    for place, (_, column) in enumerate(columns):
        kind = (int | float | None) if column.is_number else (int | float | str | None)
        fields.append((f"c{place}", kind | UnsetType, UNSET))
    fields += [(f"o{place}", Any, UNSET) for place in range(len(others))]
    renamed = {f[0]: name for f, name in zip(fields, [*names, *others], strict=True)}
    row = msgspec.defstruct(
        "PlainRow", fields, rename=renamed, forbid_unknown_fields=True, gc=False
    )
    decode, as_tuple = msgspec.json.Decoder(row).decode, msgspec.structs.astuple
    return lambda body: as_tuple(decode(body)), len(names), bool(id_names) and others[0] in id_names


class _OpenTable(dict[Any, Entry]):
    """Entries by raw value; what is not there is worked out by ``entry``, or raises KeyError.

    Numbers are kept once they are worked out, for customers' numbers come again; texts are not,
    for a text may be long.
    """

    def __init__(self, known: Mapping[Any, Entry], entry: Callable[[Any], Entry]) -> None:
        super().__init__(known)
        self._entry = entry

    def __missing__(self, raw: Any) -> Entry:
        entry = self._entry(raw)
        if len(self) < _MAX_KEPT and not isinstance(raw, str):
            self[raw] = entry
        return entry


def _table(name: str, column: Column, model: _Additive | _General) -> dict[Any, Entry]:
    read, slot = field_reader(name, column), model.slot(name)
    known: dict[Any, Entry] = {}
    for raw in _candidates(column):
        value, finding = read(None if raw is UNSET else raw)
        if finding is None:
            known[raw] = slot(value), value
    return known if _is_closed(column) else _OpenTable(known, _entry(read, slot))


def _entry(read: Reader, slot: Slot) -> Callable[[Any], Entry]:
    def entry(raw: Any) -> Entry:
        value, finding = read(raw)
        if finding is not None:
            raise KeyError(raw)
        return slot(value), value

    return entry


def _is_closed(column: Column) -> bool:
    """Whether ``_candidates`` gives every value that a plain row can hold."""
    return bool(column.categories) or (column.kind == "integer" and _is_short(column))


def _is_short(column: Column) -> bool:
    return column.usual is not None and column.usual[1] - column.usual[0] < _MAX_TABLE


def _candidates(column: Column) -> Iterable[Any]:
    """Raw values worth a table; of an integer column all of its usual range, if that is short."""
    if column.nullable:
        yield None
        yield UNSET
    if column.categories:
        yield from (*column.categories, *column.aliases)
        if column.integer_categories:
            yield from (int(label) for label in column.categories)
    elif column.kind == "integer" and column.usual and _is_short(column):
        low, high = column.usual
        yield from range(math.ceil(low), math.floor(high) + 1)


class _Additive:
    """Slots are terms of the logit: one logistic layer over fields that do not meet."""

    def __init__(self, scorer: Scorer) -> None:
        kernel, bias = widened(scorer.weights)
        self._bias = float(bias[0])
        self._contract = scorer.contract
        places = scorer.encoder.slices()
        self._encodings = {e.name: (e, kernel[places[e.name], 0]) for e in scorer.encoder.encodings}

    def slot(self, name: str) -> Slot:
        """The term of one field: its inputs, as the encoder makes them, times their weights."""
        if name not in self._encodings:
            return lambda _value: 0.0
        encoding, weights = self._encodings[name]
        if isinstance(encoding, NumberEncoding):
            return _number_term(encoding, weights)
        return _label_term(encoding, weights, _slot(self._contract.columns[name]))

    def logit(self, slots: list[float]) -> float:
        return sum(slots, self._bias)


class _General:
    """Slots are numbers and codes; the model sees them all at once."""

    def __init__(self, scorer: Scorer) -> None:
        self._spec, self._weights = scorer.spec, widened(scorer.weights)
        self._encode = RowEncoder(scorer.encoder).encode
        self._columns = scorer.contract.columns
        self._names = tuple(self._columns)
        self._derived = derived_functions(scorer.contract)

    def slot(self, name: str) -> Slot:
        """The number or code of one field."""
        return _slot(self._columns[name])

    def logit(self, slots: list[float]) -> float:
        named = dict(zip(self._names, slots, strict=True))
        for name, derive in self._derived:
            named[name] = derive(named)
        inputs = self._encode(named)[np.newaxis].astype(np.float64)
        return float(wide_logit(self._spec, self._weights, inputs)[0])


def _slot(column: Column) -> Slot:
    """The canonical value as number or code (``fedchurn.contract.columns``)."""
    if column.is_number:
        return lambda value: math.nan if value is None else float(value)
    if column.kind == "text":
        return lambda value: MISSING if value is None else text_code(str(value), column.buckets)
    codes = {label: code for code, label in enumerate(column.categories or ())}
    return lambda value: MISSING if value is None else codes.get(str(value), UNKNOWN)


def _label_term(encoding: CategoryEncoding, weights: NDArray[np.float64], code: Slot) -> Slot:
    def term(value: Value) -> float:
        place = encoding.position(int(code(value)))
        return 0.0 if place is None else float(weights[place])

    return term


def _number_term(encoding: NumberEncoding, weights: NDArray[np.float64]) -> Slot:
    def term(value: Value) -> float:
        inputs = np.zeros((1, encoding.width), dtype=np.float32)
        encoding.write(np.array([math.nan if value is None else value]), inputs)
        return float(inputs[0].astype(np.float64) @ weights)

    return term
