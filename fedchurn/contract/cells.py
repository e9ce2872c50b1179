"""How the cell of a label column reads, wherever it comes from."""

from __future__ import annotations


def whole(text: str) -> str:
    """``1.0`` as ``1``, any other text as it is: a spreadsheet makes floats of whole numbers.

    >>> whole("3.00"), whole("-2.0"), whole("1.50"), whole("v1.0")
    ('3', '-2', '1.50', 'v1.0')
    """
    head, dot, tail = text.partition(".")
    if dot and tail.strip("0") == "" and head.removeprefix("-").isdecimal():
        return head
    return text


def as_flag(text: str, labels: tuple[str, ...]) -> str:
    """``True`` as ``1`` and ``false`` as ``0`` where the labels are 1 and 0."""
    flag = {"true": "1", "false": "0"}.get(text.lower(), text)
    return flag if flag in labels else text
