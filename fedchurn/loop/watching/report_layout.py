"""The page about one window: layout and words, no arithmetic."""

from __future__ import annotations

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Drift of {{ record.contract }}: {{ record.verdict }}</title>
<style>
:root { --ink: #22262b; --soft: #5d6570; --line: #dfe3e8; --blue: #1f5fa8; --orange: #b8480a;
        --pale: #c3c9d1; --good: #1b6e3a; }
* { box-sizing: border-box; }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: #fff;
       max-width: 1280px; margin: 0 auto; padding: 24px; }
h1 { font-size: 26px; margin: 0; }
h2 { font-size: 18px; margin: 34px 0 8px; padding-top: 12px; border-top: 2px solid var(--ink); }
p { margin: 6px 0; }
.soft { color: var(--soft); font-size: 13px; }
.sample { background: #fff3e8; border: 2px solid var(--orange); color: var(--orange);
          padding: 10px 14px; margin: 0 0 16px; font-weight: 600; }
.verdict { border-left: 6px solid var(--good); padding: 8px 14px; margin: 14px 0; font-size: 17px; }
.verdict.drift, .verdict.warning { border-left-color: var(--orange); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px;
        font-variant-numeric: tabular-nums; }
th, td { padding: 5px 7px; text-align: right; border-bottom: 1px solid var(--line);
         vertical-align: top; }
.dense { font-size: 12px; } .dense th, .dense td { padding: 4px 5px; }
td { white-space: nowrap; } td.text { white-space: normal; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom;
     border-bottom-color: var(--soft); }
