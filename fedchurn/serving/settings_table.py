"""The table of settings in docs/serving.md, made from ``ServingSettings``.

``python -m fedchurn.serving.settings_table docs/serving.md`` brings the page up to date; a test
fails while it is not.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path

from fedchurn.serving.serving_settings import PLACES, PREFIX, ServingSettings

_BLOCK = re.compile(r"(<!-- settings -->\n).*?(<!-- end of settings -->)", re.DOTALL)
_ENTRY = re.compile(r"^    (\w+): (.*(?:\n        .*)*)", re.MULTILINE)


def settings_table() -> str:
    """Name, default and meaning of every setting as a Markdown table."""
    told = inspect.cleandoc(ServingSettings.__doc__ or "")
    meanings = {name: " ".join(text.split()) for name, text in _ENTRY.findall(told)}
    lines = ["| setting | default | what it is |\n", "|---|---|---|\n"]
    for name, field in ServingSettings.model_fields.items():
        variable = PLACES.get(name, PREFIX + name.upper())
        meaning = meanings[name].replace("``", "`").replace("|", r"\|")
        lines.append(f"| `{variable}` | {_shown(field.default)} | {meaning} |\n")
    return "".join(lines)


def with_table(page: str) -> str:
    """``page`` with a fresh table between its marks."""
    return _BLOCK.sub(lambda block: f"{block[1]}{settings_table()}{block[2]}", page)


def _shown(default: object) -> str:
    if default in (None, "", ()):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    place = Path(sys.argv[1])
    place.write_text(with_table(place.read_text(encoding="utf-8")), encoding="utf-8")
