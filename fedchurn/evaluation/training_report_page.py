"""The page of the training report: layout and words, no arithmetic."""

from __future__ import annotations

METRIC_HEADINGS = (
    ("roc_auc", "ROC-AUC"),
    ("pr_auc", "PR-AUC"),
    ("accuracy", "Accuracy"),
    ("balanced_accuracy", "Balanced acc."),
    ("precision", "Precision"),
    ("recall", "Recall"),
    ("f1", "F1"),
    ("mcc", "MCC"),
    ("kappa", "Kappa"),
    ("brier", "Brier"),
    ("log_loss", "Log loss"),
    ("calibration_error", "Calibr. error"),
)
ROUND_HEADINGS = (
    ("train_loss", "Train loss"),
    ("train_accuracy", "Train acc."),
    ("train_auc", "Train AUC"),
    ("eval_accuracy", "Accuracy"),
    ("eval_precision", "Precision"),
    ("eval_recall", "Recall"),
    ("eval_f1", "F1"),
    ("eval_roc_auc", "ROC-AUC"),
)

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ report.title }}</title>
<style>
:root { --ink: #22262b; --soft: #5d6570; --line: #dfe3e8; --blue: #1f5fa8; --orange: #b8480a; }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: #fff;
       max-width: 1120px; margin: 0 auto; padding: 24px; }
h1 { font-size: 26px; margin: 0; }
h2 { font-size: 18px; margin: 34px 0 8px; padding-top: 12px; border-top: 2px solid var(--ink); }
p { margin: 6px 0; }
.soft { color: var(--soft); font-size: 13px; }
.sample { background: #fff3e8; border: 2px solid var(--orange); color: var(--orange);
          padding: 10px 14px; margin: 0 0 16px; font-weight: 600; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 16px 0 4px; }
.tile { flex: 1 1 150px; border: 1px solid var(--line); border-radius: 6px; padding: 10px 14px; }
.tile b { display: block; font-size: 27px; line-height: 1.2; color: var(--blue); }
.tile span { display: block; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px;
        font-variant-numeric: tabular-nums; }
th, td { padding: 5px 7px; text-align: right; border-bottom: 1px solid var(--line);
         vertical-align: top; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom;
     border-bottom-color: var(--soft); }