th:first-child, td:first-child, .text { text-align: left; }
tr.drift td { font-weight: 700; background: #fff3e8; }
tr.warning td { background: #fffaf4; }
code { font-size: 12px; word-break: break-all; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(330px, 1fr)); gap: 18px; }
.plots figure { margin: 0; break-inside: avoid; }
figcaption { font-weight: 600; font-size: 13px; }
svg { width: 100%; height: auto; }
svg .window { fill: var(--blue); } svg .reference { fill: var(--pale); }
svg text { font: 11px system-ui, sans-serif; fill: var(--soft); }
.key { display: inline-block; width: 12px; height: 12px; vertical-align: -1px; }
details summary { cursor: pointer; color: var(--blue); margin: 8px 0; }
@media print { body { max-width: none; padding: 0; font-size: 12px; } h2 { break-after: avoid; }
  table { font-size: 10px; } tr { break-inside: avoid; } .scroll { overflow: visible; } }
</style>
</head>
<body>
{% macro bars(plot) %}
<figure><figcaption>{{ plot.title }}</figcaption>
<svg viewBox="0 0 340 170" role="img" aria-label="{{ plot.title }}: {{ plot.description }}">
<title>{{ plot.title }}: {{ plot.description }}</title>
{% for bar in plot.bars %}
<g><title>{{ bar.label }}: {{ bar.reference | percent }} of training rows,
{{ bar.window | percent }} of the window</title>
<rect class="reference" x="{{ bar.x }}" y="{{ bar.reference_y }}" width="{{ bar.width }}"
height="{{ bar.reference_height }}"/>
<rect class="window" x="{{ bar.inner_x }}" y="{{ bar.window_y }}" width="{{ bar.inner_width }}"
height="{{ bar.window_height }}"/></g>
{% endfor %}
<text x="0" y="164">{{ plot.first }}</text>
<text x="340" y="164" text-anchor="end">{{ plot.last }}</text>
<text x="0" y="11">{{ plot.highest | percent }}</text>
</svg></figure>
{% endmacro %}
{% if record.is_sample %}
<p class="sample" role="note">Generated sample: the release was not trained on real customers. These
figures say nothing about them.</p>
{% endif %}
<h1>Drift of {{ record.contract }}</h1>
<p class="soft">window <code>{{ record.window_id }}</code> · {{ record.time }} · release
<code>{{ record.release }}</code>{% if record.version %} (version {{ record.version }}){% endif %}
</p>
<p class="verdict {{ record.verdict }}">{{ record.summary }}</p>
<p>{{ record.num_customers | count }} customers in {{ record.num_predictions | count }} predictions,
{{ record.first_prediction }} to {{ record.last_prediction }}; each customer counts once, by the
newest prediction. They are compared with {{ drift.num_reference_rows | count }} training rows.</p>
{% if record.others or record.num_torn %}
<p class="soft">Not looked at:
{% for kind, number in record.others.items() %}{{ number | count }} predictions of
{{ kind | replace("_", " ") }}{{ ", " if not loop.last or record.num_torn }}{% endfor %}
{% if record.num_torn %}{{ record.num_torn | count }} damaged lines{% endif %}.</p>
{% endif %}

{% if drift.columns %}
<h2>Columns</h2>
<div class="scroll"><table class="dense">
<tr><th>Column</th><th class="text">Verdict</th><th class="text">About</th>
<th class="text">Test: strongest part</th><th>Distance</th><th>Jensen-Shannon</th>
<th>PSI</th><th>Wasserstein</th><th>Missing</th><th>p</th>
<th>Adjusted p</th><th>Together p</th><th class="text">Because</th>
<th class="text">Flags, {{ num_history }} newest</th></tr>
{% for column in drift.columns %}
<tr class="{{ column.verdict }}"><td>{{ column.column }}</td>
<td class="text">{{ column.verdict | replace("_", " ") }}</td>
<td class="text">{{ column.subject }}</td>
<td class="text">{{ column.test | replace("_", "-") }}: {{ column.strongest | replace("_", " ") }}
</td>
<td>{{ column.effects.distance | figure }}</td>
<td>{{ column.effects.jensen_shannon | figure }}</td><td>{{ column.effects.psi | figure }}</td>
<td>{{ column.effects.wasserstein | figure }}</td>
<td>{{ column.effects.missing | signed_percent }}</td>
<td>{{ column.p_value | chance }}</td><td>{{ column.adjusted_p_value | chance }}</td>
<td>{{ column.together_p_value | chance }}</td>
<td class="text">{{ column.because | join(", ") | replace("_", " ") or "-" }}</td>
<td class="text">{{ history[column.column] }}</td></tr>
{% endfor %}
</table></div>
<p class="soft">Distance: largest gap of the two distribution functions for numbers, share of rows
that would have to change their label otherwise. Jensen-Shannon and PSI (population stability index)
are other distances, Wasserstein is one in the column's unit; none of these three decides. Missing:
change of the missing share. p: chance of such a window without drift; adjusted for
{{ drift.columns | length }} columns (Benjamini-Hochberg); together: of the last windows as one. A
flag (x) is this window's own warning, from an adjusted p of
{{ drift.rule.warning_level | chance }} down. Drift is one window at most at
{{ drift.rule.level | chance }}{% if drift.rule.num_windows > 1 %}, or the last
{{ drift.rule.num_windows }} windows together at most at that, or {{ drift.rule.num_flagged }} flags
in {{ drift.rule.num_windows }} windows{% endif %}.</p>
{% endif %}
{% if drift.left_out %}
<p>Not tested, since values were not kept or the release knows nothing of them:
{{ drift.left_out | join(", ") }}.</p>
{% endif %}

{% if plots %}
<h2>What changed</h2>
<p class="soft"><span class="key" style="background: var(--pale)"></span> training rows
<span class="key" style="background: var(--blue)"></span> this window, shares of all rows.</p>
<div class="plots">{% for plot in plots %}{{ bars(plot) }}{% endfor %}</div>
{% endif %}

{% if clients %}
<h2>Clients</h2>
<p>{{ clients.summary }}</p>
<div class="scroll"><table>
<tr><th>Client</th><th class="text">Verdict</th><th>Customers</th><th class="text">Drifted</th>
<th class="text">Warned</th></tr>
{% for client in clients.rows %}
<tr class="{{ client.verdict }}"><td>{{ client.client }}</td>
<td class="text">{{ client.verdict | replace("_", " ") }}</td>
<td>{{ client.num_customers | count }}</td>
<td class="text">{{ client.drifted | join(", ") or "-" }}</td>
<td class="text">{{ client.warned | join(", ") or "-" }}</td></tr>
{% endfor %}
</table></div>
{% endif %}

{% if performance %}
<h2>How good the model still is</h2>
{% for line in performance.lines %}<p>{{ line }}</p>{% endfor %}
{% if performance.rows %}
<div class="scroll"><table>
<tr><th>Figure</th><th>At training</th><th>Now</th><th class="text">What it is</th></tr>
{% for row in performance.rows %}
<tr><td>{{ row.name }}</td><td>{{ row.before | figure }}</td><td>{{ row.now | figure }}</td>
<td class="text">{{ row.meaning }}</td></tr>
{% endfor %}
</table></div>
{% endif %}
{% endif %}

<h2>What is promised</h2>
{% if promise %}
<p>At most {{ promise.promised_per_year | figure }} false alarms in a year with
{{ promise.checks_per_year | count }} checks. For windows of about
{{ promise.num_rows | count }} customers {{ promise.false_alarms_per_year | figure }} were reached
when the release was made, on {{ promise.num_resampled | count }} resampled windows without drift;
{{ promise.warning_fraction | percent }} of them were flagged in some column.</p>
{% if promise.shifts %}
<details><summary>Smallest change that is found with {{ promise.power | percent }}
power</summary>
<div class="scroll"><table>
<tr><th>Column</th><th class="text">Change</th><th>Size</th><th>In the column's unit</th></tr>
{% for shift in promise.shifts %}
<tr><td>{{ shift.column }}</td><td class="text">{{ shift.change }}</td>
<td>{{ shift.size | figure }}</td><td>{{ shift.in_units | figure }}</td></tr>
{% endfor %}
</table></div></details>
{% endif %}
{% elif drift.rule.name == "online" %}
<p>Nothing: this is the rule <code>online</code> of reference systems, kept for comparison. On the
real e-commerce file it alarms in 39 % of checks without any drift.</p>
{% else %}
<p>Nothing: this release was not calibrated, so the default thresholds hold. Train again to have
them learned from its own reference.</p>
{% endif %}
<p class="soft">Rule {{ drift.rule.name }}. Same range of the log, same window, same verdict:
<code>{{ record.window_id }}</code> is the digest of contract, release and range.</p>
</body>
</html>
"""
