"""Contributions in words, from the contract: labels, units and what codes stand for."""

from __future__ import annotations

import re

from fedchurn.contract.conditions import Value
from fedchurn.contract.schema import Column, Contract
from fedchurn.serving.explaining.shapley_players import Player

NOT_KNOWN = "not known"
_LEADS_ON = (" for", " since", " with", " in", " at", " of", " to", " by", " on")
_UNWRITTEN_UNITS = ("currency",)  # which one is not said


class Reasons:
    """Words of one contract."""

    def __init__(self, contract: Contract) -> None:
        self._columns = contract.columns
        self._codes = {name: code_words(column) for name, column in contract.columns.items()}

    def of(self, names: Player, value: Value, typical: Value, contribution: float) -> str:
        """Why fields matter, the leading one with its value.

        For example "Customer for 1 month (typical: 9 months) raises the churn risk by 12 points".

        Args:
            names: the leading field, then those that are tied to it.
            value: canonical value of the leading field.
            typical: a typical customer's.
            contribution: added probability (-1 to 1); a point is one hundredth.
        """
        name, *followers = names
        label = self._label(name)
        joint = "" if value is not None and label.endswith(_LEADS_ON) else ":"
        shown = f"{label}{joint} {self.value(name, value)}"
        if self._columns[name].kind != "text":  # typical of it is a hash bucket, which says nothing
            shown += f" (typical: {self.value(name, typical)})"
        tied = f", together with {self._listed(followers)}," if followers else ""
        return f"{shown}{tied} {effect_words(contribution)}"

    def value(self, name: str, value: Value) -> str:
        """A canonical value with its unit, or what its code stands for."""
        column = self._columns[name]
        if value is None:
            return NOT_KNOWN
        if isinstance(value, str):
            return self._codes[name].get(value, value)
        return number_words(value, column, self._label(name))

    def _label(self, name: str) -> str:
        return self._columns[name].label or name

    def _listed(self, names: list[str]) -> str:
        """``online security, online backup and streaming TV``."""
        labels = [self._label(name) for name in names]
        *words, last = [w if w[1:2].isupper() else w[:1].lower() + w[1:] for w in labels]
        return f"{', '.join(words)} and {last}" if words else last


def effect_words(contribution: float) -> str:
    """``raises the churn risk by 12 points``.

    >>> effect_words(-0.034)
    'lowers the churn risk by 3.4 points'
    """
    points = abs(contribution) * 100
    if points < 0.05:
        return "hardly changes the churn risk"
    number = f"{points:.0f}" if points >= 9.95 else f"{points:.1f}".removesuffix(".0")
    verb = "raises" if contribution > 0 else "lowers"
    return f"{verb} the churn risk by {number} {'point' if number == '1' else 'points'}"


def number_words(value: float, column: Column, label: str) -> str:
    """A number with its unit, unless the label names the unit already (orders, days since ...)."""
    if column.kind == "integer":
        number = f"{value:.0f}"
    else:
        number = f"{value:.6g}" if column.decimals is None else f"{value:.{column.decimals}f}"
    unit = column.unit
    if not unit or unit in _UNWRITTEN_UNITS or unit.lower() in label.lower().split():
        return number
    if unit == "percent":
        return f"{number}%"
    return f"{number} {_one(unit) if float(number) == 1 else unit}"


def _one(unit: str) -> str:
    """The singular of an English unit: month, address; km, USD and GBs stay."""
    if unit.endswith("ies"):
        return unit[:-3] + "y"
    if re.search("(ss|x|ch|sh)es$", unit):
        return unit[:-2]
    return unit[:-1] if re.search("[a-rt-z]s$", unit) else unit


def code_words(column: Column) -> dict[str, str]:
    """What the labels of a coded category stand for, where its description tells.

    A description such as ``0 none, 1 DSL, 2 fibre.`` names all labels; ``1 if the customer ...``
    makes 0 and 1 no and yes. Labels without words stand for themselves.
    """
    labels = column.categories or ()
    text = column.description or ""
    if set(labels) == {"0", "1"} and text.startswith("1 if "):
        return {"0": "no", "1": "yes"}
    found = dict(re.findall(r"(?:^|, )(\S+) ([^,]+)", text.removesuffix(".")))
    return found if tuple(found) == labels else {}
