"""The section of the training report on what the training cost."""

from __future__ import annotations

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from fedchurn.evaluation.costs import CostSheet, bytes_text

MOST_CLIENTS = 50

_SECTION = """\
<h2>Cost sheet</h2>
<p>{{ sheet.bytes_up | size }} up and {{ sheet.bytes_down | size }} down in all;
{% if sheet.seconds %}
{% for phase, seconds in sheet.seconds.items() %}{{ ", " if not loop.first }}{{ phase }}
{{ "%.1f" | format(seconds) }} s{% endfor %}{% else %}no times were kept{% endif %}.</p>
<p class="soft">Bytes of the arrays of training questions and answers, without names, envelopes,
statistics and evaluations. Seconds are wall time at the server; train includes waiting for the
slowest client.</p>
<div class="scroll"><table>
<tr><th>Client</th><th>Rounds asked</th><th>Up</th><th>Down</th><th>Up per round</th>
<th>Down per round</th></tr>
{% for client, cost in clients %}
<tr><td>{{ client }}</td><td>{{ cost.num_rounds }}</td><td>{{ cost.bytes_up | size }}</td>
<td>{{ cost.bytes_down | size }}</td><td>{{ (cost.bytes_up / cost.num_rounds) | size }}</td>
<td>{{ (cost.bytes_down / cost.num_rounds) | size }}</td></tr>
{% endfor %}
</table></div>
{% if left_out %}<p class="soft">{{ left_out }} further clients, which cost less.</p>{% endif %}
<details><summary>Every round</summary><div class="scroll"><table>
<tr><th>Round</th><th class="text">Strategy</th><th>Clients</th><th>Up</th><th>Down</th>
{% for phase in phases %}<th>{{ phase | capitalize }} (s)</th>{% endfor %}</tr>
{% for round in sheet.rounds %}
<tr><td>{{ round.round_num }}</td><td class="text">{{ round.strategy }}</td>
<td>{{ round.num_clients }}</td><td>{{ round.bytes_up | size }}</td>
<td>{{ round.bytes_down | size }}</td>
{% for phase in phases %}<td>{{ "%.2f" | format(round.seconds[phase]) if phase in round.seconds
else "–" }}</td>{% endfor %}</tr>
{% endfor %}
</table></div></details>
"""


def cost_section(sheet: CostSheet | None) -> Markup:
    """HTML; empty without a sheet."""
    if sheet is None or not sheet.clients:
        return Markup()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["size"] = bytes_text
    dearest = sorted(
        (item for item in sheet.clients.items() if item[1].num_rounds),
        key=lambda item: (-item[1].bytes_up, item[0]),
    )
    shown = sorted(dearest[:MOST_CLIENTS])
    page = environment.from_string(_SECTION).render(
        sheet=sheet,
        phases=list(sheet.seconds),
        clients=shown,
        left_out=len(dearest) - len(shown),
    )
    return Markup(page)  # noqa: S704  (rendered with autoescape)
