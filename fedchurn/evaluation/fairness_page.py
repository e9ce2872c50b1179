"""The section of the training report on how evenly clients are served."""

from __future__ import annotations

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from fedchurn.evaluation.fairness import Fairness, Figure, Spread

HEADINGS = {
    "roc_auc": "ROC-AUC",
    "log_loss": "Log loss",
    "calibration_gap": "Calibration gap",
    "recall": "Recall",
}
MOST_CLIENTS = 50  # more rows than that are read by nobody

_SECTION = """\
<h2>Fairness across clients</h2>
<p class="soft">The same model on every client's own test rows, each with the 95 % interval that so
many rows leave open. Calibration gap: churn rate minus mean probability. Recall is counted at the
threshold. Log loss differs with the churn rates of clients too; ROC-AUC does not.</p>
<div class="scroll"><table>
<tr><th>Metric</th><th class="text">Worst client</th><th>Its value</th><th>Largest difference</th>
<th>Standard deviation</th><th>Of it beyond chance</th></tr>
{% for name, spread in spreads.items() %}
<tr><td>{{ headings[name] }}</td><td class="text">{{ spread.worst }}</td>
<td>{{ spread.clients[spread.worst] | interval }}</td><td>{{ "%.3f" | format(spread.range) }}</td>
<td>{{ "%.3f" | format(spread.deviation) }}</td>
<td>{{ "%.3f" | format(spread.beyond_chance) }}</td></tr>
{% endfor %}
</table></div>
<p class="soft">Beyond chance: the standard deviation that is left when the part that few rows alone
would make is taken away. 0 means that all clients could be served alike.</p>
<details><summary>Every client{% if left_out %} ({{ clients | length }} of
{{ clients | length + left_out }}, lowest ROC-AUC first){% endif %}</summary>
<div class="scroll"><table>
<tr><th>Client</th><th>Test rows</th>
{% for name in spreads %}<th>{{ headings[name] }}</th>{% endfor %}</tr>
{% for client in clients %}
<tr><td>{{ client }}</td><td>{{ num_rows[client] }}</td>
{% for spread in spreads.values() %}<td>{{ spread.clients.get(client) | interval }}</td>{% endfor %}
</tr>
{% endfor %}
</table></div></details>
"""


def fairness_section(fairness: Fairness | None) -> Markup:
    """HTML; empty when fewer than two clients can be compared."""
    if fairness is None or not fairness.spreads:
        return Markup()
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["interval"] = interval_text
    shown = _worst_first(fairness) if len(fairness.num_rows) > MOST_CLIENTS else fairness.num_rows
    clients = list(shown)[:MOST_CLIENTS]
    page = environment.from_string(_SECTION).render(
        spreads=fairness.spreads,
        headings=HEADINGS,
        clients=clients,
        num_rows=fairness.num_rows,
        left_out=len(fairness.num_rows) - len(clients),
    )
    return Markup(page)  # noqa: S704  (rendered with autoescape)


def _worst_first(fairness: Fairness) -> list[str]:
    areas = fairness.spreads.get("roc_auc")
    known: Spread | None = areas

    def place(client: str) -> tuple[float, str]:
        figure = known.clients.get(client) if known else None
        return (figure.value if figure else 2.0, client)

    return sorted(fairness.num_rows, key=place)


def interval_text(figure: Figure | None) -> str:
    """Value and interval; a dash where there is none."""
    if figure is None:
        return "–"
    return f"{figure.value:.3f} [{figure.low:.3f}, {figure.high:.3f}]"
