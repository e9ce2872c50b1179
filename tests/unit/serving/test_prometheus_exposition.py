"""What the scraped text says beyond the metrics themselves."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from fedchurn.serving.metrics.prometheus_exposition import completed

TEXT = """\
# HELP churn_predictions_total Answered rows
# TYPE churn_predictions_total counter
churn_predictions_total{label="0"} 5.0
churn_predictions_total{label="1"} 3.0
# HELP fedchurn_release_info x
# TYPE fedchurn_release_info gauge
fedchurn_release_info{release="old",version="1"} 0.0
fedchurn_release_info{release="new",version="2"} 1.0
# TYPE model_info gauge
model_info{version="1"} 0.0
model_info{version="2"} 1.0
# TYPE other gauge
other{release="old"} 0.0
"""


def _samples(text: str) -> dict[tuple[str, ...], float]:
    families = text_string_to_metric_families(text)
    return {(s.name, *s.labels.values()): s.value for f in families for s in f.samples}


def test_the_name_without_suffix_has_the_same_values() -> None:
    samples = _samples(completed(TEXT))
    assert samples["churn_predictions", "0"] == 5
    assert samples["churn_predictions", "1"] == 3
    assert samples["churn_predictions_total", "1"] == 3


def test_releases_of_the_past_are_gone_and_nothing_else_is() -> None:
    samples = _samples(completed(TEXT))
    assert ("fedchurn_release_info", "old", "1") not in samples
    assert ("model_info", "1") not in samples
    assert samples["fedchurn_release_info", "new", "2"] == 1
    assert samples["model_info", "2"] == 1
    assert samples["other", "old"] == 0


def test_a_text_without_our_metrics_stays_as_it_is() -> None:
    assert completed("up 1.0\n") == "up 1.0\n"
