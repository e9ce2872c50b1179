"""Rows and panels of a Grafana dashboard, laid out from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

DATASOURCE = {"type": "prometheus", "uid": "prometheus"}  # uid set in provisioning/datasources
_COLUMNS = 24
_COLOURS = ("green", "yellow", "red")


@dataclass(frozen=True)
class Query:
    """One PromQL expression and what its series are called."""

    expression: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One panel.

    Attributes:
        title: what it shows.
        queries: what it asks.
        kind: Grafana's name of the panel type.
        unit: Grafana's unit, such as ``s``, ``percentunit``, ``bytes`` or ``reqps``.
        steps: values from which it turns yellow and red.
        width: of 24 columns.
        height: in grid rows.
    """

    title: str
    queries: Sequence[Query]
    kind: str = "timeseries"
    unit: str = "short"
    steps: Sequence[float] = ()
    width: int = 8
    height: int = 8


def stat(title: str, expression: str, unit: str = "short", steps: Sequence[float] = ()) -> Panel:
    """A single number, small."""
    return Panel(title, [Query(expression)], "stat", unit, steps, width=4, height=4)


def dashboard(
    uid: str, title: str, description: str, rows: Sequence[tuple[str, Sequence[Panel]]]
) -> dict[str, Any]:
    """The JSON model of a dashboard with named rows of panels."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["fedchurn"],
        "schemaVersion": 38,
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "panels": _laid_out(rows),
    }


def expressions(model: dict[str, Any]) -> list[tuple[str, str]]:
    """Pairs (panel title, PromQL) of everything that a dashboard asks."""
    panels = [panel for panel in model["panels"] if panel["type"] != "row"]
    return [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]


def _laid_out(rows: Sequence[tuple[str, Sequence[Panel]]]) -> list[dict[str, Any]]:
    placed: list[dict[str, Any]] = []
    top = 0
    for title, panels in rows:
        place = {"x": 0, "y": top, "w": _COLUMNS, "h": 1}
        placed.append({"id": len(placed) + 1, "type": "row", "title": title, "gridPos": place})
        top, left, height = top + 1, 0, 0
        for panel in panels:
            if left + panel.width > _COLUMNS:
                top, left, height = top + height, 0, 0
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            placed.append(_model(panel, len(placed) + 1, place))
            left, height = left + panel.width, max(height, panel.height)
        top += height
    return placed


def _model(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    is_instant = panel.kind != "timeseries"
    targets = [
        {
            "refId": chr(ord("A") + i),
            "datasource": DATASOURCE,
            "expr": query.expression,
            "legendFormat": query.legend or "__auto",
            # Grafana takes accumulated buckets apart for this format only.
            "format": "heatmap" if panel.kind == "bargauge" else "time_series",
            "instant": is_instant,
            "range": not is_instant,
        }
        for i, query in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "datasource": DATASOURCE,
        "gridPos": place,
        "targets": targets,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    if not panel.steps:
        return {"unit": panel.unit}
    steps = [
        {"color": colour, "value": value}
        for colour, value in zip(_COLOURS, (None, *panel.steps), strict=False)
    ]
    return {"unit": panel.unit, "thresholds": {"mode": "absolute", "steps": steps}}


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        return {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}}
    calculated = {"calcs": ["lastNotNull"], "fields": "", "values": False}
    return {"reduceOptions": calculated, "textMode": "auto"}
