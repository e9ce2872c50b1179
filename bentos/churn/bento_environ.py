"""What a service that runs from a bento takes from its environment.

BentoML makes the bento's own folder the working directory. A relative place would lie in there:
customers' rows would be logged into the bento, and travel with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bentos.churn.bento_release import BundledRelease
from fedchurn.errors import SettingsError

PLACES = (
    "FEDCHURN_HOME",
    "FEDCHURN_RELEASE",
    "FEDCHURN_SERVE_CHALLENGER",
    "FEDCHURN_SERVE_LOG_FOLDER",
)
HOME = "fedchurn"  # beside BentoML's stores, where nothing else is named


def bento_environ(
    environ: Mapping[str, str], bundled: BundledRelease | None, bentoml_home: Path
) -> dict[str, str]:
    """``environ`` with the contract of the bento's release and a home, where they are not named.

    Raises:
        SettingsError: a place is relative.
    """
    for name in PLACES:
        if environ.get(name) and not Path(environ[name]).is_absolute():
            raise SettingsError(
                f"{name} is {environ[name]!r}, which a bento would look for in its own folder",
                where="environment",
                next_step=f"give an absolute path, such as {name}=$PWD/{environ[name]}",
            )
    known = {"FEDCHURN_HOME": environ.get("FEDCHURN_HOME") or str(bentoml_home / HOME)}
    if bundled is not None:
        known["FEDCHURN_CONTRACT"] = environ.get("FEDCHURN_CONTRACT") or bundled.contract
    return {**environ, **known}
