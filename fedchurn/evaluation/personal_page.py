"""The section of the training report on clients' own models."""

from __future__ import annotations

import math

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from fedchurn.evaluation.personal import Gain, Personalisation

_SECTION = """\
<h2>Clients' own models</h2>
{% if personal.note %}<p>{{ personal.note }}</p>{% endif %}
{% if personal.clients %}
<p class="soft">Each client fitted the last layer again on its own rows, held near the model of all
(strength; "all" stays with that model), and chose its own threshold. The models stay with the
clients. Gains are on the client's own test rows, ± one standard error; a client is called better or
worse only beyond {{ "%.2f" | format(personal.limit()) }} standard errors, so that among all clients
together one in twenty trainings names a difference that is none.</p>
<div class="scroll"><table>
<tr><th>Client</th><th>Test rows</th><th>Strength</th><th>Threshold</th><th>ROC-AUC of all</th>
<th>Own</th><th>Gain</th><th>Log loss of all</th><th>Own</th><th>Gain</th><th>F1 of all</th>
<th>Own</th><th class="text">Verdict</th></tr>
{% for client, figures in personal.clients.items() %}
<tr><td>{{ client }}</td><td>{{ figures.num_rows or "too few" }}</td>
<td>{{ "all" if figures.strength is none else "%g" | format(figures.strength) }}</td>
<td>{{ figures.threshold | figure }}</td>
<td>{{ figures.of_all.get("roc_auc") | figure }}</td><td>{{ figures.own.get("roc_auc") | figure }}
</td><td>{{ figures.auc | gain }}</td><td>{{ figures.of_all.get("log_loss") | figure }}</td>
<td>{{ figures.own.get("log_loss") | figure }}</td><td>{{ figures.log_loss | gain }}</td>
<td>{{ figures.of_all.get("f1") | figure }}</td><td>{{ figures.own.get("f1") | figure }}</td>
<td class="text">{{ personal.verdict(client) }}</td></tr>
{% endfor %}
</table></div>
{% endif %}
{% for client, reason in personal.absences.items() %}
<p class="soft">{{ client }} told nothing: {{ reason }}</p>
{% endfor %}
"""


def personal_section(personal: Personalisation | None) -> Markup:
    """HTML; empty when nobody was to be asked."""
    if personal is None:
        return Markup()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters.update(figure=_figure, gain=_gain_text)
    page = environment.from_string(_SECTION).render(personal=personal)
    return Markup(page)  # noqa: S704  (rendered with autoescape)


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _gain_text(gain: Gain) -> str:
    if not (math.isfinite(gain.value) and math.isfinite(gain.error)):
        return "–"
    return f"{gain.value:+.3f} ± {gain.error:.3f}".replace("-", "−")
