"""Alerts that Alertmanager tells."""
