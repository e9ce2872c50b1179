"""Which release answers first: proven by the arbiter before the port opens, then by every worker.

Apart from ``worker.py``, of which the arbiter needs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from bentos.churn.bento_release import BundledRelease
from fedchurn.serving.log.prediction_log import check_masked_fields
from fedchurn.serving.reload.loading import first_release
from fedchurn.serving.served_release import ServedRelease
from fedchurn.serving.serving_settings import ServingSettings, read_serving_settings


def first_champion(
    environ: Mapping[str, str], bundled: BundledRelease | None
) -> tuple[ServingSettings, ServedRelease]:
    """The settings, and the release that answers first, proven.

    Raises:
        FedchurnError: a setting is wrong, or there is no release that can be trusted.
    """
    settings = read_serving_settings(environ)
    champion = first_release(settings, bundled.wanted if bundled else None)
    check_masked_fields(settings.log_masked_fields, champion.contract)
    return settings, champion