th:first-child, td:first-child, .text { text-align: left; }
tr.ours td { font-weight: 700; background: #eef4fb; }
code { font-size: 12px; word-break: break-all; }
.plots { display: grid; grid-template-columns: repeat(3, 1fr); gap: 18px; }
.plots figure { margin: 0; break-inside: avoid; }
.plots .wide { grid-column: 1 / -1; }
.plots img { width: 100%; height: auto; max-height: 420px; object-fit: contain;
             object-position: left top; }
.plots .wide img { max-height: none; }
figcaption { font-weight: 600; font-size: 13px; }
details summary { cursor: pointer; color: var(--blue); margin: 8px 0; }
@media (max-width: 700px) { .plots { grid-template-columns: 1fr; } }
@media print { body { max-width: none; padding: 0; font-size: 12px; } h2 { break-after: avoid; }
  table { font-size: 10px; } tr, .tile { break-inside: avoid; } .scroll { overflow: visible; } }
</style>
</head>
<body>
{% macro metric_cells(metrics) %}
{% for key, _ in metric_headings %}<td>{{ metrics.get(key) | figure }}</td>{% endfor %}
{% endmacro %}
{% if report.is_sample %}
<p class="sample" role="note">Generated sample: these are not real figures. They say nothing about
real customers.</p>
{% endif %}
<h1>{{ report.title }}</h1>
<p class="soft">contract {{ report.contract }} {{ report.contract_version }} · recipe
{{ report.recipe }} · seed {{ report.seed }} · {{ report.created_at }}
{% if report.release %} · release <code>{{ report.release }}</code>{% endif %}
{% if report.mlflow_run_id %} · MLflow run <code>{{ report.mlflow_run_id }}</code>{% endif %}</p>

{% set ours = report.federated.metrics %}
<div class="tiles">
<div class="tile"><span>ROC-AUC</span><b>{{ ours.get("roc_auc") | headline }}</b>
<span class="soft">0.5 is guessing</span></div>
<div class="tile"><span>Accuracy</span><b>{{ ours.get("accuracy") | headline }}</b>
<span class="soft">majority {{ ours.get("majority_accuracy") | figure }}</span></div>
<div class="tile"><span>F1</span><b>{{ ours.get("f1") | headline }}</b>
<span class="soft">precision {{ ours.get("precision") | figure }}, recall
{{ ours.get("recall") | figure }}</span></div>
<div class="tile"><span>Calibration error</span>
<b>{{ ours.get("calibration_error") | headline }}</b>
<span class="soft">Brier {{ ours.get("brier") | figure }}</span></div>
<div class="tile"><span>Decision</span>
<b>{{ report.decision.outcome if report.decision else "none yet" }}</b>
<span class="soft">{{ (ours.get("num_rows") or 0) | count }} test rows,
{{ (ours.get("num_positive") or 0) | count }} churners</span></div>
</div>
<p>A customer is called a churner from a probability of <b>{{ report.threshold | figure }}</b> on,
chosen on validation rows for {{ report.objective }}.</p>
{% for note in report.notes %}<p class="soft">Note: {{ note }}</p>{% endfor %}

{% if report.decision %}
<h2>Decision: {{ report.decision.outcome }}</h2>
{% if report.decision.champion %}<p>Champion before: <code>{{ report.decision.champion }}</code></p>
{% endif %}
<ul>{% for reason in report.decision.reasons %}<li>{{ reason }}</li>{% endfor %}</ul>
{% endif %}

<h2>The price of privacy</h2>
<p class="soft">The federated model beside what was never learned (majority), what each client would
have without the others, and what pooling every row could reach. All on the same test rows unless
stated. Difference: ROC-AUC of the federated model minus that of the row.</p>
<div class="scroll"><table>
<tr><th>Model</th>{% for _, heading in metric_headings %}<th>{{ heading }}</th>{% endfor %}
<th>Difference</th></tr>
<tr class="ours"><td>{{ report.federated.name }}</td>{{ metric_cells(ours) }}<td></td></tr>
{% for row in report.baselines %}
<tr><td>{{ row.name }}</td>{{ metric_cells(row.metrics) }}
<td>{{ price.get(row.name) | signed }}</td></tr>
{% endfor %}
</table></div>
<details><summary>What these models are</summary><ul>
{% for row in [report.federated] + report.baselines | list %}
<li><b>{{ row.name }}</b>: {{ row.explanation }}
{% for key, value in row.settings.items() %}{{ ", " if not loop.first }}{{ key }} {{ value }}
{%- endfor %}</li>
{% endfor %}
</ul></details>

<h2>Clients</h2>
<div class="scroll"><table>
<tr><th>Client</th><th>Test rows</th>
{% for _, heading in metric_headings %}<th>{{ heading }}</th>{% endfor %}</tr>
{% for client in report.clients %}
<tr><td>{{ client.client }}</td><td>{{ client.num_test | count }}</td>
{{ metric_cells(client.metrics) }}</tr>
{% endfor %}
</table></div>

{{ fairness }}
{{ personal }}
{% if plots %}
<h2>Plots</h2>
<div class="plots">
{% for plot in plots %}
<figure{% if plot.wide %} class="wide"{% endif %}>
{% if plot.wide %}<figcaption>{{ plot.title }}</figcaption>{% endif %}
<img src="{{ plot.address() }}" alt="{{ plot.title }}: {{ plot.description }}"></figure>
{% endfor %}
</div>
{% endif %}

<h2>Rounds</h2>
<p>{{ report.rounds | length }} rounds; round {{ report.best_round }} was kept, the best on
validation rows.</p>
{% if report.absences %}
<table>
<tr><th>Round</th><th class="text">Absent client</th><th class="text">Reason</th></tr>
{% for absence in report.absences %}
<tr><td>{{ absence.round_num }}</td><td class="text">{{ absence.client }}</td>
<td class="text">{{ absence.reason }}</td></tr>
{% endfor %}
</table>
{% else %}
<p>Every client took part in every round.</p>
{% endif %}
<details><summary>Metrics of every round (validation rows, unless named train)</summary>
<div class="scroll"><table>
<tr><th>Round</th>{% for _, heading in round_headings %}<th>{{ heading }}</th>{% endfor %}</tr>
{% for row in report.rounds %}
<tr{% if row.round_num == report.best_round %} class="ours"{% endif %}><td>{{ row.round_num }}</td>
{% for key, _ in round_headings %}<td>{{ row[key] | figure }}</td>{% endfor %}</tr>
{% endfor %}
</table></div></details>

{{ costs }}
<h2>Data</h2>
<div class="scroll"><table>
<tr><th>Client</th><th class="text">Source</th><th>Rows in</th><th>Used</th><th>Quarantined</th>
<th>Dropped duplicates</th><th>Train</th><th>Validation</th><th>Test</th><th>Rounds absent</th>
<th class="text">Digest of rows and split</th></tr>
{% for client in report.clients %}
<tr><td>{{ client.client }}</td><td class="text">{{ client.source }}</td>
<td>{{ client.rows_in | count }}</td><td>{{ client.rows_used | count }}</td>
<td>{{ client.rows_quarantined | count }}</td><td>{{ client.rows_dropped_duplicates | count }}</td>
<td>{{ client.num_train | count }}</td><td>{{ client.num_validation | count }}</td>
<td>{{ client.num_test | count }}</td><td>{{ client.rounds_absent }}</td>
<td class="text">
<code title="{{ client.data_digest }}">{{ client.data_digest[:16] }}</code></td></tr>
{% endfor %}
</table></div>
<p class="soft">Copies of one customer never stand on both sides of a split.</p>

<h2>Settings and versions</h2>
<p class="soft">
{% for key, value in report.settings.items() %}{{ " · " if not loop.first }}{{ key }} {{ value }}
{%- endfor %}</p>
<p class="soft">
{% for key, value in report.library_versions.items() %}{{ " · " if not loop.first }}{{ key }}
{{ value }}{% endfor %}</p>
</body>
</html>
"""
