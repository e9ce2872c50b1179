"""Fedchurn keeps a customer-churn model alive across organisations that may not pool rows."""

__version__ = "0.1.0"
