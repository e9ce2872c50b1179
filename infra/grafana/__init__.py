"""Grafana dashboards of the service, made by ``python -m infra.grafana.make``."""
