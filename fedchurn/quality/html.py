"""The quality reports of all clients as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, StrictUndefined

from fedchurn.quality.report import (
    SAMPLE_BANNER,
    QualityReport,
    accounting_words,
    row_words,
)

_STYLE = """
:root { color-scheme: light dark; --bad: #b3261e; --warn: #8a5a00; --good: #1b6e3a; --line: #8885; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; font-weight: 600; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .5rem; text-align: left;
  vertical-align: top; } td.number, th.number { text-align: right; }
.scroll { overflow-x: auto; } .error { color: var(--bad); } .warning { color: var(--warn); }
.passed { color: var(--good); } .banner { border: 2px solid var(--warn); padding: .5rem 1rem; }
.note { opacity: .8; } details { margin: .5rem 0; }
@media (prefers-color-scheme: dark) { :root { --bad: #ff8a80; --warn: #ffc46b; --good: #7ddc9c; } }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data quality: {{ contract }}</title>
<style>{{ style }}</style>
</head>
<body>
<h1>Data quality: {{ contract }}</h1>
{% if is_sample %}<p class="banner" role="note">{{ banner }}</p>{% endif %}
<p>Verdict: {% if passed %}<strong class="passed">passed</strong>
{% else %}<strong class="error">failed</strong>, {{ num_failed }} of {{ reports|length }} clients
{% endif %}</p>
<div class="scroll"><table>
<caption>Clients</caption>
<thead><tr><th scope="col">client</th><th scope="col">verdict</th>
<th scope="col" class="number">rows in</th><th scope="col" class="number">used</th>
<th scope="col" class="number">quarantined</th>
<th scope="col" class="number">dropped duplicates</th>
<th scope="col" class="number">customers</th><th scope="col" class="number">errors</th>
<th scope="col" class="number">warnings</th></tr></thead>
<tbody>
{% for report in reports %}<tr><th scope="row">{{ report.client or "-" }}</th>
<td class="{{ 'passed' if report.passed else 'error' }}">
{{- "passed" if report.passed else "failed" }}</td>
<td class="number">{{ report.rows_in }}</td><td class="number">{{ report.rows_used }}</td>
<td class="number">{{ report.rows_quarantined }}</td>
<td class="number">{{ report.rows_dropped_duplicates }}</td>
<td class="number">{{ report.copies.num_customers or "-" }}</td>
<td class="number">{{ report.failures()|selectattr("is_error")|list|length }}</td>
<td class="number">{{ report.failures()|rejectattr("is_error")|list|length }}</td></tr>
{% endfor %}</tbody></table></div>
{% macro outcome(results, title) %}
<div class="scroll"><table><caption>{{ title }}</caption>
<thead><tr><th scope="col">column</th><th scope="col">check</th><th scope="col">severity</th>
<th scope="col" class="number">rows</th><th scope="col">first rows</th>
<th scope="col">what is wrong</th><th scope="col">what to do</th></tr></thead>
<tbody>
{% for r in results %}<tr><td>{{ r.column or "(table)" }}</td><td>{{ r.rule }}</td>
<td class="{{ r.severity }}">{{ r.severity }}</td>
<td class="number">{{ r.num_failed or "-" }}
{%- if r.num_failed %} ({{ "%.1f" | format(100 * r.fraction_failed) }} %){% endif %}</td>
<td>{{ row_words(r) or "-" }}</td><td>{{ r.detail }}</td><td>{{ r.next_step }}</td></tr>
{% endfor %}</tbody></table></div>
{% endmacro %}
{% for report in reports|sort(attribute="passed") %}
<h2>{{ report.client or report.source }}
<span class="{{ 'passed' if report.passed else 'error' }}">
{{- "passed" if report.passed else "failed" }}</span></h2>
<p>{{ accounting_words(report) }} ({{ report.mode }} mode).<br>
<span class="note">{{ report.source }}, sha256 {{ report.sha256[:12] }}</span></p>
{% if report.failures() %}{{ outcome(report.failures(), "Failed checks, errors first") }}
{% else %}<p>All {{ report.results|length }} checks hold.</p>{% endif %}
{% if report.set_aside %}
{{ outcome(report.set_aside, "Checks for which rows were set aside") }}{% endif %}
{% if report.copies.patterns %}<p>Copies of customers
 ({{ report.copies.num_customers }} customers):</p>
<ul>{% for words in report.copies.patterns %}<li>{{ words }}</li>{% endfor %}</ul>{% endif %}
{% if report.aliased %}<p>Spellings replaced by the contract's labels:
{% for column, count in report.aliased.items() %}{{ column }} in {{ count }} rows
{{- ", " if not loop.last }}{% endfor %}.</p>{% endif %}
<details><summary>Checks that hold ({{ report.results|selectattr("passed")|list|length }})</summary>
<ul>{% for r in report.results|selectattr("passed") %}<li>{{ r.column or "(table)" }}: {{ r.rule }}
</li>{% endfor %}</ul></details>
{% endfor %}
</body>
</html>
"""


def quality_page(reports: Sequence[QualityReport]) -> str:
    """One HTML page without any outside address: verdict, clients, failed checks first."""
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    num_failed = sum(not report.passed for report in reports)
    return environment.from_string(_PAGE).render(
        reports=list(reports),
        contract=", ".join(dict.fromkeys(report.contract for report in reports)),
        passed=num_failed == 0,
        num_failed=num_failed,
        is_sample=any(report.is_sample for report in reports),
        banner=SAMPLE_BANNER,
        style=_STYLE,
        row_words=row_words,
        accounting_words=accounting_words,
    )
